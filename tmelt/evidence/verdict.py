"""The decision rule: when a difference counts as established.

Strategies are compared over searches. A contrast of two strategies is tested if each has at least `FEW` distinct
searches; its p is the larger of two: that of the error model (proteins, training seeds and searches vary) and that of
the exact permutation test over distinct searches, which assumes nothing about how searches are distributed. A contrast
with one fixed candidate (the baseline, a reference predictor) has the error model's p alone.

All contrasts that a page may turn into a sentence are one family and share one error rate by Holm's procedure. A
contrast that was registered before trial 0 is tested first, at PRIMARY of the level; the others get the whole level if
it is established, otherwise the rest of it (the fallback procedure of Wiens 2003). A look at test uses only its share
of the level (`tmelt.evidence.looks`). `tmelt.evidence.power` simulates this rule.
"""

from collections.abc import Sequence

import numpy as np

from tmelt.evidence.error_model import Estimate
from tmelt.evidence.permutation import permutation_p

ALPHA = 0.05
PRIMARY = 0.8  # share of ALPHA for a registered contrast
FEW = 5  # distinct searches per strategy below which strategies are not tested


def p_of_strategies(estimate: Estimate, left: np.ndarray, right: np.ndarray, rng: np.random.Generator) -> float | None:
    """p of a contrast of two strategies; None with fewer than FEW distinct searches of either.

    Args:
        estimate: of the difference.
        left, right: mean error of each distinct search.
    """
    if min(len(left), len(right)) < FEW:
        return None
    model = estimate.p_value()
    return None if model is None else max(model, permutation_p(left, right, rng))


def adjusted(p_values: Sequence[float | None], primary: int | None = None, share: float = 1.0) -> list[float | None]:
    """p adjusted for the family, to be compared with ALPHA; None stays None and does not count.

    Args:
        p_values: of all contrasts that may become a sentence.
        primary: position of the registered contrast.
        share: of ALPHA that this look at test may use.
    """
    if primary is None:
        return [_scaled(p, share) for p in holm(p_values)]
    first = _scaled(p_values[primary], share * PRIMARY)
    rest_share = share if first is not None and first < ALPHA else share * (1 - PRIMARY)
    rest = holm([p for place, p in enumerate(p_values) if place != primary])
    found = [_scaled(p, rest_share) for p in rest]
    return [*found[:primary], first, *found[primary:]]


def _scaled(p: float | None, share: float) -> float | None:
    """p such that comparing it with ALPHA compares the given one with this share of ALPHA."""
    if p is None:
        return None
    return min(1.0, p / share) if share > 0 else 1.0


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Holm's (1979) correction; None stays None and does not count."""
    order = sorted((p, i) for i, p in enumerate(p_values) if p is not None)
    corrected: list[float | None] = [None] * len(p_values)
    largest = 0.0
    for rank, (p, i) in enumerate(order):
        largest = max(largest, min(1.0, p * (len(order) - rank)))
        corrected[i] = largest
    return corrected
