"""Topologies: which trial a proposal builds on, by the history alone; the agent is told, and another choice refused."""

import json
from collections import Counter
from dataclasses import replace
from itertools import pairwise

import pytest
from searching import SCRIPT, context_for, crash, prompt_of, search
from simulation import REFERENCE, Landscape, simulate

from tmelt.errors import InputError
from tmelt.search.history import History, Trial
from tmelt.search.knobs import Space
from tmelt.search.notes import Branched
from tmelt.strategies import propose
from tmelt.strategies.coarse import told_mae
from tmelt.strategies.registry import kind_of
from tmelt.strategies.topology import TopologyOptions, best_candidates, branch_of
from tmelt.strategies.ua import UAOptions, current_task

FAILING = Landscape(Space(), seed=3, failing=0.3)
LARGE = {"best_of_k": {"breadth": 3}, "population": {"breadth": 3}, "adaptive": {"breadth": 2, "stagnation": 3}}


def searched(topology, folder, trials=16, kind="ra", **rest):
    options = {"topology": topology, **LARGE.get(topology, {}), **rest}
    return search(kind, trials, folder, FAILING, options=options), options


def notes_of(history):
    return [trial.note(Branched) for trial in history[1:]]


def best_of(trials):
    return min((trial for trial in trials if trial.ok), key=lambda trial: (told_mae(trial), trial.iteration))


def test_greedy_builds_on_the_incumbent_and_keeps_no_note(tmp_path):
    history, _ = searched("greedy", tmp_path)
    assert notes_of(history) == [None] * 16
    for before, trial in pairwise(history):
        assert trial.parent == (0 if before.incumbent is None else before.incumbent)


def test_best_of_k_keeps_a_parent_for_k_proposals_and_then_takes_the_best(tmp_path):
    history, _ = searched("best_of_k", tmp_path)
    for start in range(1, 16, 3):
        block = history[start : min(start + 3, 17)]
        assert len({trial.parent for trial in block}) == 1
        assert [trial.note(Branched).place for trial in block] == list(range(1, len(block) + 1))
        if start + 3 <= 16:
            parent = history[block[0].parent]
            assert history[start + 3].parent == best_of([parent, *block]).iteration
    assert len({trial.parent for trial in history[1:]}) > 1, "it never moved"


def test_a_population_draws_from_the_best_distinct_candidates(tmp_path):
    history, _ = searched("population", tmp_path, 24)
    drawn = Counter()
    for trial in history[1:]:
        before = History(history[: trial.iteration])
        best = [each.iteration for each in best_candidates(before, 3)]
        assert trial.parent in best
        drawn[best.index(trial.parent)] += 1
    assert set(drawn) == {0, 1, 2}, "the draws are not spread"
    copies = [*history, replace(history.incumbent, iteration=len(history))]
    assert best_candidates(History(copies), 3) == best_candidates(history, 3)
    best = best_candidates(history, 1)[0]
    cheap = History([replace(trial, fidelity=0.3) if trial is best else trial for trial in history])
    assert best.iteration not in {trial.iteration for trial in best_candidates(cheap, 99)}


def parent_of(history, folder, options, trajectory=0):
    """Of the next proposal after a history of the simulator's own script."""
    context = replace(context_for("ra", folder, history, trajectory=trajectory), reference=REFERENCE)
    return branch_of(history, context, options).base.trial.iteration


def stagnating(trials: int) -> History:
    """A simulated search whose first trial is never beaten again."""
    rows = [trial.row for trial in simulate("random", trials)]
    return History([Trial.of({**row, "incumbent": 0}) for row in rows])


def test_adaptive_is_greedy_until_it_stagnates_and_then_widens(tmp_path):
    options = TopologyOptions(topology="adaptive", breadth=2, stagnation=3)
    found = {}
    for trials in range(3, 14):
        history = stagnating(trials)
        parents = set()
        for trajectory in range(40):
            parents.add(parent_of(history, tmp_path, options, trajectory))
        assert parents <= {trial.iteration for trial in best_candidates(history, 2 * (trials // 3))} | {0}
        found[trials] = len(parents)
    assert found[3] == found[4] == found[5] == 2 and found[6] == 4 and found[9] == 6 and found[12] == 8
    assert parent_of(stagnating(2), tmp_path, options) == 0
    renewed = History([*stagnating(9)[:9], replace(stagnating(9)[9], incumbent=9)])
    assert parent_of(renewed, tmp_path, options) == 9


@pytest.mark.parametrize("topology", list(LARGE))
def test_nothing_worked_yet_means_the_baseline(topology, tmp_path):
    history, _ = searched(topology, tmp_path, 0)
    failed = History([replace(trial, status="crash", val_mae=None, incumbent=None) for trial in history])
    context = context_for("ra", tmp_path, failed)
    branch = branch_of(failed, context, TopologyOptions(topology=topology))
    assert branch.base.trial.iteration == 0 and "incumbent" not in branch.why


def reply(**rest):
    return json.dumps({"changes": {"depth": 3}, "hypothesis": "h", "rationale": "r", **rest})


def test_a_fixed_parent_is_told_and_another_one_refused_on_record(tmp_path):
    history, options = searched("population", tmp_path, 12)
    context = context_for("ra", tmp_path, history, options, replies=[reply(**{"from": 0}), reply()])
    assert branch_of(history, context, TopologyOptions(topology="population", breadth=3)).base.trial.iteration != 0
    proposal = propose(history, context)
    prompt = prompt_of(context)
    assert f"Trial {proposal.parent}, drawn from the 3 best candidates so far (trials " in prompt
    assert "`from` stays null" in prompt and "`from` may name any trial" not in prompt
    assert proposal.status == "proposed" and proposal.llm_calls == 2
    assert (
        f"builds on trial {proposal.parent}, which the search's topology fixes"
        in (context.conversation._given.prompts[1][-1])
    )
    assert proposal.knobs["depth"] == 3 and {**history[proposal.parent].knobs, "depth": 3} == proposal.knobs
    greedy = context_for("ra", tmp_path / "greedy", history, replies=[reply(**{"from": 0})])
    assert propose(history, greedy).parent == 0
    assert "`from` may name any trial" in prompt_of(greedy) and "stays null" not in prompt_of(greedy)


def test_a_refused_trial_has_its_place_among_the_proposals_from_a_parent(tmp_path):
    history, options = searched("best_of_k", tmp_path, 4)
    context = context_for("ra", tmp_path, history, options, replies=["no"], max_asks=1)
    refused = propose(history, context)
    assert refused.status == "refused"
    assert [note for note in refused.state if isinstance(note, Branched)] == [
        Branched(topology="best_of_k", parent=history[4].parent, place=2)
    ]


def test_a_repair_builds_on_the_crashed_script_and_takes_no_place(tmp_path):
    history, options = searched("best_of_k", tmp_path, 2, kind="ua")
    context = context_for("ua", tmp_path, history, options)
    proposal = replace(propose(history, context), script=SCRIPT + "\nBROKEN = 1\n")
    crashed = crash(history, proposal, tmp_path, "NameError: x")
    task = current_task(crashed, context_for("ua", tmp_path, crashed, options), UAOptions(topology="best_of_k"))
    assert task.repair and task.base.trial.iteration == 3 and task.branch.notes == ()
    assert "repair" in task.branch.why and task.branch.rule


@pytest.mark.parametrize("kind", ["ua", pytest.param("ua_bo", marks=pytest.mark.slow)])
def test_a_new_process_and_a_strict_replay_choose_the_same_parents(kind, tmp_path):
    history, options = searched("population", tmp_path, 8, kind=kind)
    for trial in history[1:]:
        past = History(history[: trial.iteration])
        replayed = propose(past, context_for(kind, tmp_path, past, options, replay="strict"))
        assert (replayed.parent, replayed.knobs) == (trial.parent, trial.knobs)


def test_rounds_of_a_hybrid_start_from_the_parent(tmp_path):
    history, _ = searched("best_of_k", tmp_path, 16, kind="ra_bo", round=3, breadth=2)
    opened = [trial for trial in history[1:] if trial.origin == "agent"]
    assert [trial.note(Branched).place for trial in opened] == [1, 2, 1, 2]
    assert opened[0].parent == opened[1].parent == 0
    first, third = opened[0].iteration, opened[2].iteration
    assert opened[2].parent == best_of([history[0], *history[first:third]]).iteration


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ({"topology": "wide"}, "topology"),
        ({"breadth": 3}, "breadth: does nothing"),
        ({"topology": "population", "stagnation": 3}, "stagnation: does nothing"),
        ({"topology": "population", "breadth": 1}, "breadth"),
    ],
)
def test_options_that_do_nothing_are_refused(options, fault):
    with pytest.raises(InputError, match=fault):
        kind_of("ra").read(options, "mine")
    with pytest.raises(InputError, match="topology"):
        kind_of("llm_seeded").read({"topology": "population"}, "mine")


def test_draws_follow_from_the_search_s_seed_alone(tmp_path):
    history = simulate("random", 20)
    options = TopologyOptions(topology="population", breadth=8)

    def parents(trajectory):
        past = [History(history[:count]) for count in range(9, 21)]
        return [parent_of(each, tmp_path, options, trajectory) for each in past]

    assert parents(0) == parents(0) != parents(1)
    assert len(set(parents(0))) > 4
