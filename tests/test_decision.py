"""Keep, discard or inconclusive: worked examples, properties, and what pure noise does."""

import math
import statistics

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tmelt.decision import complexity, decide, seed_noise
from tmelt.errors import InputError
from tmelt.history import History, Trial

SEEDS = (0, 1, 2)


def row_of(iteration: int, maes: list[float] | None, *, size: float = 6.0, seeds=SEEDS, **rest) -> dict:
    """The columns that a decision reads; a failed trial has no MAE."""
    return {
        "iteration": iteration,
        "status": "ok" if maes else "crash",
        "seeds": list(seeds[: len(maes)] if maes else seeds),
        "val_mae_by_seed": list(maes or []),
        "val_mae": round(statistics.fmean(maes), 2) if maes else None,
        "checkpoint_mb": size,
        "parameter_count": 1000,
        "script_lines": 100,
    } | rest


def search(*trials: dict | list[float] | None, z: float = 1.0) -> History:
    """The history that these outcomes lead to."""
    history = History()
    for iteration, given_trial in enumerate(trials):
        row = given_trial if isinstance(given_trial, dict) else row_of(iteration, given_trial)
        decision, incumbent = decide(history, row, z)
        history = History([*history, Trial(row | {"decision": decision, "incumbent": incumbent})])
    return history


def decisions(history: History) -> list[tuple[str, int | None]]:
    return [(trial.decision, trial.incumbent) for trial in history]


def test_clear_differences():
    history = search([8.0, 8.1, 8.2], [7.0, 7.1, 7.2], [9.0, 9.1, 9.2], None)
    assert decisions(history) == [("baseline", 0), ("keep", 1), ("discard", 1), ("discard", 1)]


def test_the_margin_is_z_standard_errors_of_the_difference():
    """Every trial has variance 0.01 over three seeds: s² = 0.01 / m(2), margin z·s·√(2/3)."""
    noise = math.sqrt(0.01 / (1 - 1 / 9) ** 3)
    assert seed_noise([row_of(0, [8.0, 8.1, 8.2]), row_of(1, [7.0, 7.1, 7.2])]) == pytest.approx(noise)
    margin = 2 * noise * math.sqrt(2 / 3)
    for difference, decision in ((margin - 0.005, "inconclusive"), (margin + 0.005, "keep")):
        lower = [value - difference for value in (8.0, 8.1, 8.2)]
        assert decide(search([8.0, 8.1, 8.2]), row_of(1, lower), z=2.0)[0] == decision
        higher = [value + difference for value in (8.0, 8.1, 8.2)]
        assert decide(search([8.0, 8.1, 8.2]), row_of(1, higher), z=2.0)[0] == decision.replace("keep", "discard")


def test_inside_the_noise_the_simpler_one_stays():
    baseline = row_of(0, [8.0, 8.1, 8.2], size=6.0)
    close = [7.99, 8.09, 8.19]
    assert decide(search(baseline), row_of(1, close, size=7.0), 1.0) == ("inconclusive", 0)
    assert decide(search(baseline), row_of(1, close, size=5.0), 1.0) == ("inconclusive", 1)
    assert decide(search(baseline), row_of(1, close, size=6.0), 1.0) == ("inconclusive", 0)
    assert decide(search(baseline), row_of(1, close, parameter_count=999), 1.0) == ("inconclusive", 1)
    assert decide(search(baseline), row_of(1, close, script_lines=99), 1.0) == ("inconclusive", 1)
    assert decide(search(baseline), row_of(1, close, size=None, parameter_count=1), 1.0) == ("inconclusive", 0)


def test_complexity_is_measured_before_it_is_believed():
    claimed = row_of(0, [8.0], size=9.0, parameter_count=1)
    honest = row_of(1, [8.0], size=6.0, parameter_count=1000)
    assert complexity(honest) < complexity(claimed)
    assert complexity(row_of(0, [8.0], size=6.0001)) == complexity(row_of(0, [8.0], size=6.0002))


def test_swaps_do_not_drift():
    """Each candidate is a little simpler and a little worse than the last; the anchor ends the chain."""
    steps = [[8.0 + 0.03 * i, 8.1 + 0.03 * i, 8.2 + 0.03 * i] for i in range(20)]
    history = search(*(row_of(i, maes, size=6.0 - 0.1 * i) for i, maes in enumerate(steps)))
    margin = seed_noise([trial.row for trial in history]) * math.sqrt(2 / 3)
    last = history.incumbent
    assert last.iteration > 0
    assert last.val_mae - 8.1 <= margin + 0.005  # 0.005: rounding of val_mae
    assert history[last.iteration + 1].decision == "inconclusive"  # it was close to the incumbent, not to the anchor


def test_a_failed_baseline():
    history = search(None, None, [9.0, 9.1, 9.2], [9.5, 9.6, 9.7])
    assert decisions(history) == [("baseline", None), ("discard", None), ("keep", 2), ("discard", 2)]


@pytest.mark.parametrize(("seeds", "z"), [((0,), 1.0), (SEEDS, 0.0)])
def test_without_a_margin_it_is_strict_improvement(seeds, z):
    runs = [[value] * len(seeds) for value in (8.0, 8.0, 7.99, 7.99, 8.5, 7.5)]
    history = search(*(row_of(i, maes, size=6.0 - i) for i, maes in enumerate(runs)), z=z)
    expected = [("baseline", 0), ("discard", 0), ("keep", 2), ("discard", 2), ("discard", 2), ("keep", 5)]
    assert decisions(history) == expected


def test_an_equal_mean_is_no_improvement_whatever_the_order_of_the_seeds():
    """0.1 + 0.2 + 0.3 differs from 0.3 + 0.2 + 0.1 in floating point."""
    assert decide(search([0.1, 0.2, 0.3], z=0.0), row_of(1, [0.3, 0.2, 0.1]), 0.0) == ("discard", 0)
    assert decide(search([0.1, 0.2], z=0.0), row_of(1, [0.3, 0.0]), 0.0) == ("discard", 0)


def test_only_common_seeds_are_compared():
    """The study was extended from two seeds to three: the third seed's value must not tip the scales."""
    history = search(row_of(0, [8.0, 8.1], seeds=(0, 1)))
    assert decide(history, row_of(1, [7.0, 7.1, 30.0]), 0.0)[0] == "keep"
    with pytest.raises(InputError, match="no training seed in common"):
        decide(history, row_of(1, [7.0], seeds=(5,)), 1.0)


def test_a_diverging_candidate_does_not_turn_everything_into_noise():
    history = search([8.0, 8.1, 8.2], [8.0, 25.0, 60.0], [7.0, 7.1, 7.2])
    assert decisions(history)[-1] == ("keep", 2)


def test_seed_noise_is_right_on_average():
    """Also where trials have different numbers of seeds."""
    generator = np.random.default_rng(0)
    for counts in ((3,), (2,), (5,), (2, 3, 5)):
        rows = [
            row_of(i, list(8 + 0.2 * generator.standard_normal(counts[i % len(counts)])), seeds=range(5))
            for i in range(2000)
        ]
        assert seed_noise(rows) == pytest.approx(0.2, rel=0.08)


@pytest.mark.parametrize(("z", "most"), [(0.0, 6.0), (1.0, 2.5), (2.0, 1.0)])
def test_false_keeps_under_pure_noise_are_few(z, most):
    """100 candidates that are all the same, 20 searches: the mean number of keeps, and what is left of the lead."""
    generator = np.random.default_rng(1)
    keeps = []
    for _ in range(20):
        runs = np.round(8 + 0.2 * generator.standard_normal((101, 3)), 2)  # (trials, seeds)
        sizes = generator.uniform(5, 7, 101)
        history = search(*(row_of(i, list(r), size=s) for i, (r, s) in enumerate(zip(runs, sizes, strict=True))), z=z)
        keeps.append(sum(trial.decision == "keep" for trial in history))
    assert np.mean(keeps) < most
    assert np.mean(keeps) > 0 or z == 2.0


MAES = st.lists(st.integers(500, 900).map(lambda cents: cents / 100), min_size=3, max_size=3)
OUTCOMES = st.lists(st.one_of(st.none(), st.tuples(MAES, st.floats(0.1, 20))), min_size=1, max_size=15)


@settings(max_examples=150, deadline=None)
@given(outcomes=OUTCOMES, z=st.sampled_from([0.0, 0.5, 1.0, 2.0]))
def test_properties(outcomes, z):
    """The incumbent is a success; it changes by a keep or by an inconclusive swap, and stays near the best."""
    rows = [row_of(i, o and o[0], size=o[1] if o else None) for i, o in enumerate(outcomes)]
    history = search(*rows, z=z)
    best_seen = math.inf
    for position, trial in enumerate(history):
        before = history[position - 1].incumbent if position else None
        margin = z * seed_noise([t.row for t in history[: position + 1]]) * math.sqrt(2 / 3)
        assert (trial.decision == "baseline") == (position == 0)
        if trial.incumbent != before:
            assert trial.incumbent == position
            assert trial.ok
            assert trial.decision in ("baseline", "keep", "inconclusive")
            mean = statistics.fmean(trial.val_mae_by_seed)
            if trial.decision == "inconclusive":
                assert complexity(trial.row) < complexity(history[before].row)
                assert mean <= best_seen + margin + 0.01  # 0.01: val_mae, by which the anchor is found, is rounded
            elif before is not None:
                assert mean < statistics.fmean(history[before].val_mae_by_seed) - margin
            best_seen = min(best_seen, mean)
        elif trial.decision == "keep":
            raise AssertionError("a keep that did not change the incumbent")
        if not trial.ok and position:
            assert trial.decision == "discard"
