"""What a sampler knew, in words for the rationale of its trial: how much it was told, and the closest trials.

Errors are told as agents are told them (tmelt.strategies.coarse): an agent may look the rationale up.
"""

from collections.abc import Mapping, Sequence

from tmelt.search.history import Trial
from tmelt.search.knobs import Knob, Space, Value
from tmelt.strategies.cma import to_unit
from tmelt.strategies.coarse import told_mae
from tmelt.study.target import TM, Target

CLOSEST = 2  # trials that are named
NAMED = 4  # knobs in which they differ that are named


def told(good: int, failed: int, left_out: int) -> str:
    """How many trials a sampler was told."""
    parts = [f"told {good} trial{'' if good == 1 else 's'} with a validation error"]
    parts += [f"{failed} failed"] if failed else []
    parts += [f"{left_out} of another script or outside these ranges not told"] if left_out else []
    return ", ".join(parts)


def ordinal(number: int) -> str:
    """A rank, as in 1st, 2nd, 3rd, 11th."""
    ending = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"


def closest(trials: Sequence[Trial], knobs: Mapping[str, Value], space: Space, target: Target = TM) -> str:
    """The measured trials nearest to a configuration, with their errors and what differs; empty without any."""
    ranked = sorted(trials, key=lambda trial: (sum(_apart(trial, knobs, space).values()), trial.iteration))
    named = []
    for trial in ranked[:CLOSEST]:
        apart = sorted(_apart(trial, knobs, space).items(), key=lambda item: -item[1])
        names = ", ".join(name for name, _ in apart[:NAMED])
        more = f" and {len(apart) - NAMED} more" if len(apart) > NAMED else ""
        named.append(f"trial {trial.iteration} ({target.amount(f'{told_mae(trial):.2f}')}, other {names}{more})")
    return f"closest: {' and '.join(named)}" if named else ""


def _apart(trial: Trial, knobs: Mapping[str, Value], space: Space) -> dict[str, float]:
    """Distance in (0, 1] for each knob that differs: Gower's, a knob that counts in one of the two alone is 1 apart."""
    distances = {}
    for knob in space:
        if knob.name in trial.knobs and knob.name in knobs:
            distances[knob.name] = _distance(knob, trial.knobs[knob.name], knobs[knob.name])
        elif knob.name in trial.knobs or knob.name in knobs:
            distances[knob.name] = 1.0
    return {name: distance for name, distance in distances.items() if distance > 0}


def _distance(knob: Knob, one: Value, other: Value) -> float:
    return float(one != other) if knob.kind == "choice" else abs(to_unit(knob, one) - to_unit(knob, other))
