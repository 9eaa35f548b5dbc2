"""The table `power`: searches that the observed differences would take, at the observed spread between searches."""

import itertools
from typing import Any

import numpy as np
import polars as pl
from scipy.stats import chi2

from tmelt.evidence.error_model import estimate
from tmelt.evidence.looks import unplanned_level
from tmelt.evidence.power import Noise, attainable_p, established, smallest_effect, smallest_n
from tmelt.evidence.schema import POWER
from tmelt.evidence.tables import table
from tmelt.evidence.verdict import ALPHA, FEW, PRIMARY
from tmelt.evidence.winners import Confirmed, confirmed_winners

_DRAWS = 1000


def power_table(
    strategies: list[str],
    won: pl.DataFrame,
    confirmed: Confirmed,
    comparison: pl.DataFrame,
    primary: tuple[str, str] | None = None,
) -> pl.DataFrame:
    """Power of the decision rule for each pair, in a study like this one with a single look at test.

    Args:
        strategies: their names in the order of the study.
        won, comparison: the tables `winners` and `comparison`.
        primary: the registered contrast, which is tested alone.
    """
    family = len(comparison.filter(pl.col("metric").str.starts_with("test_")))
    clusters = confirmed.clusters("test")
    families = len(np.unique(clusters))
    arms = {
        name: confirmed.arm_of_searches(names, "test") for name in strategies if (names := confirmed_winners(won, name))
    }
    outcomes = {name: _outcomes(won, name) for name in arms}
    rows = []
    for a, b in itertools.combinations(arms, 2):
        found = estimate(arms[a], arms[b], clusters)
        protein = float(np.sqrt(found.parts.get("proteins", (0.0, 0.0))[0]))
        alone = primary is not None and {a, b} == set(primary)
        level = PRIMARY * ALPHA if alone else unplanned_level(1)
        rows.append(_row(a, b, found.value, outcomes[a], outcomes[b], protein, families, 1 if alone else family, level))
    return table(rows, POWER)


def _outcomes(won: pl.DataFrame, strategy: str) -> np.ndarray:
    """Test MAE of each distinct search."""
    own = won.filter((pl.col("strategy") == strategy) & (pl.col("confirmed_seeds") > 0))
    return own.unique("outcome", maintain_order=True)["test_mae"].to_numpy()


def _row(
    a: str,
    b: str,
    difference: float,
    left: np.ndarray,
    right: np.ndarray,
    protein: float,
    families: int,
    family: int,
    level: float,
) -> dict[str, Any]:
    fewest, freedom = min(len(left), len(right)), len(left) + len(right) - 2
    least = attainable_p(fewest, family) * ALPHA / level
    row = {
        "a": a,
        "b": b,
        "metric": "test_mae",
        "difference": difference,
        "sd": None,
        "sd_low": None,
        "sd_high": None,
        "trajectories": fewest,
        "family": family,
        "attainable": min(1.0, least) if fewest >= FEW else None,
        "needed_80": None,
        "needed_80_high": None,
        "needed_90": None,
        "detectable": None,
        "note": None,
    }
    if fewest < 2:
        return row | {"note": "one distinct search of a strategy: its spread is unknown"}
    squares = ((left - left.mean()) ** 2).sum() + ((right - right.mean()) ** 2).sum()
    if squares == 0:
        return row | {"note": "no spread between searches"}
    sd = float(np.sqrt(squares / freedom))
    low, high = (float(np.sqrt(squares / chi2.ppf(share, freedom))) for share in (0.975, 0.025))

    def power(effect: float, n: int, spread: float) -> float:
        noise = Noise(search=spread, seed=0.0, protein=protein, seeds=1, families=families)
        return established(abs(effect), n, arms=2, family=family, noise=noise, level=level, draws=_DRAWS)

    return row | {
        "sd": sd,
        "sd_low": low,
        "sd_high": high,
        "needed_80": smallest_n(lambda n: power(difference, n, sd), 0.8),
        "needed_80_high": smallest_n(lambda n: power(difference, n, high), 0.8),
        "needed_90": smallest_n(lambda n: power(difference, n, sd), 0.9),
        "detectable": smallest_effect(lambda effect: power(effect, fewest, sd), 0.8),
        "note": f"difference and spread are themselves uncertain ({fewest} distinct searches of each)",
    }
