"""Bayesian optimisation and its kin: TPE and a Gaussian process by Optuna, CMA-ES, quasi-random numbers.

Every ask starts from nothing but the history, in time that hardly matters: benchmarks/ask.py measures it.

Every sampler searches the whole conditional space:
- `tpe`: multivariate, per group of knobs that occur together.
- `gp`: one space with all knobs; the inactive ones are told at their default.
- `cmaes`: every knob has a coordinate or a probability, see `tmelt.strategies.cma`.
- `qmc`: every knob has a dimension of one sequence; results are not looked at.
- any other sampler by its class (tmelt.strategies.named_sampler): as `gp`.

Failed trials have no value in any file. What a sampler makes of them is its option `failures`:
- `avoid`: TPE is told PRUNED, which it counts among the bad ones; all other samplers believe, for this one ask, the
  largest validation error measured so far.
- `ignore`: they are left out (Optuna's FAIL). Then nothing is learnt from a failure, and a sampler whose best guess
  fails makes the same guess again: on a landscape with a cliff univariate TPE and the GP spent the rest of their budget
  beyond it.
Trials of another script or with values outside the space are not told (`tmelt.strategies.optuna_space.inside`).

`moves: n` keeps `tpe` and `gp` near what is known to work, as agents are: a trial changes 1 to n knobs, drawn at
random, of the best trial so far, and the sampler, which models all knobs, gives their values. This is coordinate
perturbation (DYCORS: Regis and Shoemaker, 2013; TuRBO perturbs the center of its trust region like this: Eriksson et
al., 2019). The startup draws these values at random, so the search starts at the baseline. CMA-ES starts there anyway.

Each suggestion says in its state whether a model chose it (`model_based`): not in the startup, not where the answer was
redrawn, not before CMA-ES has been told its first generation, never for `qmc`.

Deterministic: the same history, seeds and options give the same proposal in any process on the same machine, whatever
PYTHONHASHSEED. TPE, CMA-ES and QMC run on NumPy alone; the GP fits with torch and SciPy, whose threads are pinned to
one, and may differ in the last digits, hence in its proposal, on another kind of processor.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, field_validator

from tmelt.search.history import History, Proposal, Trial
from tmelt.search.knobs import Space, Value
from tmelt.search.notes import Note, Sampled
from tmelt.storage.files import sha256_text
from tmelt.strategies import Context
from tmelt.strategies.kind import SAMPLED, Kind
from tmelt.strategies.knew import closest, told
from tmelt.strategies.local import drawn_names, moved, open_knobs
from tmelt.strategies.named_sampler import build_sampler, code_of, is_name
from tmelt.strategies.optuna_space import ask, inside, measured, study_of
from tmelt.strategies.random import DRAWS, USED_UP, configuration, draw, tried, value_at
from tmelt.study.target import TM, Target

# What a sampler's answer is, for the rationale.
_WORDS = {
    "tpe": "of the candidates drawn, the one most likely among the better trials and least among the others (TPE)",
    "gp": "the candidate with the largest expected improvement by a Gaussian process",
    "cmaes": "a draw around the mean of the best trials, with the spread that they suggest (CMA-ES)",
    "qmc": "the next point of a sequence that covers the space evenly (Sobol')",
}
ASKS = 5  # asks of the sampler for a configuration that is new, before knobs of its last one are redrawn


class _Sampler(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    startup: int = Field(10, ge=1, description="trials with a validation error, baseline included, before the sampler")
    failures: Literal["avoid", "ignore"] = Field("avoid", description="what failed trials mean, see the module")


class _Model(_Sampler):
    moves: int | None = Field(
        None, ge=1, description="most knobs that a trial changes in the best one so far; null: all knobs at once"
    )


class Tpe(_Model):
    """Tree-structured Parzen estimator (Bergstra et al., 2011), as in Optuna."""

    sampler: Literal["tpe"] = "tpe"
    multivariate: bool = Field(True, description="joint densities, per group of knobs; false: each knob on its own")
    candidates: int = Field(24, ge=1, description="draws among which the best ratio of densities is proposed")


class Gp(_Model):
    """Gaussian process (Matérn 5/2, one length scale per knob) with log expected improvement, as in Optuna."""

    sampler: Literal["gp"] = "gp"
    deterministic: bool = Field(False, description="true: no noise term, though training seeds make scores noisy")


class Cmaes(_Sampler):
    """Covariance matrix adaptation with margin for mixed spaces."""

    sampler: Literal["cmaes"] = "cmaes"
    population: int | None = Field(None, ge=4, description="trials per generation; null: 4 + 3 ln(number of knobs)")


class Qmc(BaseModel):
    """A scrambled Sobol' sequence: as blind as random search, but more even."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sampler: Literal["qmc"] = "qmc"


class Named(_Model):
    """Any other sampler of Optuna or OptunaHub, see tmelt.strategies.named_sampler."""

    sampler: str = Field(description="`package.module.Class` of an installed package, or `path:Class`")
    arguments: dict[str, Any] = Field(default_factory=dict, description="keyword arguments of the class but `seed`")

    @field_validator("sampler")
    @classmethod
    def _named(cls, sampler: str) -> str:
        if not is_name(sampler):
            own = ", ".join(_OWN)
            raise ValueError(
                f"{sampler!r}: expected one of {own}, or a class as `package.module.Class` or `path:Class`"
            )
        return sampler


_OWN: dict[str, type[BaseModel]] = {"tpe": Tpe, "gp": Gp, "cmaes": Cmaes, "qmc": Qmc}


def _tag(options: Any) -> str:
    """Which of the classes the options are for."""
    sampler = options.get("sampler") if isinstance(options, Mapping) else getattr(options, "sampler", None)
    return sampler if isinstance(sampler, str) and sampler in _OWN else "named"


AnySampler = Tpe | Gp | Cmaes | Qmc | Named
Options = Annotated[
    Annotated[Tpe, Tag("tpe")]
    | Annotated[Gp, Tag("gp")]
    | Annotated[Cmaes, Tag("cmaes")]
    | Annotated[Qmc, Tag("qmc")]
    | Annotated[Named, Tag("named")],
    Discriminator(_tag),
]


@dataclass(frozen=True)
class Suggestion:
    """One configuration, and what goes into the proposal with it."""

    knobs: dict[str, Value]
    origin: Literal["startup", "sampler"]
    rationale: str  # what the sampler knew and did
    state: tuple[Note, ...] = (Sampled(model_based=False),)  # with the sample of CMA-ES


def bo_options(options: Mapping[str, Any], strategy: str) -> AnySampler:
    """The options of `extent.strategies.<strategy>`.

    Raises:
        InputError: an unknown sampler, an option that the sampler does not have, or an illegal value.
    """
    return KIND.read(options, strategy)


def propose(history: History, context: Context) -> Proposal:
    """The sampler's next configuration of the reference script; `stopped` when the space is used up.

    Raises:
        InputError: an option.
    """
    options = bo_options(context.options, context.strategy)
    script = sha256_text(context.reference)
    suggestion = suggest(
        history,
        context.space,
        script,
        options,
        seed=context.seed,
        search_seed=context.search_seed,
        target=context.target,
    )
    return proposal_of(suggestion, context)


def proposal_of(suggestion: Suggestion | None, context: Context) -> Proposal:
    """The suggestion for the reference script; `stopped` where there is none."""
    if suggestion is None:
        return Proposal(knobs=context.space.defaults(), script=context.reference, status="stopped", error=USED_UP)
    return Proposal(
        knobs=suggestion.knobs,
        script=context.reference,
        origin=suggestion.origin,
        rationale=suggestion.rationale,
        state=suggestion.state,
    )


def suggest(
    trials: Sequence[Trial],
    space: Space,
    script_sha256: str,
    options: AnySampler,
    *,
    seed: int,
    search_seed: int,
    target: Target = TM,
    used: set[str] | None = None,
) -> Suggestion | None:
    """A configuration of this script in this space that no trial has run; None if none was found.

    For a hybrid, `space` is the agent's subspace: the trials that lie in it warm the sampler, the others are left out.

    While fewer than `startup` trials have a validation error, the configuration is drawn at random. After that the
    sampler is asked up to ASKS times. If it repeats what was tried, knobs of its last answer are redrawn at random:
    one at first, and more and more until one is new; the rationale says so.

    Args:
        trials: all trials of the search, in order.
        space: where to look.
        script_sha256: the script that the configuration is for.
        options: of the sampler, see `bo_options`.
        seed: of this trial alone.
        search_seed: of the whole search, the same for all its trials.
        target: what is predicted, for the words.
        used: configurations that trials have run, if more than those of `trials`.
    """
    used = tried(trials, script_sha256) if used is None else used
    known = inside(trials, space, script_sha256)
    good = [trial for trial in known if measured(trial)]
    generator = np.random.default_rng(seed)
    knew = told(len(good), len(known) - len(good), len(trials) - len(known))
    moves = options.moves if isinstance(options, _Model) else None
    centre = min(good, key=lambda trial: (trial.val_mae, trial.iteration)).knobs if good else space.defaults()

    if isinstance(options, Qmc):
        for index in range(len(trials), len(trials) + ASKS):
            knobs = _sobol(space, search_seed, index)
            if configuration(knobs) not in used:
                return Suggestion(knobs, "sampler", f"{_WORDS['qmc']} (point {index}); results are not looked at")
        return _redrawn(knobs, space, generator, used, _WORDS["qmc"])
    if len(good) < options.startup:
        knobs = draw(space, generator)
        if moves:
            knobs = moved(centre, _only(knobs, drawn_names(centre, space, moves, generator)), space)
        if configuration(knobs) in used:
            return _redrawn(knobs, space, generator, used, "drawn at random", "startup")
        text = f"drawn at random; {options.sampler} begins with {options.startup} measured trials and was {knew}"
        return Suggestion(knobs, "startup", text)
    if not open_knobs(space):
        return _redrawn(space.defaults(), space, generator, used, "no knob is open")

    words = f"{_WORDS.get(options.sampler, f'the suggestion of {options.sampler}')}; {knew}"
    ask_once = _asker(known, space, options, seed)
    for _ in range(ASKS):
        knobs, state = ask_once()
        if moves:
            knobs = moved(centre, _only(knobs, drawn_names(centre, space, moves, generator)), space)
        if configuration(knobs) not in used:
            return Suggestion(knobs, "sampler", f"{words}; {closest(good, knobs, space, target)}", state)
    return _redrawn(knobs, space, generator, used, words)


def _asker(
    known: Sequence[Trial], space: Space, options: Tpe | Gp | Cmaes | Named, seed: int
) -> Callable[[], tuple[dict[str, Value], tuple[Note, ...]]]:
    """A function that asks the sampler: each call goes on where the last one ended, and avoids its answer."""
    avoid = options.failures == "avoid"
    if isinstance(options, Cmaes):
        from tmelt.strategies.cma import Cma

        cma = Cma(space, options.population)
        cma.restore(known, avoid)
        cma.optimiser.reseed_rng(seed)
        return cma.ask
    if isinstance(options, Tpe):
        sampler = _tpe(options, seed)
        study = study_of(known, space, sampler, failed_as="prune" if avoid else "fail")
        return lambda: (ask(study, space), (Sampled(model_based=True),))
    if isinstance(options, Named):
        sampler = build_sampler(options.sampler, options.arguments, seed, "config: sampler")
    else:
        sampler = _gp(options, seed)
    study = study_of(known, space, sampler, flat=True, failed_as="worst" if avoid else "fail")
    return lambda: (ask(study, space, flat=True), (Sampled(model_based=True),))


def _tpe(options: Tpe, seed: int):
    import warnings

    from optuna.exceptions import ExperimentalWarning
    from optuna.samplers import TPESampler

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)  # `group`
        return TPESampler(
            seed=seed,
            n_startup_trials=0,  # the startup is ours: it must not repeat draws either
            n_ei_candidates=options.candidates,
            multivariate=options.multivariate,
            group=options.multivariate,
        )


def _gp(options: Gp, seed: int):
    import warnings

    import torch
    from optuna.exceptions import ExperimentalWarning
    from optuna.samplers import GPSampler

    torch.set_num_threads(1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)  # `deterministic_objective`
        return GPSampler(
            seed=seed,
            n_startup_trials=0,
            deterministic_objective=options.deterministic,
            warn_independent_sampling=False,
        )


def _sobol(space: Space, search_seed: int, index: int) -> dict[str, Value]:
    """Point `index` of the search's own scrambled Sobol' sequence over all knobs (Owen, 1998)."""
    from scipy.stats.qmc import Sobol

    sequence = Sobol(len(space), scramble=True, rng=np.random.default_rng(search_seed))
    sequence.fast_forward(index)
    positions = sequence.random(1)[0]  # (knobs,)
    return space.complete({knob.name: value_at(knob, u) for knob, u in zip(space, positions, strict=True)})


def _only(knobs: Mapping[str, Value], names: Sequence[str]) -> dict[str, Value]:
    return {name: knobs[name] for name in names if name in knobs}


def _redrawn(
    knobs: Mapping[str, Value],
    space: Space,
    generator: np.random.Generator,
    used: set[str],
    who: str,
    origin: Literal["startup", "sampler"] = "sampler",
) -> Suggestion | None:
    """The nearest new neighbour that random redraws find: one knob changed at first, in the end all of them."""
    free = open_knobs(space)
    if configuration(knobs) not in used:
        return Suggestion(dict(knobs), origin, who)
    for attempt in range(DRAWS if free else 0):
        count = 1 + attempt * len(free) // DRAWS
        changed = [free[index] for index in sorted(generator.choice(len(free), count, replace=False))]
        new = space.complete({**knobs, **{knob.name: value_at(knob, generator.random()) for knob in changed}})
        if configuration(new) not in used:
            names = ", ".join(knob.name for knob in changed)
            return Suggestion(new, origin, f"{who}; repeated a tried configuration, so redrawn: {names}")
    return None


def _try_out(options: AnySampler, strategy: str) -> None:
    """Build the named sampler once."""
    if isinstance(options, Named):
        build_sampler(options.sampler, options.arguments, 0, f"config: extent.strategies.{strategy}.sampler")


KIND = Kind(
    "bo",
    "BO",
    propose,
    Options,
    order=30,
    origins=SAMPLED,
    sampler="always",
    defaults={"sampler": "tpe"},
    code=lambda options: code_of(str(options.get("sampler", ""))),
    try_out=_try_out,
)
