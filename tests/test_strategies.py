"""The contract that every strategy keeps (tmelt.testing), and what is special about the samplers.

To put another strategy under the contract, add it to ARMS.
"""

import re

import numpy as np
import pytest
from simulation import REFERENCE, Landscape, context_of, outcome, simulate

from tmelt.errors import InputError
from tmelt.search.history import History, Proposal
from tmelt.search.knobs import KNOBS, Space
from tmelt.search.notes import Sampled, find
from tmelt.storage.files import canonical_json, sha256_text
from tmelt.strategies import propose
from tmelt.strategies.bo import bo_options, suggest
from tmelt.strategies.cma import Cma
from tmelt.strategies.coarse import told_mae
from tmelt.strategies.knew import closest
from tmelt.strategies.optuna_space import inside, study_of
from tmelt.strategies.registry import built_in_kinds
from tmelt.testing.contract import FAILING, Arm, StrategyContract

REFERENCE_SHA256 = sha256_text(REFERENCE)


ARMS = {
    "random": Arm("random"),
    "local": Arm("local"),
    "grid": Arm(
        "grid",
        {"levels": {"width": [64, 128, 256], "depth": [1, 2, 3], "heads": [2, 4, 8], "dropout": [0.0, 0.1, 0.2]}},
        tiny={"levels": {"pooling": ["mean", "max"], "head_depth": [1, 2], "norm": ["pre", "post"]}},
    ),
    "asha": Arm("asha"),
    "hyperband": Arm("hyperband", {"fidelity": "proteins"}),
    "bohb": Arm("bohb", {"eta": 2, "rungs": 4}, tiny={"startup": 2}),
    "tpe": Arm("bo", tiny={"startup": 1}),
    "tpe_univariate": Arm(
        "bo",
        {"sampler": "tpe", "multivariate": False, "candidates": 12, "failures": "ignore"},
        tiny={"startup": 1},
    ),
    "tpe_near": Arm("bo", {"moves": 3, "startup": 3}, tiny={"startup": 1}),
    "gp": Arm("bo", {"sampler": "gp", "startup": 3}, iterations=8, tiny={"startup": 1}),
    "gp_near": Arm("bo", {"sampler": "gp", "startup": 3, "moves": 2}, iterations=8, tiny={"startup": 1}),
    "cmaes": Arm("bo", {"sampler": "cmaes", "population": 6}, tiny={"startup": 1}),
    "qmc": Arm("bo", {"sampler": "qmc"}),
    "nsga2": Arm("bo", {"sampler": "optuna.samplers.NSGAIISampler", "startup": 3}, tiny={"startup": 1}),
}


SLOW_ARMS = {"tpe_univariate", "tpe_near", "gp", "gp_near", "nsga2"}  # what `make check` leaves to `make test`


class TestContract(StrategyContract):
    """Every strategy that asks no LLM."""

    @pytest.fixture(
        scope="class",
        params=[pytest.param(name, marks=pytest.mark.slow) if name in SLOW_ARMS else name for name in ARMS],
    )
    @classmethod
    def arm(cls, request) -> Arm:
        return ARMS[request.param]

    test_no_configuration_is_tried_twice = pytest.mark.slow(StrategyContract.test_no_configuration_is_tried_twice)
    test_a_new_process_proposes_the_same = pytest.mark.slow(StrategyContract.test_a_new_process_proposes_the_same)
    test_a_resumed_search_is_the_uninterrupted_one = pytest.mark.slow(
        StrategyContract.test_a_resumed_search_is_the_uninterrupted_one
    )


def test_every_kind_without_an_llm_is_under_the_contract():
    assert {arm.kind for arm in ARMS.values()} == {name for name, kind in built_in_kinds().items() if not kind.agent}


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


def test_the_closest_trials_are_named_with_errors_as_agents_are_told_them():
    searched = simulate("random", 6, landscape=Landscape(Space(), seed=3))
    near = searched[4]
    pooling = next(choice for choice in Space()["pooling"].choices if choice != near.knobs["pooling"])
    knobs = {**near.knobs, "depth": 2 if near.knobs["depth"] == 1 else near.knobs["depth"] - 1, "pooling": pooling}
    text = closest(searched.succeeded, knobs, Space())
    assert text.startswith(f"closest: trial 4 ({told_mae(near):.2f} °C, other pooling, depth) and trial ")
    assert closest((), knobs, Space()) == ""


@pytest.mark.parametrize(
    ("sampler", "words"),
    [("tpe", "most likely among the better"), ("gp", "expected improvement"), ("cmaes", "around the mean")],
)
def test_rationales_say_what_the_sampler_knew(sampler, words):
    rationale = simulate("bo", 4, options={"startup": 2, "sampler": sampler})[-1].proposal["rationale"]
    assert re.search(words, rationale)
    assert "told 4 trials with a validation error; closest: trial " in rationale


def test_startup_is_random_and_counts_successes():
    searched = simulate("bo", 30, landscape=FAILING, options={"startup": 8})
    first = next(trial.iteration for trial in searched if trial.origin == "sampler")
    assert sum(trial.ok for trial in searched[:first]) == 8
    assert {trial.origin for trial in searched[1:first]} == {"startup"}
    assert {trial.origin for trial in searched[first:]} == {"sampler"}
    assert f"told 8 trials with a validation error, {first - 8} failed" in searched[first].proposal["rationale"]
    assert searched[1].proposal["rationale"].startswith("drawn at random; tpe begins with 8 measured trials")


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
    assert f"told {len(known)} trials with a validation error" in suggestion.rationale
    assert f"{61 - len(known)} of another script or outside these ranges not told" in suggestion.rationale
    # CMA-ES has not been told a generation yet.
    assert find(suggestion.state, Sampled).model_based == (sampler != "cmaes")


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
