"""The scripted researcher: it is told what a prompt says, as data, and its script ideas are real."""

import itertools
import json
import re
from dataclasses import replace
from types import ModuleType

import numpy as np
import pytest
import torch
from langchain_core.messages import AIMessage, HumanMessage
from searching import SCRIPT, context_for, search
from simulation import Landscape

from tmelt.errors import InputError
from tmelt.harness.task import Proteins, Task
from tmelt.llm import apply_edits
from tmelt.search.knobs import Space, knobs_from_table
from tmelt.storage.files import canonical_json
from tmelt.strategies import agent, propose
from tmelt.strategies import program as strategy_program
from tmelt.strategies.briefing import Briefing, attempts_of
from tmelt.strategies.check_script import check_script
from tmelt.strategies.coarse import told_mae
from tmelt.strategies.memory import remember
from tmelt.strategies.playbook.ideas import read_ideas
from tmelt.strategies.playbook.model import Playbook
from tmelt.strategies.playbook.moves import CAPACITY, FIRST, LATER, REGULARISE
from tmelt.strategies.playbook.variation import JITTER, Variation
from tmelt.strategies.program import DIVIDER, PROMPTS, program_path
from tmelt.strategies.registry import agent_kinds
from tmelt.strategies.seeds import seed_of

SMALL = {
    "width": 64, "heads": 2, "feed_forward": 256, "head_width": 128, "epochs": 12, "patience": 12, "batch_size": 8,
    "learning_rate": 3e-3, "schedule": "linear",
}  # fmt: skip


def briefing_for(history, **changes):
    """What `ra` is told before its next proposal."""
    base = history.incumbent or history[0]
    knobs = {knob.name: knob for knob in Space()}
    return Briefing(("changes",), knobs, base.knobs, base.iteration, attempts_of(history), len(history), **changes)


def said(briefing, *turned_down, seed=0):
    """What the playbook replies to a briefing, after so many replies that were turned down."""
    messages = [HumanMessage("whatever"), *map(AIMessage, turned_down)]
    return Playbook(search_seed=seed).invoke(messages, briefing=briefing.to_json()).text


def test_a_briefing_says_what_a_prompt_says(tmp_path):
    """The same trials, with the same rounded errors, as the prompt's table; nothing finer."""
    history = search("ra", 6, tmp_path)
    briefing = Briefing.from_json(json.loads(json.dumps(briefing_for(history).to_json())))
    assert briefing == briefing_for(history)
    assert [attempt.val for attempt in briefing.attempts] == [told_mae(trial) for trial in history]
    table = remember(history, Space(), base=0, tokens=12_000).split("### Trials")[1].split("\n\n### ")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines() if "|" in line]
    header, shown = rows[0], rows[2:]
    for attempt, row in zip(briefing.attempts, shown, strict=True):
        cells = dict(zip(header, row, strict=True))
        assert f"{attempt.val:.2f}" == cells["val"] and f"{attempt.gap:.2f}" == cells["val-fit"]
        assert (", ".join(attempt.changes) or "baseline") == cells["changes"]


@pytest.mark.parametrize("kind", sorted(agent_kinds()))
def test_editing_every_prompt_changes_no_proposal(kind, tmp_path, monkeypatch):
    """The prompts lose every word and keep their placeholders; the playbook proposes the same."""
    options = {"override": 1} if kind == "centaur" else {}
    before = search(kind, 4, tmp_path / "before", options=options)
    emptied = tmp_path / "prompts"
    emptied.mkdir()
    for path in PROMPTS.glob("*.md"):
        system, user = path.read_text().split(f"\n{DIVIDER}\n")
        words = ["\n".join(sorted(set(re.findall(r"\{\{\w+\}\}", part)))) for part in (system, user)]
        (emptied / path.name).write_text(f"Other words.\n{words[0]}\n{DIVIDER}\n{words[1]}\n")
    monkeypatch.setattr(strategy_program, "program_path", lambda kind: emptied / program_path(kind).name)
    monkeypatch.setattr(agent, "program_path", strategy_program.program_path)
    after = search(kind, 4, tmp_path / "after", options=options)
    assert "Other words." in (tmp_path / "after" / "i1" / "llm" / "01.json").read_text()
    assert [(t.script, t.knobs, t.origin) for t in after] == [(t.script, t.knobs, t.origin) for t in before]


def test_it_answers_agents_alone():
    with pytest.raises(InputError, match="without a briefing"):
        Playbook().invoke([HumanMessage("hello")])


def test_the_order_is_roughly_the_textbook_s(tmp_path):
    history = search("ra", 8, tmp_path)
    opening, later = {step.title for step in FIRST}, {step.title for step in (*CAPACITY, *REGULARISE, *LATER)}
    titles = [trial.proposal["hypothesis"].split(":")[0] for trial in history[1:]]
    assert opening >= set(titles) and not later & set(titles)
    lines = [line.title for line in FIRST]
    varied = Variation(7).order(FIRST, lambda step: step.title)
    assert all(abs(place - lines.index(step.title)) <= JITTER for place, step in enumerate(varied))


@pytest.mark.slow
@pytest.mark.parametrize("kind", sorted(agent_kinds()))
def test_five_searches_of_one_arm_are_no_copies(kind, tmp_path):
    """Same study, same arm, same landscape: what differs is the trajectory alone."""
    chains = {
        tuple((trial.script, canonical_json(trial.knobs)) for trial in search(
            kind, 6, tmp_path / str(number), trajectory=number
        ))
        for number in range(5)
    }  # fmt: skip
    assert len(chains) == 5


def test_the_playbook_alone_tells_searches_apart(tmp_path):
    """`ra` draws nothing at random outside the playbook: its five searches differ from the first trials on."""
    openings = {
        tuple(canonical_json(trial.knobs) for trial in search("ra", 3, tmp_path / str(number), trajectory=number))
        for number in range(5)
    }
    assert len(openings) == 5


def test_numbers_that_a_study_has_fixed_stay_as_they_are(tmp_path):
    fixed = ("learning_rate", "weight_decay", "gradient_clip", "epochs", "depth")
    space = Space().with_changes({name: {"fixed": None} for name in fixed})
    history = search("ra", 16, tmp_path, Landscape(space))
    assert len(history) == 17 and not history.failed
    assert all(trial.knobs[name] == space.defaults()[name] for trial in history for name in fixed)


def test_a_reply_that_was_turned_down_moves_on(tmp_path):
    briefing = briefing_for(search("ra", 2, tmp_path))
    first = said(briefing)
    assert first == said(briefing) and said(briefing, first) != first


def test_it_claims_no_tokens_and_says_what_it_is(tmp_path):
    briefing = briefing_for(search("ra", 1, tmp_path))
    message = Playbook().invoke([HumanMessage("")], briefing=briefing.to_json())
    assert message.usage_metadata is None
    assert message.response_metadata["scripted"] is True and "scripted, not an LLM" in message.text


def test_a_wide_gap_brings_regularisation_first(tmp_path):
    narrow = briefing_for(search("ra", 10, tmp_path))
    wide = replace(narrow, attempts=tuple(replace(attempt, gap=2.5) for attempt in narrow.attempts))
    seed = seed_of("simulated", "ra", 0)
    assert narrow.gap == 0.5
    assert any(step.title in said(narrow, seed=seed) for step in CAPACITY)
    assert any(step.title in said(wide, seed=seed) for step in REGULARISE)


@pytest.mark.parametrize("count", [1, 2, 6])
def test_ideas_apply_to_the_reference_in_any_order(count):
    for ideas in itertools.islice(itertools.permutations(read_ideas(), count), 0, None, 53 if count == 6 else 1):
        script = SCRIPT
        for idea in ideas:
            edits = idea.edits_for(script)
            assert edits is not None, f"{idea.title} does not fit after {[i.title for i in ideas]}"
            script = apply_edits(script, edits)
        declared = check_script(script, Space())
        assert {row["name"] for row in declared} == {row["name"] for idea in ideas for row in idea.knobs}
        assert all(idea.edits_for(script) is None for idea in ideas), "an idea applies once"


def test_ua_tries_every_idea(tmp_path):
    history = search("ua", 9, tmp_path)
    seen = [trial.proposal["hypothesis"] for trial in history[1:]]
    assert all(any(text.startswith(idea.title) for text in seen) for idea in read_ideas())


def proteins(count: int, seed: int, labels: bool = True) -> Proteins:
    """Random residues whose tm follows their mean."""
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.randint(5, 40, (count,), generator=generator)
    store = torch.randn(int(lengths.sum()), 12, generator=generator).half()
    starts = (lengths.cumsum(0) - lengths).numpy()
    tm = torch.stack([store[s : s + n].float().mean(0) for s, n in zip(starts, lengths.tolist(), strict=True)]).sum(1)
    composition = torch.zeros(count, 20, dtype=torch.long)
    return Proteins(store, starts, lengths, composition, None, torch.device("cpu"), 50 + 5 * tm if labels else None)


def train(script, folder):
    """Predictions (n,) of a script trained for real, in this process."""
    torch.set_num_threads(1)
    module = ModuleType("candidate")
    exec(compile(script, "train.py", "exec"), module.__dict__)
    declared = knobs_from_table(check_script(script, Space()))
    knobs = Space().extended(declared).complete(SMALL)
    folder.mkdir()
    common = {"seed": 0, "device": torch.device("cpu"), "precision": "fp32", "seconds": 60, "output": folder}
    module.fit(Task(**common, fit=proteins(60, 0), stop=proteins(20, 1)), knobs, folder)
    pool = proteins(30, 2, labels=False)
    predicted = module.predict(Task(**common, pool=pool), folder)
    backwards = module.predict(Task(**common, pool=pool.select(np.arange(30)[::-1].copy())), folder)
    return predicted.numpy(), backwards.numpy()[::-1]


@pytest.mark.slow
@pytest.mark.parametrize(
    "ideas",
    [
        pytest.param(read_ideas(), id="all"),
        *(pytest.param([idea], id=idea.title) for idea in read_ideas()),
    ],
)
def test_every_idea_really_trains(ideas, tmp_path):
    script = SCRIPT
    for idea in ideas:
        script = apply_edits(script, idea.edits_for(script))
    predicted, backwards = train(script, tmp_path / "a")
    again, _ = train(script, tmp_path / "b")
    plain, _ = train(SCRIPT, tmp_path / "c")
    assert predicted.shape == (30,) and np.isfinite(predicted).all() and predicted.std() > 0
    assert (predicted == again).all(), "same seed, same predictions"
    assert (predicted == backwards).all(), "a prediction depends on its protein alone"
    assert (predicted != plain).any(), "the idea does something"


def test_its_reply_follows_from_what_is_recorded(tmp_path):
    history = search("ra", 2, tmp_path)
    proposal = propose(history, context_for("ra", tmp_path, history))
    record = json.loads((tmp_path / "i3" / "llm" / "01.json").read_text())
    request = record["request"]
    again = Playbook(search_seed=request["parameters"]["search_seed"])
    assert again.search_seed == seed_of("simulated", "ra", 0)
    assert again.invoke([HumanMessage("")], briefing=request["briefing"]).text == record["reply"]["text"]
    assert proposal.transcripts == ("01.json",)
