"""Interval of a share of proteins (how many lie inside their interval), with relatives as one family."""

import numpy as np
from scipy import stats

from tmelt.evidence.statistics import LEVEL, wilson


def share_interval(inside: np.ndarray, clusters: np.ndarray) -> tuple[float | None, float | None]:
    """95 % interval of the share of proteins that are inside: Wilson's, at the effective number of proteins.

    Relatives err alike, so n proteins count as n / d independent ones. The design effect d is the variance of the
    share between families (CR2) over the binomial one, at least 1 and at most what families of identical members
    would have, which is also taken where no or every protein is inside. Student's quantile at the families' degrees
    of freedom replaces the normal one (Korn & Graubard 1998; Dean & Pagano 2015 compare such intervals).

    Args:
        inside: (proteins,) True or False.
        clusters: (proteins,) family of each protein.

    Returns:
        the two ends; None with fewer than two families.
    """
    names, index = np.unique(clusters, return_inverse=True)
    if len(names) < 2:
        return None, None
    inside, n = np.asarray(inside, float), len(inside)
    share = float(inside.mean())
    size = np.bincount(index) / n  # (families,)
    most = n * float((size**2).sum())
    design = most
    if 0 < share < 1:
        sums = np.bincount(index, weights=inside - share) / n
        design = float((sums**2 / (1 - size)).sum() / (share * (1 - share) / n))
    pulled = size**2 / (1 - size)
    freedom = float(1 / ((size**2).sum() + pulled.sum() ** 2 - (pulled**2).sum()))
    effective = n / float(np.clip(design, 1, max(1.0, most)))
    z = float(stats.t.ppf((1 + LEVEL) / 2, freedom))
    return wilson(share, effective, z)
