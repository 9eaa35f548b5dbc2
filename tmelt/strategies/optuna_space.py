"""Between our search space and Optuna's: distributions, the history as a study, and one ask.

A study lives in memory for one ask. Optuna is imported inside the functions: it costs 0.15 s, and not every process
that imports this package asks.
"""

import math
import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from tmelt.search.history import Trial
from tmelt.search.knobs import Knob, KnobError, Space, Value

if TYPE_CHECKING:
    from optuna import Study
    from optuna.distributions import BaseDistribution
    from optuna.samplers import BaseSampler

FailedAs = Literal["fail", "prune", "worst"]


def distribution(knob: Knob) -> "BaseDistribution":
    """The knob's range as an Optuna distribution."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if knob.kind == "choice":
        return CategoricalDistribution(knob.choices)
    kind = IntDistribution if knob.kind == "int" else FloatDistribution
    return kind(knob.low, knob.high, log=knob.log)


def inside(trials: Iterable[Trial], space: Space, script_sha256: str) -> list[Trial]:
    """The trials that say something about this script in this space.

    A trial is left out when it ran another script, was refused before it ran, or has a knob that this space does not
    have, an active knob missing, or a value outside its range; a `subspace` narrows the ranges and so leaves out more.
    """
    return [
        trial
        for trial in trials
        if trial.script == script_sha256 and trial.status != "refused" and _lies_in(trial.knobs, space)
    ]


def _lies_in(knobs: Mapping[str, Value], space: Space) -> bool:
    try:
        return space.complete(knobs) == knobs
    except KnobError:
        return False


def measured(trial: Trial) -> bool:
    """Whether the trial has a finite validation error."""
    return trial.ok and trial.val_mae is not None and math.isfinite(trial.val_mae)


def worst_of(trials: Iterable[Trial]) -> float:
    """The largest validation error measured: what `failures: avoid` lets a sampler believe of a failed trial."""
    return max(trial.val_mae for trial in trials if measured(trial))


def study_of(
    trials: Sequence[Trial], space: Space, sampler: "BaseSampler", flat: bool = False, failed_as: FailedAs = "fail"
) -> "Study":
    """A study in memory to minimise `val_mae`, told the trials (all of them `inside` the space).

    Args:
        trials: in order.
        space: their space.
        sampler: of the study.
        flat: give inactive knobs as well, at their defaults, for samplers that know no conditions.
        failed_as: how a trial without a validation error is told. `fail` and `prune` are states, without any value:
            every sampler of Optuna 5 leaves out FAIL, and TPE counts PRUNED among the bad ones. `worst` gives it the
            largest validation error measured so far, in this study alone, which nothing outlives.
    """
    import optuna
    from optuna.trial import TrialState, create_trial

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    distributions = {knob.name: distribution(knob) for knob in space}
    defaults = {knob.name: knob.default for knob in space} if flat else {}
    failed = {"fail": TrialState.FAIL, "prune": TrialState.PRUNED, "worst": TrialState.COMPLETE}[failed_as]
    value_of_failed = worst_of(trials) if failed_as == "worst" else None
    frozen = []
    for trial in trials:
        knobs, good = {**defaults, **trial.knobs}, measured(trial)
        frozen.append(
            create_trial(
                state=TrialState.COMPLETE if good else failed,
                value=trial.val_mae if good else value_of_failed,
                params=knobs,
                distributions={name: distributions[name] for name in knobs},
            )
        )
    study = optuna.create_study(sampler=sampler, direction="minimize")
    study.add_trials(frozen)
    return study


def ask(study: "Study", space: Space, flat: bool = False) -> dict[str, Value]:
    """Active knobs of the sampler's next suggestion.

    Without `flat` the conditions are walked as the space declares them: a knob is asked for where it is active.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Optuna marks `group` and others as experimental, once per ask
        trial = study.ask()
        values: dict[str, Any] = {}
        for knob in space:
            if flat or knob.when is None or values.get(knob.when[0]) in knob.when[1]:
                values[knob.name] = _suggest(trial, knob)
    return space.complete(values)


def _suggest(trial: Any, knob: Knob) -> Value:
    if knob.kind == "choice":
        return trial.suggest_categorical(knob.name, knob.choices)
    suggest = trial.suggest_int if knob.kind == "int" else trial.suggest_float
    return suggest(knob.name, knob.low, knob.high, log=knob.log)
