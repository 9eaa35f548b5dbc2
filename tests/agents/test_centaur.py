"""The centaur: CMA-ES rebuilt from the history, overridden in its share of trials, told what it may be told."""

import json
import math

import numpy as np
import pytest
from searching import SCRIPT, context_for, crash, prompt_of, search, step

from tmelt.search.history import History
from tmelt.search.knobs import Space
from tmelt.storage.files import sha256_text
from tmelt.strategies import propose
from tmelt.strategies.centaur import describe, injected, overrides, restored
from tmelt.strategies.cma import Cma

FAR = {
    "depth": 4, "epochs": 100, "patience": 30, "dropout": 0.5, "embedding_dropout": 0.5, "head_dropout": 0.5,
    "warmup": 0.3, "weight_decay": 0.3, "gradient_clip": 10.0, "learning_rate": 0.01, "beta1": 0.8, "beta2": 0.9,
}  # fmt: skip


def rebuilt(history, population=None) -> Cma:
    return restored(history, Space(), sha256_text(SCRIPT), population)


def reply(changes, base="incumbent"):
    return json.dumps({"base": base, "changes": changes, "hypothesis": "h", "rationale": "r"})


def next_override(folder, history, options=None):
    """Go on until the agent's turn."""
    while not overrides(context_for("centaur", folder, history), 0.3):
        history = step(history, propose(history, context_for("centaur", folder, history, options=options)), folder)
    return history


def schedule(folder, iterations, trajectory):
    """Which trials of a search the agent overrides."""
    return [
        overrides(context_for("centaur", folder, [None] * iteration, trajectory=trajectory), 0.3)
        for iteration in range(1, iterations + 1)
    ]


def test_the_agent_overrides_its_share(tmp_path):
    history = search("centaur", 24, tmp_path)
    contexts = [context_for("centaur", tmp_path, history[: trial.iteration]) for trial in history[1:]]
    assert [overrides(context, 0.3) for context in contexts] == [trial.origin == "agent" for trial in history[1:]]
    short = {trajectory: schedule(tmp_path, 12, trajectory) for trajectory in range(20)}
    assert {sum(drawn) for drawn in short.values()} == {3, 4}  # 12 × 0.3, give or take one: never none
    assert len({tuple(drawn) for drawn in short.values()}) > 4, "searches differ in where"
    long = schedule(tmp_path, 200, 0)
    assert all(sum(long[start : start + 10]) == 3 for start in range(190)), "evenly spread"
    assert all(bool(trial.llm_calls) == (trial.origin == "agent") for trial in history)
    never = search("centaur", 8, tmp_path / "never", options={"override": 0})
    always = search("centaur", 8, tmp_path / "always", options={"override": 1})
    assert {trial.origin for trial in never[1:]} == {"sampler"} and {trial.origin for trial in always[1:]} == {"agent"}


@pytest.mark.parametrize("failed", [False, True])
def test_all_trials_are_told_but_failures_of_the_agent(tmp_path, failed):
    options = {"population": 4}
    history = next_override(tmp_path, search("centaur", 8, tmp_path, options=options), options)
    changes = {"dropout": history.incumbent.knobs["dropout"] / 2 + 0.1}
    context = context_for("centaur", tmp_path, history, replies=[reply(changes)], options=options)
    proposal = propose(history, context)
    history = crash(history, proposal, tmp_path, "MemoryError") if failed else step(history, proposal, tmp_path)
    cma = rebuilt(history, 4)
    assert cma.optimiser.generation * 4 + cma.waiting == len(history) - 1 - failed


def test_a_distant_point_is_drawn_nearer_and_a_near_one_is_not(tmp_path):
    cma = rebuilt(search("centaur", 3, tmp_path))
    size = len(cma.continuous) + len(cma.ordered)
    longest = math.sqrt(size) + 2 * size / (size + 2)

    def distance(knobs):
        injected_at = injected(cma, knobs)
        axes, lengths = cma.optimiser._eigen_decomposition()
        step = (np.array(injected_at.coordinates) - cma.optimiser._mean) / (cma.optimiser._sigma * cma.optimiser._A)
        return float(np.linalg.norm((axes.T @ step) / lengths))

    assert distance(Space().complete(FAR)) == pytest.approx(longest)
    assert distance(Space().defaults()) == pytest.approx(0, abs=1e-9)
    assert 0 < distance(Space().complete({"dropout": 0.2})) < longest


def test_inactive_knobs_pull_nowhere(tmp_path):
    cma = rebuilt(search("centaur", 3, tmp_path))
    names = [knob.name for knob in [*cma.continuous, *cma.ordered]]
    injected_at = injected(cma, Space().defaults())
    for name in ("momentum", "huber_delta"):
        place = names.index(name)
        assert injected_at.coordinates[place] == cma.optimiser._mean[place]


def test_the_prompt_shows_the_state_in_the_knobs_units(tmp_path):
    options = {"population": 5}
    history = next_override(tmp_path, search("centaur", 20, tmp_path, options=options), options)
    context = context_for("centaur", tmp_path, history, replies=[reply({"epochs": 7}, "candidate")], options=options)
    proposal = propose(history, context)
    prompt, cma = prompt_of(context), rebuilt(history, 5)
    assert describe(cma) in prompt and "CMA-ES's candidate" in prompt
    rates = next(line for line in describe(cma).splitlines() if line.startswith("| learning_rate"))
    low, high = Space()["learning_rate"].low, Space()["learning_rate"].high
    assert all(low * 0.99 <= float(cell) <= high * 1.01 for cell in rates.split("|")[2:5])
    assert "Widest axes" in prompt and proposal.knobs["epochs"] == 7


def test_changes_start_from_the_base_that_the_agent_names(tmp_path):
    history = next_override(tmp_path, search("centaur", 10, tmp_path))
    ours = propose(history, context_for("centaur", tmp_path / "a", history, replies=[reply({"depth": 4})]))
    theirs = propose(
        history, context_for("centaur", tmp_path / "b", history, replies=[reply({"depth": 4}, "candidate")])
    )
    assert ours.knobs == Space().complete(history.incumbent.knobs | {"depth": 4})
    assert theirs.knobs["depth"] == 4 and theirs.knobs != ours.knobs


def test_a_reply_without_a_legal_point_is_refused(tmp_path):
    history = next_override(tmp_path, search("centaur", 2, tmp_path))
    proposal = propose(history, context_for("centaur", tmp_path, history, replies=[reply({})] * 3))
    assert proposal.status == "refused" and proposal.origin == "agent" and proposal.state == ()


def test_the_state_is_that_of_the_history_alone(tmp_path):
    history = search("centaur", 30, tmp_path, options={"population": 6})
    first, second = rebuilt(history, 6), rebuilt(History(list(history)), 6)
    assert first.optimiser.generation >= 4
    assert np.array_equal(first.optimiser._C, second.optimiser._C)
    assert describe(first) == describe(second)
