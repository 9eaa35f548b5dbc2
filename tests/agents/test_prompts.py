"""Prompts list the knobs neutrally: no word of ours names a fault of trial 0 or its remedy."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from searching import FACTS, SCRIPT, context_for, prompt_of
from simulation import simulate

from tmelt.search.knobs import Space
from tmelt.strategies import propose
from tmelt.strategies.program import PROMPTS, program_path
from tmelt.strategies.registry import agent_kinds
from tmelt.strategies.ua import fenced
from tmelt.study.baseline import FAULTS

REASK = Path(__file__).resolve().parents[2] / "tmelt" / "llm" / "reask.md"


def forbidden() -> dict[str, re.Pattern]:
    """Every knob and every value that is part of a fault or its remedy, as words of a text."""
    words = {knob.name for knob in Space()}
    for fault in FAULTS:
        words |= {value for part in (fault.bad, fault.good) for value in part.values() if isinstance(value, str)}
    words |= {"warm-up", "optimizer", "normalisation", "ensembling", "averaging", "augmentation", "regularisation"}
    words -= {"plain", "standard", "none", "pre", "default", "constant", "mean"}  # ordinary words
    spelled = {word: re.escape(word).replace("_", "[ _-]") for word in words}
    return {word: re.compile(rf"(?<![\w`_]){text}(?:s|es)?(?![\w_])", re.IGNORECASE) for word, text in spelled.items()}


def own_words(text: str) -> str:
    """A prompt without what is data: tables of knobs and trials, the script, the interface of `task` and batches."""
    text = text.replace(fenced(SCRIPT), "")
    text = re.sub(r"^### Per knob.*?(?=^#|\Z)", "", text, flags=re.MULTILINE | re.DOTALL)
    text = re.sub(r"^(## CMA-ES's state).*?(?=^## )", "", text, flags=re.MULTILINE | re.DOTALL)
    text = re.sub(r"^```json\n.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    return "\n".join(line for line in text.splitlines() if not line.startswith("|"))


@pytest.mark.parametrize("kind", sorted(agent_kinds()))
@pytest.mark.parametrize("trials", [0, 3])
def test_no_prompt_names_a_planted_fault(kind, trials, tmp_path):
    """As rendered, after a history without words of an agent's own (random search)."""
    history = simulate("random", trials, folder=tmp_path, reference=SCRIPT)
    options = {"override": 1} if kind == "centaur" else {}
    context = context_for(kind, tmp_path, history, replies=["no"], max_asks=1, options=options)
    assert propose(history, context).status == "refused"
    prompt = own_words(prompt_of(context))
    assert len(prompt) > 1000 and (kind == "obfuscated" or str(FACTS["proteins"]["fit"]) in prompt)
    found = {word for word, pattern in forbidden().items() if pattern.search(prompt)}
    assert not found


@pytest.mark.parametrize("kind", ["ua", "ua_bo"])
@pytest.mark.parametrize("grant", ["none", "fit", "all"])
def test_writers_of_scripts_are_told_of_larger_budgets_and_granted_sequences(kind, grant, tmp_path):
    history = simulate("random", 1, folder=tmp_path, reference=SCRIPT)
    context = context_for(kind, tmp_path, history, replies=["no"], max_asks=1)
    context = replace(context, facts={**context.facts, "sequences": grant})
    propose(history, context)
    prompt = prompt_of(context)
    advice = prompt.split("## How to work")[1].split("## Your reply")[0]
    assert "`task.budget_factor`" in advice
    assert "`sequences` in the task's facts" in advice
    assert re.search(rf"sequences\W+{grant}\b", prompt.split("## The task")[1].split("## The contract")[0])


def test_all_programs_are_checked():
    # A placebo has the program of the agent that it deceives; tests/coder renders that of a coding agent.
    own = (agent_kinds() | {"coder"}) - {"placebo"}
    assert {path.stem for path in PROMPTS.glob("*.md")} == {program_path(kind).stem for kind in own}
    assert not any(pattern.search(REASK.read_text(encoding="utf-8")) for pattern in forbidden().values())


def test_the_check_sees_what_stood_there():
    sentence = "The first large steps are usually structural (pooling, loss, patience, heads), the later ones fine."
    found = {word for word, pattern in forbidden().items() if pattern.search(sentence)}
    assert {"pooling", "loss", "patience", "heads"} <= found
    assert {"learning_rate", "dropout"} <= {w for w, p in forbidden().items() if p.search("learning rate, dropouts")}
