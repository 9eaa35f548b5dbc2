"""Looks at test results, and the share of the error rate that each of them may use.

A study that is extended after its test results were seen is tested more than once. Each opening of the test labels on
other data than before is therefore a look, and each look tests at a level of its own. The levels sum to at most ALPHA,
so that by Bonferroni's inequality the chance of any false claim at any look stays below ALPHA, whatever the dependence
between looks and whatever the reason for the extension.

With a registered plan the levels are the increments of Lan and DeMets' (1983) spending function of O'Brien and
Fleming's type at t, the searches seen divided by the searches planned: almost all is kept for the planned end, and
nothing is left after it. Without a plan the number of looks is unknown; the levels are then ALPHA times a fixed
sequence that sums to 1 (alpha-spending, Tian and Ramdas 2021): FIRST for the first look, the rest falls with 1 / k².
"""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import polars as pl
from scipy.stats import norm

from tmelt.evidence.verdict import ALPHA
from tmelt.storage.files import read_json, write_json
from tmelt.study.protocol_record import Protocol, RegisteredHypothesis

FIRST = 0.8  # share of ALPHA for the first look of a study without a plan


@dataclass(frozen=True)
class Look:
    """One look at test.

    Attributes:
        number: from 1.
        opening: number in vault_log.json of the first opening of these data.
        searches: of each side of the registered contrast (the smaller number); of each strategy without a plan.
        planned: True if the plan has a look at this number of searches, and it is the first one there.
        fraction: of the planned searches; None without a plan.
        spent: error rate used by the looks before.
        alpha: error rate of this look.
    """

    number: int
    opening: int
    searches: int
    planned: bool
    fraction: float | None
    spent: float
    alpha: float

    @property
    def share(self) -> float:
        """Of ALPHA."""
        return self.alpha / ALPHA


def spending(fraction: float) -> float:
    """Error rate that may be used up to this fraction of the plan (Lan and DeMets 1983, O'Brien-Fleming type)."""
    if fraction <= 0:
        return 0.0
    return float(2 * norm.sf(norm.isf(ALPHA / 2) / math.sqrt(min(1.0, fraction))))


def planned_levels(plan: Sequence[int]) -> list[float]:
    """Level of each planned look, given the searches at each of them."""
    spent = [0.0, *(spending(searches / plan[-1]) for searches in plan)]
    return [after - before for before, after in itertools.pairwise(spent)]


def unplanned_level(number: int) -> float:
    """Level of look `number` (from 1) of a study without a plan."""
    if number == 1:
        return ALPHA * FIRST
    return ALPHA * (1 - FIRST) * 6 / (math.pi * (number - 1)) ** 2


def registered_hypothesis(protocol: Protocol) -> RegisteredHypothesis | None:
    """The hypothesis that was registered when the test labels were first opened; None without one.

    A later one is a revision in the protocol, which the page prints, but does not replace it.
    """
    for revision in protocol.revisions:
        if revision.openings and any(change.startswith("hypothesis") for change in revision.changes):
            return revision.before.hypothesis
    return protocol.hypothesis


def registered_row(comparison: pl.DataFrame, hypothesis: RegisteredHypothesis) -> dict[str, Any] | None:
    """The registered contrast's row of the table `comparison`; None where a side has no confirmed winner."""
    sides = [hypothesis.a, hypothesis.b]
    rows = comparison.filter(
        (pl.col("metric") == hypothesis.metric) & pl.col("a").is_in(sides) & pl.col("b").is_in(sides)
    )
    return rows.row(0, named=True) if len(rows) else None


def looks(log: Sequence[Mapping[str, Any]], hypothesis: RegisteredHypothesis | None) -> list[Look]:
    """All looks so far, the present one last.

    Args:
        log: entries of vault_log.json. An opening of the same searches and fresh seeds as the one before is no look.
        hypothesis: from `registered_hypothesis`.
    """
    found: list[Look] = []
    seen, before, used = None, 0.0, set()
    for entry in log:
        data = (entry["searches"], entry.get("fresh_seeds"))
        if data == seen:
            continue
        seen = data
        searches = _searches(entry["searches"], hypothesis)
        number = len(found) + 1
        if hypothesis is None:
            fraction, planned, alpha = None, False, unplanned_level(number)
        else:
            fraction = searches / hypothesis.searches
            planned = searches in hypothesis.looks and searches not in used
            alpha = max(0.0, spending(fraction) - before)
        found.append(Look(number, entry["opening"], searches, planned, fraction, before, alpha))
        before += alpha
        used.add(searches)
    return found


def record_answer(file: Path, look: Look, answer: Mapping[str, Any]) -> None:
    """Keep the registered contrast's row at this look in {study}/looks.json: later looks replace the tables.

    Args:
        answer: row of the table `comparison`.
    """
    kept = [entry for entry in (read_json(file) if file.exists() else []) if entry["opening"] != look.opening]
    write_json(file, [*kept, asdict(look) | {"answer": dict(answer)}])


def _searches(trials: Mapping[str, int], hypothesis: RegisteredHypothesis | None) -> int:
    """The smallest number of searches of a strategy that counts."""
    numbers: dict[str, int] = {}
    for name in trials:
        strategy = name.rpartition("/")[0]
        numbers[strategy] = numbers.get(strategy, 0) + 1
    if hypothesis is not None:
        return min(numbers.get(side, 0) for side in (hypothesis.a, hypothesis.b) if side != "baseline")
    return min(numbers.values(), default=0)
