"""The contract that every strategy keeps, and what is special about the samplers.

To put another strategy under the contract, add it to ARMS.
"""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from simulation import REFERENCE, Landscape, context_of, outcome, simulate, write_history

from tmelt.errors import InputError
from tmelt.files import canonical_json, sha256_text
from tmelt.history import History, Proposal
from tmelt.knobs import KNOBS, Knob, Space
from tmelt.strategies import propose
from tmelt.strategies.bo import bo_options, suggest
from tmelt.strategies.cma import Cma
from tmelt.strategies.optuna_space import inside, study_of

REFERENCE_SHA256 = sha256_text(REFERENCE)


@dataclass(frozen=True)
class Arm:
    """A strategy under the contract."""

    kind: str
    options: Mapping[str, Any] = field(default_factory=dict)
    iterations: int = 30


ARMS = {
    "random": Arm("random"),
    "local": Arm("local"),
    "tpe": Arm("bo"),
    "tpe_univariate": Arm("bo", {"sampler": "tpe", "multivariate": False, "candidates": 12, "failures": "ignore"}),
    "tpe_near": Arm("bo", {"moves": 3, "startup": 3}),
    "gp": Arm("bo", {"sampler": "gp", "startup": 3}, iterations=8),
    "gp_near": Arm("bo", {"sampler": "gp", "startup": 3, "moves": 2}, iterations=8),
    "cmaes": Arm("bo", {"sampler": "cmaes", "population": 6}),
    "qmc": Arm("bo", {"sampler": "qmc"}),
}
FAILING = Landscape(Space(), seed=3, failing=0.3)


SLOW_ARMS = {"tpe_univariate", "tpe_near", "gp", "gp_near"}  # what `make check` leaves to `make test`


@pytest.fixture(
    scope="module",
    params=[pytest.param(name, marks=pytest.mark.slow) if name in SLOW_ARMS else name for name in ARMS],
)
def arm(request) -> Arm:
    return ARMS[request.param]


@pytest.fixture(scope="module")
def history(arm) -> History:
    """A search in which almost a third of the trials fail."""
    return simulate(arm.kind, arm.iterations, landscape=FAILING, options=arm.options)


def test_trial_0_is_the_baseline(arm):
    proposal = propose(History(), context_of(arm.kind, 0, options=arm.options))
    assert proposal.origin == "baseline"
    assert proposal.knobs == Space().defaults()
    assert proposal.script == REFERENCE


def test_no_configuration_is_drawn_twice(arm, history):
    configurations = {canonical_json(trial.knobs) for trial in history}
    assert len(configurations) == len(history) == arm.iterations + 1


def test_ranges_and_conditions_are_respected(history):
    for trial in history:
        assert Space().complete(trial.knobs) == trial.knobs
        for knob in Space():
            if knob.name in trial.knobs:
                assert type(trial.knobs[knob.name]) is type(knob.default)
    optimisers = {trial.knobs["optimiser"] for trial in history}
    if "sgd" in optimisers:
        assert all(("momentum" in t.knobs) == (t.knobs["optimiser"] == "sgd") for t in history)


def test_failures_are_survived(history):
    assert history[0].ok
    assert len(history.failed) > len(history) / 8
    assert all(trial.val_mae is None for trial in history.failed)
    assert history[-1].incumbent is not None


@pytest.mark.slow
def test_a_new_process_proposes_the_same(arm, history, tmp_path):
    for length, hash_seed in ((1, "1"), (len(history), "2")):
        part = History(history[:length])
        here = propose(part, context_of(arm.kind, length, options=arm.options))
        path = tmp_path / f"{length}.parquet"
        write_history(path, part)
        program = [sys.executable, str(Path(__file__).with_name("simulation.py")), str(path), arm.kind]
        environment = os.environ | {"PYTHONHASHSEED": hash_seed}
        there = subprocess.run(
            [*program, json.dumps(dict(arm.options))], env=environment, check=True, capture_output=True, text=True
        )
        assert there.stdout.strip() == canonical_json(asdict(here))


@pytest.mark.slow
def test_a_resumed_search_is_the_uninterrupted_one(arm, history, tmp_path):
    half = len(history) // 2
    write_history(tmp_path / "history.parquet", History(history[:half]))
    resumed = simulate(
        arm.kind,
        arm.iterations,
        landscape=FAILING,
        options=arm.options,
        history=History.read(tmp_path / "history.parquet"),
    )
    assert resumed.head == history.head


def test_trajectories_differ(arm, history):
    other = simulate(arm.kind, 3, landscape=FAILING, options=arm.options, trajectory=1)
    assert other[0].knobs == history[0].knobs
    assert all(other[i].knobs != history[i].knobs for i in (1, 2, 3))


def test_a_search_that_only_fails_goes_on(arm):
    failed = simulate(arm.kind, 14, landscape=Landscape(Space(), failing=1.0), options=arm.options)
    assert len({canonical_json(trial.knobs) for trial in failed}) == 15
    assert failed.incumbent is None
    assert {trial.origin for trial in failed[1:]} <= {"random", "startup", "sampler"}


def test_a_used_up_space_stops_the_search(arm):
    """Six configurations: all are tried, none twice, and then the strategy says so."""
    tiny = Space([
        Knob("pooling", "choice", "mean", "", choices=("mean", "max")),
        Knob("head_depth", "int", 2, "", 1, 2, when=("pooling", ("max",))),
        Knob("norm", "choice", "pre", "", choices=("pre", "post")),
    ])  # fmt: skip
    searched = simulate(arm.kind, 20, landscape=Landscape(tiny), options={**arm.options, **_short_startup(arm)})
    assert len({canonical_json(trial.knobs) for trial in searched}) == len(searched) == 6
    proposal = propose(searched, context_of(arm.kind, 6, options=arm.options, space=tiny))
    assert proposal.status == "stopped"
    assert "used up" in proposal.error


def _short_startup(arm: Arm) -> dict[str, Any]:
    return {"startup": 1} if arm.kind == "bo" and arm.options.get("sampler") != "qmc" else {}


@pytest.mark.slow
def test_the_gp_keeps_the_contract_for_longer():
    searched = simulate("bo", 60, landscape=FAILING, options={"sampler": "gp"})
    assert len({canonical_json(trial.knobs) for trial in searched}) == 61


# What is special about the samplers


def moved_knobs(history: History, trial, base) -> set[str]:
    """Knobs that both have, at other values: not those that a choice brought to life or retired."""
    return {name for name in trial.knobs.keys() & base.knobs.keys() if trial.knobs[name] != base.knobs[name]}


def test_local_search_moves_one_to_three_knobs_of_the_incumbent():
    searched = simulate("local", 40, landscape=FAILING)
    counts = []
    for trial in searched[1:]:
        base = History(searched[: trial.iteration]).incumbent
        assert trial.parent == base.iteration and not trial.model_based
        counts.append(len(moved_knobs(searched, trial, base)))
    assert set(counts) == {1, 2, 3}


def test_bo_near_the_best_moves_few_knobs_and_starts_at_the_baseline():
    searched = simulate("bo", 20, landscape=Landscape(Space(), seed=3), options={"moves": 2, "startup": 3})
    for trial in searched[1:]:
        best = min(searched[: trial.iteration], key=lambda other: (other.val_mae, other.iteration))
        assert 1 <= len(moved_knobs(searched, trial, best)) <= 2
    assert [trial.origin for trial in searched[1:4]] == ["startup", "startup", "sampler"]


def test_each_trial_says_whether_a_model_chose_it():
    searched = simulate("bo", 12, options={"startup": 4})
    assert [trial.model_based for trial in searched] == [False] * 4 + [True] * 9
    assert not any(trial.model_based for trial in simulate("bo", 4, options={"sampler": "qmc"}))
    evolved = simulate("bo", 12, options={"sampler": "cmaes", "population": 4, "startup": 2})
    assert [trial.model_based for trial in evolved] == [False] * 6 + [True] * 7  # from the second generation on


def test_startup_is_random_and_counts_successes():
    searched = simulate("bo", 30, landscape=FAILING, options={"startup": 8})
    first = next(trial.iteration for trial in searched if trial.origin == "sampler")
    assert sum(trial.ok for trial in searched[:first]) == 8
    assert {trial.origin for trial in searched[1:first]} == {"startup"}
    assert {trial.origin for trial in searched[first:]} == {"sampler"}
    assert searched[first].proposal["rationale"] == f"tpe: 8 trials told, {first - 8} failed"


@pytest.mark.slow
def test_tpe_beats_random_search():
    """On average over five landscapes at 60 trials, by the noise-free MAE of the best trial found."""

    def best(kind: str, seed: int) -> float:
        landscape = Landscape(Space(), seed=seed)
        searched = simulate(kind, 60, landscape=landscape, trajectory=seed)
        return landscape.mae(min(searched, key=lambda trial: trial.val_mae).knobs)

    gains = [best("random", seed) - best("bo", seed) for seed in range(5)]
    assert np.mean(gains) > 0.15  # °C; measured: 0.35
    assert sum(gain > 0 for gain in gains) >= 4


class Cliff(Landscape):
    """Every high learning rate fails."""

    def crashes(self, knobs):
        return knobs["learning_rate"] > 1e-3


@pytest.mark.slow
def test_samplers_learn_from_failures_unless_told_to_ignore_them():
    """A sampler that ignores failures guesses again and again what just failed."""

    def failures(seed: int, how: str) -> int:
        options = {"multivariate": False, "failures": how}
        return len(simulate("bo", 40, landscape=Cliff(Space(), seed=seed), options=options, trajectory=seed).failed)

    assert [failures(seed, "ignore") for seed in range(2)] == [31, 31]  # every trial after the startup
    assert all(failures(seed, "avoid") < 20 for seed in range(2))


def test_what_a_study_is_told_of_failed_and_foreign_trials():
    import optuna

    searched = simulate("bo", 20, landscape=FAILING)
    strange = Proposal(knobs=Space().defaults() | {"width": 64}, script="# another script\n", origin="agent")
    searched = outcome(searched, strange, Landscape(Space()))
    known = inside(searched, Space(), REFERENCE_SHA256)
    assert len(known) == 21
    study = study_of(known, Space(), optuna.samplers.RandomSampler(seed=0), flat=True)
    states = [trial.state.name for trial in study.trials]
    assert states == ["COMPLETE" if trial.ok else "FAIL" for trial in known]
    assert [trial.value for trial in study.trials] == [trial.val_mae for trial in known]
    assert all(set(trial.params) == {knob.name for knob in KNOBS} for trial in study.trials)
    study = study_of(known, Space(), optuna.samplers.RandomSampler(seed=0), failed_as="worst")
    worst = max(trial.val_mae for trial in known if trial.ok)
    assert [trial.value for trial in study.trials] == [trial.val_mae if trial.ok else worst for trial in known]


@pytest.mark.parametrize("sampler", ["tpe", pytest.param("gp", marks=pytest.mark.slow), "cmaes"])
def test_a_subspace_is_warmed_by_the_history_that_lies_in_it(sampler):
    searched = simulate("random", 60, landscape=Landscape(Space(), seed=2))
    subspace = Space().subspace({
        "optimiser": {"fixed": "adamw"},
        "learning_rate": {"low": 1e-4, "high": 3e-3},
        "pooling": {"choices": ["mean", "attention"]},
    })  # fmt: skip
    known = inside(searched, subspace, REFERENCE_SHA256)
    assert 3 <= len(known) < 20
    options = bo_options({"sampler": sampler, "startup": 3}, "ra_bo")
    suggestion = suggest(searched, subspace, REFERENCE_SHA256, options, seed=5, search_seed=0)
    assert suggestion.origin == "sampler"
    assert subspace.complete(suggestion.knobs) == suggestion.knobs
    assert f"{len(known)} trials told" in suggestion.rationale
    assert f"{61 - len(known)} of another script or outside these ranges not told" in suggestion.rationale
    assert suggestion.state["model_based"] == (sampler != "cmaes")  # CMA-ES has not been told a generation yet


@pytest.mark.parametrize("failures", ["avoid", "ignore"])
def test_cma_is_rebuilt_exactly(failures):
    """The state rebuilt from the history equals that of one optimiser that lived through the search."""
    landscape, population = Landscape(Space(), seed=3, failing=0.2), 6
    options = {"sampler": "cmaes", "population": population, "startup": 5, "failures": failures}
    searched = simulate("bo", 50, landscape=landscape, options=options)
    first = next(trial.iteration for trial in searched if trial.origin == "sampler")

    living = Cma(Space(), population)
    living.restore(searched[:first], avoid_failures=True)
    optimiser, waiting, worst = living.optimiser, [], max(trial.val_mae for trial in searched[:first] if trial.ok)
    for trial in searched[first:]:
        optimiser.reseed_rng(context_of("bo", trial.iteration).seed)
        sample = optimiser.ask()
        if trial.ok:
            waiting.append((sample, trial.val_mae))
            worst = max(worst, trial.val_mae)
        elif failures == "avoid":
            waiting.append((sample, None))
        if len(waiting) == population:
            measured = [(s, mae) for s, mae in waiting if mae is not None]
            optimiser.tell(measured + [(s, worst) for s, mae in waiting if mae is None])
            waiting = []

    rebuilt = Cma(Space(), population)
    rebuilt.restore(searched, avoid_failures=failures == "avoid")
    assert rebuilt.optimiser.generation == optimiser.generation >= 5
    assert rebuilt.waiting == len(waiting)
    np.testing.assert_array_equal(rebuilt.optimiser._mean, optimiser._mean)
    np.testing.assert_array_equal(rebuilt.optimiser._C, optimiser._C)
    np.testing.assert_array_equal(rebuilt.optimiser._q, optimiser._q)
    assert rebuilt.optimiser._sigma == optimiser._sigma


def test_qmc_is_more_even_than_random():
    """64 points of the sequence put 16 ± 1 into each quarter of a range; random search does not."""
    searched = simulate("bo", 64, options={"sampler": "qmc"})
    for name in ("dropout", "warmup", "head_dropout"):
        knob = Space()[name]
        quarters = [int(4 * trial.knobs[name] / knob.high) for trial in searched[1:]]
        assert max(abs(quarters.count(quarter) - 16) for quarter in range(4)) <= 1


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        ("bo", {"sampler": "tpes"}, "extent.strategies.bo"),
        ("bo", {"population": 8}, "extent.strategies.bo.population"),
        ("bo", {"sampler": "gp", "startup": 0}, "extent.strategies.bo.startup"),
        ("bo", {"failures": "penalise"}, "extent.strategies.bo.failures"),
        ("random", {"sampler": "tpe"}, "extent.strategies.random.sampler"),
        ("bo", {"sampler": "qmc", "moves": 3}, "extent.strategies.bo.moves"),
        ("local", {"moves": 0}, "extent.strategies.local.moves"),
    ],
)
def test_options_are_checked(kind, options, message):
    with pytest.raises(InputError, match=message) as caught:
        propose(simulate("random", 1), context_of(kind, 2, options=options))
    assert "\n" not in str(caught.value)
