"""The two-sided permutation test of a difference of means over searches: exact, or with splits drawn at random.

SciPy's `permutation_test` makes the splits anew for every test, in Python; a page and its power analysis make thousands
of tests of the same size. Here the exact test's splits are made once and applied as a matrix.
"""

import itertools
import math
from functools import lru_cache

import numpy as np
from scipy import stats

EXACT = 200_000  # splits: all of them up to here (10 searches against 10), otherwise _SAMPLED at random
_SAMPLED = 20_000
_BYTES = 2e8  # of permuted sums at a time


def permutation_p(a: np.ndarray, b: np.ndarray, rng: np.random.Generator) -> float:
    """p that the means of two strategies differ, assuming only that searches can be exchanged if they do not.

    Args:
        a, b: one number per search.
        rng: draws the splits where there are too many.
    """
    a, b = np.asarray(a, float), np.asarray(b, float)
    if math.comb(len(a) + len(b), len(a)) <= EXACT:
        return float(exact_p(a[None], b[None])[0])
    sampled = stats.permutation_test(
        (a, b),
        lambda left, right, axis: np.abs(left.mean(axis=axis) - right.mean(axis=axis)),
        vectorized=True,
        alternative="greater",
        n_resamples=_SAMPLED,
        rng=rng,
    )
    return float(sampled.pvalue)


def exact_p(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """p of the exact test of each row.

    Args:
        a, b: (k, n) and (k, m), one number per search.

    Returns:
        (k,)
    """
    values = np.concatenate([a, b], axis=1)
    values = values - values.mean(axis=1, keepdims=True)  # then a side's sum alone says how far apart the means are
    table = _splits(values.shape[1], a.shape[1])
    observed = np.abs(values[:, : a.shape[1]].sum(axis=1))
    least = observed - 1e-12 * np.maximum(1.0, np.abs(values).max(axis=1))  # sums of equal values differ by rounding
    found = np.empty(len(values))
    rows = max(1, int(_BYTES / table.shape[1] / 8))
    for start in range(0, len(values), rows):
        part = slice(start, start + rows)
        found[part] = (np.abs(values[part] @ table) >= least[part, None]).mean(axis=1)
    return found


@lru_cache(maxsize=4)
def _splits(values: int, left: int) -> np.ndarray:
    """(values, splits) 1 where a value goes to the left side; of splits into halves, mirror images once."""
    if values == 2 * left:
        chosen = [(0, *rest) for rest in itertools.combinations(range(1, values), left - 1)]
    else:
        chosen = list(itertools.combinations(range(values), left))
    table = np.zeros((values, len(chosen)))
    table[np.array(chosen).T, np.arange(len(chosen))] = 1
    return table


def least_p(n_a: int, n_b: int) -> float:
    """The smallest p that the exact test of n_a against n_b searches can give.

    Splits of equal halves have mirror images, so two of them are as extreme as the most extreme one.
    """
    return (2 if n_a == n_b else 1) / math.comb(n_a + n_b, n_a)
