"""Small statistics that several tables share: generators by name, Wilson's interval, probability of improvement."""

import numpy as np
from scipy import stats

from tmelt.storage.files import sha256_text

LEVEL = 0.95
_Z = float(stats.norm.ppf((1 + LEVEL) / 2))


def generator(*names: object) -> np.random.Generator:
    """A random generator that depends on names alone, so that tables come out the same every time."""
    return np.random.default_rng(int(sha256_text("/".join(map(str, names)))[:16], 16))


def wilson(share: float, n: float, z: float = _Z) -> tuple[float, float]:
    """Wilson's (1927) interval of a share.

    SciPy and statsmodels have it for whole counts only; here n may be an effective number of proteins.

    Args:
        share: between 0 and 1.
        n: number of independent observations.
        z: quantile of the level.
    """
    centre = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * float(np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2)))
    # The share itself lies inside, whatever rounding does at 0 and 1.
    return max(0.0, min(share, centre - half)), min(1.0, max(share, centre + half))


def probability_of_improvement(a: np.ndarray, b: np.ndarray) -> tuple[float, float, float]:
    """Share of pairs of searches in which a is better (lower) than b, ties half, with Wilson's interval.

    The pairs are not independent; the interval counts only the smaller number of searches (Agarwal et al. 2021 use
    the same measure, "Deep RL at the edge of the statistical precipice").
    """
    share = float(1 - stats.mannwhitneyu(a, b).statistic / (len(a) * len(b)))
    return share, *wilson(share, min(len(a), len(b)))
