"""The scripted researcher: it reads prompts as they are, and its script ideas are real."""

import itertools
from types import ModuleType

import numpy as np
import pytest
import torch
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from searching import SCRIPT, context_for, search
from simulation import Landscape

from tmelt.errors import InputError
from tmelt.files import canonical_json
from tmelt.harness.task import Proteins, Task
from tmelt.knobs import Space, knobs_from_table
from tmelt.llm import apply_edits
from tmelt.llm.playbook import Playbook
from tmelt.llm.playbook.ideas import read_ideas
from tmelt.llm.playbook.moves import CAPACITY, FIRST, LATER, REGULARISE
from tmelt.llm.playbook.reading import read_prompt
from tmelt.llm.playbook.variation import JITTER, Variation
from tmelt.strategies import AGENTS, propose
from tmelt.strategies.agent import task_text
from tmelt.strategies.check_script import check_script
from tmelt.strategies.coarse import told_mae
from tmelt.strategies.memory import remember
from tmelt.strategies.program import fill_program, program_path
from tmelt.strategies.seeds import seed_of

SMALL = {
    "width": 64, "heads": 2, "feed_forward": 256, "head_width": 128, "epochs": 12, "patience": 12, "batch_size": 8,
    "learning_rate": 3e-3, "schedule": "linear",
}  # fmt: skip


def prompt_for(kind, history, **values):
    """(system, user) as the strategy makes them."""
    memory = remember(history, Space(), base=(history.incumbent or history[0]).iteration, tokens=12_000)
    common = {"task": task_text({}), "knobs": Space().markdown(), "history": memory, "guidance": "", "iteration": "9"}
    common |= {"left": "", "tools": ""}
    return fill_program(program_path(kind), {**common, **values})


def test_it_reads_the_knob_table_as_it_is(tmp_path):
    prompt = read_prompt(*prompt_for("ra", search("ra", 3, tmp_path)))
    for knob in Space():
        read = prompt.knobs[knob.name]
        assert (read.kind, read.low, read.high, read.log, read.choices) == (
            knob.kind, knob.low, knob.high, knob.log, knob.choices,
        )  # fmt: skip
        assert read.when == knob.when and read.default == knob.default


def test_it_reads_the_history_as_it_is(tmp_path):
    history = search("ra", 6, tmp_path)
    prompt = read_prompt(*prompt_for("ra", history))
    assert prompt.base == history.incumbent.knobs and prompt.base_number == history.incumbent.iteration
    assert [attempt.val for attempt in prompt.attempts] == [told_mae(trial) for trial in history]
    assert prompt.iteration == 9


def test_a_program_without_what_it_needs_is_an_input_error(tmp_path):
    system, user = prompt_for("ra", search("ra", 1, tmp_path))
    with pytest.raises(InputError, match="playbook"):
        read_prompt(system, user.replace("### Trials", "### Other"))
    with pytest.raises(InputError, match="playbook"):
        read_prompt(system.replace("```json", "```"), user)


def test_the_order_is_roughly_the_textbook_s(tmp_path):
    history = search("ra", 8, tmp_path)
    opening, later = {step.title for step in FIRST}, {step.title for step in (*CAPACITY, *REGULARISE, *LATER)}
    titles = [trial.proposal["hypothesis"].split(":")[0] for trial in history[1:]]
    assert opening >= set(titles) and not later & set(titles)
    lines = [line.title for line in FIRST]
    varied = Variation(7).order(FIRST, lambda step: step.title)
    assert all(abs(place - lines.index(step.title)) <= JITTER for place, step in enumerate(varied))


@pytest.mark.slow
@pytest.mark.parametrize("kind", sorted(AGENTS))
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
    system, user = prompt_for("ra", search("ra", 2, tmp_path))
    messages = [SystemMessage(system), HumanMessage(user)]
    first = Playbook().invoke(messages)
    assert first.text == Playbook().invoke(messages).text
    again = [*messages, AIMessage(first.text), HumanMessage("Your reply could not be used")]
    assert Playbook().invoke(again).text != first.text


def test_it_claims_no_tokens_and_says_what_it_is(tmp_path):
    system, user = prompt_for("ra", search("ra", 1, tmp_path))
    message = Playbook().invoke([SystemMessage(system), HumanMessage(user)])
    assert message.usage_metadata is None
    assert message.response_metadata["scripted"] is True and "scripted, not an LLM" in message.text


def test_a_wide_gap_brings_regularisation_first(tmp_path):
    history = search("ra", 10, tmp_path)
    tables = prompt_for("ra", history)
    playbook = Playbook(search_seed=seed_of("simulated", "ra", 0))
    narrow = playbook.invoke([SystemMessage(tables[0]), HumanMessage(tables[1])]).text
    wide = playbook.invoke([SystemMessage(tables[0]), HumanMessage(tables[1].replace(" 0.50 |", " 2.50 |"))]).text
    assert any(step.title in narrow for step in CAPACITY) and any(step.title in wide for step in REGULARISE)


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


def test_the_prompt_that_it_gets_is_the_prompt_that_an_llm_gets(tmp_path):
    """The playbook sits behind the chat model's interface: nothing but messages reaches it."""
    history = search("ra", 2, tmp_path)
    proposal = propose(history, context_for("ra", tmp_path, history))
    import json

    record = json.loads((tmp_path / "i3" / "llm" / "01.json").read_text())
    messages = [SystemMessage(record["request"]["messages"][0]["content"]),
                HumanMessage(record["request"]["messages"][1]["content"])]  # fmt: skip
    playbook = Playbook(search_seed=seed_of("simulated", "ra", 0))
    assert record["request"]["parameters"]["search_seed"] == playbook.search_seed
    assert playbook.invoke(messages).text == record["reply"]["text"]
    assert proposal.transcripts == ("01.json",)
