"""Fidelity: cheap trials, which train with a share of what a full trial has, and a budget that counts them as shares.

A cheap trial has its own measured cost, is never the incumbent, and is told apart from a full trial of the same
candidate by its variation, which is part of a run's identity.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any, Literal

from tmelt.harness.variation import Variation
from tmelt.search.history import History, Proposal, Trial
from tmelt.search.notes import UsedUp
from tmelt.search.spend import stop_used_up

Quantity = Literal["epochs", "proteins", "seconds"]
# What a share is of, in words.
QUANTITIES: Mapping[Quantity, str] = {
    "epochs": "epochs and seconds",
    "proteins": "fit proteins and seconds",
    "seconds": "seconds",
}
_LARGEST_DENOMINATOR = 10**6


def at_fidelity(proposal: Proposal, quantity: Quantity, share: float) -> Proposal:
    """Return the proposal, to be trained with this share of a quantity; with all of it at 1.

    Whatever the quantity, the training has at most this share of a full one's seconds: so a cheap trial costs no more
    than it counts for.
    """
    if share == 1:
        return replace(proposal, fidelity=1.0, variation=None)
    varied = {
        "epochs": Variation(budget_factor=share),
        "proteins": Variation(fit_fraction=share, seconds_factor=share),
        "seconds": Variation(seconds_factor=share),
    }
    return replace(proposal, fidelity=share, variation=varied[quantity])


def exact(share: float) -> Fraction:
    """Return a share as the fraction that was meant, so that nine ninths are one."""
    return Fraction(share).limit_denominator(_LARGEST_DENOMINATOR)


def equivalents(fidelities: Iterable[float]) -> Fraction:
    """Return how many full trials the trials of these fidelities amount to."""
    return sum(map(exact, fidelities), Fraction(0))


def equivalents_of(trials: Iterable[Trial]) -> Fraction:
    """Return how many full trials a search has used, the baseline and a stop not counted."""
    return equivalents(trial.fidelity for trial in trials if trial.iteration > 0 and trial.status != "stopped")


def most_trials(equivalent: int, least: float) -> int:
    """Return how many trials may amount to so many full ones, where the cheapest has the fidelity `least`."""
    return math.floor(equivalent / exact(least))


def stop_if_beyond(history: History, proposal: Proposal, limit: int) -> Proposal | None:
    """Return a stop if the search would amount to more than `limit` full trials with this proposal; None if not.

    So no search exceeds its budget, and it leaves less of it unused than one full trial.
    """
    used = equivalents_of(history)
    if proposal.status != "proposed" or used + exact(proposal.fidelity) <= limit:
        return None
    reason = f"used {in_words(used)} of {limit} full trials, and the next trial would exceed them"
    return stop_used_up(history, reason, UsedUp(unit="trials", limit=limit, used=round(float(used), 4)))


def planned_trials(rows: Sequence[Mapping[str, Any]], limit: int) -> int:
    """Return how many trials a search will have had, the baseline among them, if it goes on at its mean fidelity.

    Args:
        rows: its trials so far, with their fidelity.
        limit: full trials after the baseline that its budget is.
    """
    used = equivalents(row["fidelity"] for row in rows[1:])
    if not used:
        return limit + 1
    return len(rows) + math.floor((limit - used) * (len(rows) - 1) / used)


def in_words(share: Fraction | float) -> str:
    """Return a number of full trials as people write it: 1/9, 3 or 3.44."""
    number = exact(share) if isinstance(share, float) else share
    if number.denominator == 1 or (number < 1 and number.numerator == 1):
        return str(number)
    return f"{float(number):.2f}"
