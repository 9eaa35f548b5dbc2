"""Cheap trials: their count against a budget of full ones, their place in a search, and what they are worth."""

import itertools

import numpy as np
import polars as pl
import pytest
from simulation import REFERENCE, Landscape, outcome, simulate
from workflow import study

from tmelt.evidence.behaviour import behaviour
from tmelt.evidence.incumbents import equivalents as cumulative
from tmelt.evidence.schema import RUNS
from tmelt.harness.journal import run_key
from tmelt.harness.variation import Variation
from tmelt.search.decision import seed_freedom
from tmelt.search.fidelity import (
    at_fidelity,
    equivalents,
    equivalents_of,
    in_words,
    most_trials,
    planned_trials,
    stop_if_beyond,
)
from tmelt.search.history import History, Proposal
from tmelt.search.knobs import Space
from tmelt.search.ledger import write_ledger
from tmelt.search.notes import InRung, UsedUp, find
from tmelt.storage.schema import as_frame
from tmelt.strategies.brackets import Bracket
from tmelt.strategies.rungs import Ladder, on_rung, ranked
from tmelt.study.config import parse_config
from tmelt.study.resume import stop_circumstances

LANDSCAPE = Landscape(Space(), seed=3, failing=0.2)


@pytest.fixture(scope="module")
def searched() -> History:
    """A search of eight full trials, a fifth of whose candidates fail."""
    return simulate("asha", full=8, landscape=LANDSCAPE)


# The budget


def test_nine_ninths_are_one_full_trial():
    assert equivalents([1 / 9] * 9) == 1 and equivalents([1 / 3] * 3 + [0.2] * 5) == 2
    assert [in_words(share) for share in (1 / 27, 0.5, 2 / 3, 1.0)] == ["1/27", "1/2", "0.67", "1"]
    assert most_trials(20, 1 / 9) == 180 and most_trials(20, 1.0) == 20


def test_a_search_never_exceeds_its_budget_of_full_trials(searched):
    used = equivalents_of(searched)
    assert 7 < used <= 8 and len(searched) > 20
    full = Proposal(Space().defaults(), "")
    short = History(searched[:-1])
    stop = stop_if_beyond(searched, full, int(used))
    assert stop.status == "stopped" and find(stop.state, UsedUp).unit == "trials"
    assert "of 7 full trials" in stop_if_beyond(short, full, 7).error
    assert stop_if_beyond(short, full, 9) is None
    assert stop_if_beyond(searched, at_fidelity(full, "epochs", 1 / 9), 8) is None or used > 8 - 1 / 9


def test_searches_without_cheap_trials_count_as_before():
    history = simulate("random", 3)
    assert equivalents_of(history) == 3
    rows = [trial.row for trial in history]
    assert planned_trials(rows[:2], 20) == 21 == planned_trials([], 20)
    frame = pl.DataFrame(rows, infer_schema_length=None)
    assert frame.select(cumulative()).to_series().to_list() == [0, 1, 2, 3]


def test_planned_trials_follow_the_mean_fidelity():
    rows = [{"fidelity": 1.0}, *({"fidelity": 0.25} for _ in range(4))]
    assert planned_trials(rows, 10) == 5 + 36  # 9 full trials are left, 4 trials each


def test_the_config_bounds_trials_and_names_the_budget():
    raw = study(
        iterations=4,
        strategies={"a": {"kind": "asha"}, "b": {"kind": "random"}, "c": {"kind": "bohb", "eta": 2, "rungs": 2}},
    )
    extent = parse_config(raw).extent
    assert [extent.most_trials_of(name) for name in "abc"] == [36, 4, 8]
    assert [extent.limits_of(name) for name in "abc"] == [(("trials", 4),), (), (("trials", 4),)]
    raw["extent"]["until"] = {"device_s": 7}
    assert parse_config(raw).extent.limits_of("a") == (("device_s", 7), ("trials", 4))


def test_a_longer_search_opens_a_stop(tmp_path):
    options = {"eta": 2}
    stops = [("trials", 4)], [("trials", 5)], [("device_s", 4)], [("device_s", 4), ("trials", 4)], []
    assert len({stop_circumstances(options, tmp_path, *limits) for limits in stops}) == len(stops)


# The trials


def test_cheap_trials_are_never_incumbents(searched):
    cheap = [trial for trial in searched if not trial.full]
    assert {trial.decision for trial in cheap if trial.ok} == {"partial"}
    assert {trial.decision for trial in cheap if not trial.ok} == {"discard"}
    assert not {trial.incumbent for trial in searched} & {trial.iteration for trial in cheap}
    assert searched[searched[-1].incumbent].full
    assert all(trial.difference is None and trial.margin is None for trial in cheap)


def test_a_cheap_trial_before_any_incumbent_makes_none():
    always = Landscape(Space(), failing=1.0)
    history = outcome(History(), Proposal(Space().defaults(), "", origin="baseline"), always)
    history = outcome(history, at_fidelity(Proposal(Space().defaults(), ""), "epochs", 0.5), Landscape(Space()))
    assert [trial.decision for trial in history] == ["baseline", "partial"] and history.incumbent is None


def test_their_seeds_say_nothing_about_full_trainings(searched):
    rows = [trial.row for trial in searched]
    full = [row for row in rows if row["fidelity"] == 1]
    assert seed_freedom(rows) == seed_freedom(full) > 0


def test_fidelity_keeps_runs_apart_and_survives_a_file(tmp_path):
    keys = set()
    for quantity, share in (("epochs", 1.0), ("epochs", 0.5), ("proteins", 0.5), ("seconds", 0.5), ("epochs", 1 / 3)):
        proposal = at_fidelity(Proposal({"width": 64}, "# script\n"), quantity, share)
        proposal.write(tmp_path)
        varied = proposal.variation or Variation()
        assert varied.budget_factor * varied.seconds_factor == share, "a cheap trial has a share of the seconds"
        again = Proposal.read(tmp_path)
        assert again.fidelity == share and again.variation == proposal.variation
        keys.add(run_key("p", "s", proposal.knobs, 0, 1, (proposal.variation or Variation()).key()))
    assert len(keys) == 5


def test_the_ledger_tells_them_apart(searched, tmp_path):
    write_ledger(tmp_path / "results.tsv", searched)
    lines = (tmp_path / "results.tsv").read_text().splitlines()[1:]
    for line, trial in zip(lines, searched, strict=True):
        assert ("(cheap, 1/" in line) == (trial.ok and not trial.full)


def test_tables_compare_trials_of_one_fidelity(tmp_path):
    searched = simulate("hyperband", full=9)
    for trial in searched:
        Proposal(trial.knobs, REFERENCE).write(tmp_path / "hyperband" / "t0" / f"i{trial.iteration}")
    trials = pl.DataFrame([trial.row for trial in searched], infer_schema_length=None)
    found = behaviour(trials, as_frame([], RUNS), tmp_path, Space())
    fidelity = dict(found.select("iteration", "fidelity").iter_rows())
    compared = found.drop_nulls("effect")
    assert len(compared) and all(
        fidelity[i] == fidelity[parent] for i, parent in compared.select("iteration", "parent").iter_rows()
    )
    promoted = found.filter(origin="promoted")
    assert len(promoted) and promoted["effect"].null_count() == promoted["duplicate_of"].null_count() == len(promoted)
    assert not found.filter("pareto", pl.col("fidelity") < 1).height


# The strategies


def reference_brackets(eta: int, rungs: int) -> list[int]:
    """New candidates of each bracket by Optuna's pruner, which has the arithmetic of the paper."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    pruner = optuna.pruners.HyperbandPruner(min_resource=1, max_resource=eta ** (rungs - 1), reduction_factor=eta)
    pruner._try_initialization(optuna.create_study())
    return pruner._trial_allocation_budgets


@pytest.mark.parametrize(("eta", "rungs"), [(3, 5), (3, 3), (2, 4), (4, 2)])
def test_brackets_are_those_of_hyperband(eta, rungs):
    brackets = [Bracket.of(number, Ladder("epochs", eta, rungs)) for number in range(2 * rungs)]
    assert [bracket.candidates for bracket in brackets] == 2 * reference_brackets(eta, rungs)
    assert [bracket.first for bracket in brackets] == 2 * list(range(rungs))


def test_the_first_bracket_is_that_of_the_papers_table():
    """Li et al. (2018), table 1: R = 81, η = 3."""
    ladder = Ladder("epochs", 3, 5)
    assert Bracket.of(0, ladder).sizes() == [81, 27, 9, 3, 1]
    assert [ladder.share(rung) * 81 for rung in range(5)] == pytest.approx([1, 3, 9, 27, 81])
    assert Bracket.of(4, ladder).sizes() == [5]


@pytest.mark.parametrize("kind", ["hyperband", "bohb"])
def test_a_search_goes_through_the_brackets(kind):
    """Without failures every rung has the trials of the paper, and the best of each are on the next one."""
    history = simulate(kind, full=9, landscape=Landscape(Space(), seed=1))
    ladder = Ladder("epochs", 3, 3)
    for number in range(3):
        bracket = Bracket.of(number, ladder)
        rungs = [on_rung(history, rung, number) for rung in range(bracket.first, 3)]
        assert list(map(len, rungs)) == bracket.sizes()
        for below, above in itertools.pairwise(rungs):
            assert [trial.parent for trial in above] == [trial.iteration for trial in ranked(below)[: len(above)]]
            assert [trial.knobs for trial in above] == [trial.knobs for trial in ranked(below)[: len(above)]]
    assert {trial.note(InRung).bracket for trial in history[1:]} <= {0, 1, 2, 3}


def test_asha_promotes_the_best_third_and_waits_for_nothing(searched):
    """At each trial no candidate among the best third of a rung is left where it is."""
    ladder = Ladder("epochs", 3, 3)
    for trial in searched[1:]:
        before = searched[: trial.iteration]
        open_ = [
            below.iteration
            for rung in range(ladder.top)
            for below in ranked(on_rung(before, rung))[: len(on_rung(before, rung)) // 3]
            if below.iteration not in {above.parent for above in on_rung(before, rung + 1)}
        ]
        assert (trial.origin == "promoted") == bool(open_)
        assert trial.origin != "promoted" or trial.parent in open_
        if trial.origin == "promoted":
            assert trial.fidelity == pytest.approx(3 * searched[trial.parent].fidelity)
            assert trial.knobs == searched[trial.parent].knobs


def test_bohb_asks_a_model_of_one_rung():
    history = simulate("bohb", full=16, options={"startup": 8, "random_share": 0.5})
    drawn = [trial for trial in history[1:] if trial.origin != "promoted"]
    assert {trial.origin for trial in drawn} == {"random", "sampler"}
    for trial in drawn:
        best = max(
            (share for share in (1 / 9, 1 / 3, 1.0)
             if sum(t.ok and t.fidelity == share for t in history[: trial.iteration]) >= 8),
            default=None,
        )  # fmt: skip
        told = sum(t.fidelity == best for t in history[: trial.iteration])
        assert trial.model_based == (trial.origin == "sampler")
        if trial.origin == "sampler":
            assert f"told {told} trials with a validation error" in trial.proposal["rationale"]
        assert best is not None or "no rung has enough trials" in trial.proposal["rationale"]


def test_rationales_name_bracket_and_rung(searched):
    promoted = next(trial for trial in searched if trial.origin == "promoted")
    words = promoted.proposal["rationale"]
    assert words.startswith("rung 2 of 3 (1/3 of the epochs and seconds): promoted, 1st of ")
    assert words.endswith(f"on rung 1 (trial {promoted.parent})")
    other = simulate("hyperband", 1, options={"fidelity": "proteins", "eta": 2})[-1].proposal["rationale"]
    assert other == "bracket 1, rung 1 of 3 (1/4 of the fit proteins and seconds): drawn at random"


@pytest.mark.slow
def test_bohb_beats_random_search_on_the_same_full_trials():
    """On average over eight landscapes whose cheap trainings rank candidates much as full ones do."""

    def best(kind: str, seed: int) -> float:
        landscape = Landscape(Space(), seed=seed, unlike=0.15)
        found = simulate(kind, full=30, landscape=landscape, trajectory=seed)
        return landscape.mae(min((trial for trial in found if trial.ok and trial.full), key=lambda t: t.val_mae).knobs)

    gains = [best("random", seed) - best("bohb", seed) for seed in range(8)]
    assert np.mean(gains) > 0.1  # target units; over 20 landscapes 0.27, standard error 0.06
