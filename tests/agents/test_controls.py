"""Control arms: one question and a sampler, shuffled outcomes, hidden names. The contract is in test_contract.py."""

import itertools
import json
import re

import numpy as np
import pytest
from searching import SCRIPT, context_for, prompt_of, search, step
from simulation import Landscape, simulate

from tmelt.errors import InputError
from tmelt.search.history import History
from tmelt.search.knobs import Space
from tmelt.search.notes import Candidates
from tmelt.storage.files import canonical_json
from tmelt.strategies import propose
from tmelt.strategies.check_options import check_options
from tmelt.strategies.coarse import told_mae
from tmelt.strategies.obfuscated import View
from tmelt.strategies.placebo import shuffled

FIELDS = {"hypothesis": "h", "rationale": "r"}


def seeds(*candidates):
    return json.dumps(FIELDS | {"candidates": list(candidates)})


# LLM-seeded


def test_one_question_proposes_the_first_candidates_and_a_sampler_goes_on(tmp_path):
    history = search("llm_seeded", 9, tmp_path, options={"seeds": 3})
    assert [trial.llm_calls for trial in history] == [0, 1] + [0] * 8
    assert [trial.origin for trial in history[1:]] == ["agent", "startup", "startup"] + ["sampler"] * 6
    assert [trial.model_based for trial in history[1:]] == [False] * 3 + [True] * 6
    planned = list(history[1].note(Candidates).knobs)
    assert [trial.knobs for trial in history[1:4]] == planned
    assert all("proposed in trial 1" in trial.proposal["rationale"] for trial in history[2:4])


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        (seeds({"depth": 2}), "exactly 2 are asked for"),
        (seeds({"depth": 2}, {"depth": 2}), "two of them are the same"),
        (seeds({"depth": 2}, {"layers": 2}), "no such knob"),
        (seeds({"depth": 2}, {}), "nothing would change"),
    ],
)
def test_unusable_candidates_are_asked_again(tmp_path, bad, why):
    history = simulate("random", 0, folder=tmp_path, reference=SCRIPT)
    good = seeds({"depth": 2}, {"depth": 3})
    context = context_for("llm_seeded", tmp_path, history, replies=[bad, good], options={"seeds": 2})
    assert propose(history, context).knobs["depth"] == 2
    assert why in context.conversation._given.prompts[1][-1]


def test_a_search_without_a_usable_reply_goes_on_with_the_sampler(tmp_path):
    history = simulate("random", 0, folder=tmp_path, reference=SCRIPT)
    for _ in range(2):
        context = context_for("llm_seeded", tmp_path, history, replies=["no"], max_asks=1, options={"seeds": 2})
        history = step(history, propose(history, context), tmp_path)
    assert [trial.status for trial in history] == ["ok", "refused", "refused"]
    later = propose(history, context_for("llm_seeded", tmp_path, history, replies=[], options={"seeds": 2}))
    assert later.status == "proposed" and later.origin == "startup"


# Placebo


def test_a_placebo_sees_outcomes_of_other_trials_and_nothing_else_is_changed():
    history = simulate("random", 20, landscape=Landscape(Space(), seed=3, failing=0.3))
    seen = shuffled(history, seed=1)
    assert seen[0].val_mae == history[0].val_mae
    for shown, real in zip(seen[1:], history[1:], strict=True):
        assert (shown.knobs, shown.script, shown.proposal) == (real.knobs, real.script, real.proposal)
        assert (shown.status, shown.val_mae_by_seed) != (real.status, real.val_mae_by_seed) or not real.ok
    for name in ("status", "val_mae", "error", "fit_mae"):
        assert sorted(map(str, (t.row[name] for t in seen))) == sorted(map(str, (t.row[name] for t in history)))
    best = min(seen.succeeded, key=lambda trial: (told_mae(trial), trial.iteration))
    assert seen.incumbent.iteration == best.iteration
    assert [t.row for t in shuffled(history, seed=1)] == [t.row for t in seen]
    assert [t.row for t in shuffled(history, seed=2)] != [t.row for t in seen]


def test_the_placebo_s_prompt_is_the_agent_s_with_the_wrong_numbers(tmp_path):
    history = search("placebo", 8, tmp_path)
    dictated = {"replies": ["no"], "max_asks": 1}
    told = context_for("placebo", tmp_path, history, **dictated)
    propose(history, told)
    honest = context_for("ra", tmp_path, history, **dictated)
    propose(history, honest)
    systems = [context.conversation._given.prompts[0][0] for context in (told, honest)]
    assert systems[0] == systems[1]
    rows = [re.findall(r"^\| (\d+) \| ([\d.]+) \|", prompt_of(context), re.MULTILINE) for context in (told, honest)]
    assert sorted(value for _, value in rows[0]) == sorted(value for _, value in rows[1])
    assert sum(a == b for a, b in zip(*rows, strict=True)) <= 1 + sum(trial.val_mae is None for trial in history)


def test_the_harness_decides_by_the_real_outcomes(tmp_path):
    """What a placebo proposes starts from the incumbent that it was shown; the search's own is the true one."""
    history = search("placebo", 12, tmp_path)
    parents = [trial.parent for trial in history[1:]]
    true = [History(history[: trial.iteration]).incumbent.iteration for trial in history[1:]]
    assert parents != true
    assert history.incumbent.val_mae <= history[0].val_mae


# Obfuscated view


@pytest.mark.parametrize("seed", range(5))
def test_an_obfuscated_space_is_mapped_back_exactly(seed):
    view, generator = View(Space()), np.random.default_rng(seed)
    history = simulate("random", 6, trajectory=seed)
    for base, other in itertools.pairwise(history):
        shown = view.knobs(other.knobs)
        assert view.space.complete(shown) == shown
        back = view.real(shown, base.knobs)
        assert view.knobs(back) == shown, "the agent finds again what it said"
        assert view.real(view.knobs(base.knobs), base.knobs) == base.knobs, "what it leaves alone is not touched"
        name = str(generator.choice([knob.name for knob in Space() if knob.kind != "float" and knob.name in back]))
        assert back[name] == other.knobs[name]
    assert view.real(view.space.defaults(), history[1].knobs) == Space().defaults()


def test_an_obfuscated_prompt_does_not_give_the_task_away(tmp_path):
    history = search("obfuscated", 6, tmp_path)
    record = json.loads((tmp_path / "i6" / "llm" / "01.json").read_text())
    said = " ".join(message["content"] for message in record["request"]["messages"]).lower()
    task = ("protein", "temperature", "melting", "°c", "esm", "residue", "network", "training", "epoch", "sequence")
    assert not [word for word in task if word in said]
    assert not [knob.name for knob in Space() if re.search(rf"\b{knob.name}\b", said)]
    assert not [
        choice for knob in Space() for choice in knob.choices
        if isinstance(choice, str) and choice not in ("none", "mean", "plain", "standard", "default", "constant", "max")
        and re.search(rf"\b{choice}\b", said)
    ]  # fmt: skip
    assert len({canonical_json(trial.knobs) for trial in history}) == 7
    assert all(set(trial.knobs) <= {knob.name for knob in Space()} for trial in history)


def test_complaints_about_a_reply_are_in_the_agent_s_terms(tmp_path):
    history = simulate("random", 0, folder=tmp_path, reference=SCRIPT)
    number = [knob.name for knob in Space()].index("learning_rate") + 1
    bad = [json.dumps(FIELDS | {"changes": changes}) for changes in ({f"k{number:02d}": 2.0}, {"learning_rate": 1e-3})]
    good = json.dumps(FIELDS | {"changes": {f"k{number:02d}": 0.5}})
    context = context_for("obfuscated", tmp_path, history, replies=[*bad, good])
    proposal = propose(history, context)
    assert proposal.knobs["learning_rate"] == pytest.approx(1e-3**0.5 * 1e-5**0.5 * 10**0.5, rel=1e-3)
    complaint = context.conversation._given.prompts[1][-1]
    assert f"k{number:02d}=2.0: outside 0 – 1" in complaint and "learning" not in complaint


def test_the_playbook_loses_its_knowledge_behind_the_view(tmp_path):
    said = [t.proposal["hypothesis"] for t in search("obfuscated", 8, tmp_path)[1:]]
    assert all(text.startswith(("Fine step", "Combine")) for text in said)


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        ("placebo", {"model": "playbook", "agent": "random"}, "agent"),
        ("placebo", {"model": "playbook", "agent": "ra", "round": 3}, "round"),
        ("placebo", {"model": "playbook", "agent": "ra_bo", "round": 1}, "model-based"),
        ("obfuscated", {"model": "playbook", "agent": "ua"}, "agent"),
        ("llm_seeded", {"model": "playbook", "bo": {"sampler": "x"}}, "sampler"),
        ("llm_seeded", {"model": "playbook", "seeds": 0}, "seeds"),
    ],
)
def test_options_of_controls_are_checked(kind, options, message):
    with pytest.raises(InputError, match=message):
        check_options("arm", kind, options)
