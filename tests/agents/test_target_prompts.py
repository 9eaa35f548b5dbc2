"""Prompts of a study of another property speak of it, in its unit, and never of melting temperatures."""

from dataclasses import replace

import polars as pl
import pytest
from other_target import SOLUBILITY, words_of_tm
from searching import FACTS, SCRIPT, context_for, prompt_of
from simulation import simulate

from tmelt.search.diagnostics import stop_errors
from tmelt.search.knobs import Space
from tmelt.strategies import propose
from tmelt.strategies.facts import open_labels
from tmelt.strategies.outcomes import stop_errors_text
from tmelt.strategies.registry import agent_kinds


def labelled():
    rows = {
        "protein_id": [f"p{number}" for number in range(20)],
        "sequence": ["ACDEFGHIKL" * (2 + number % 3) + "MNPQ"[: number % 4] for number in range(20)],
        "organism": [f"o{number % 2}" for number in range(20)],
        "split": ["fit"] * 12 + ["stop"] * 8,
        "tm": [4.5 * number for number in range(20)],
    }
    return pl.DataFrame(rows)


@pytest.mark.parametrize("kind", sorted(agent_kinds()))
def test_prompts_name_the_target_and_its_unit(kind, tmp_path):
    history = simulate("random", 3, folder=tmp_path, reference=SCRIPT)
    options = {"override": 1} if kind == "centaur" else {}
    space = Space().for_target(SOLUBILITY)
    context = context_for(kind, tmp_path, history, replies=["no"], max_asks=1, options=options, space=space)
    facts = {key: value for key, value in FACTS.items() if key != "objective"} | open_labels(labelled(), SOLUBILITY)
    assert propose(history, replace(context, facts=facts, target=SOLUBILITY)).status == "refused"
    prompt = prompt_of(context)
    assert not words_of_tm(prompt)
    assert ("solubility (in %)" in prompt and "error in % " in " ".join(prompt.split())) or kind == "obfuscated"


def test_errors_on_stop_have_the_unit():
    known = labelled().filter(pl.col("split") == "stop")
    found = stop_errors(known, (known["tm"].to_numpy() + 3.0)[None], SOLUBILITY.unit)
    text = stop_errors_text(found, 0.1, SOLUBILITY)
    assert "by solubility: 54 to " in text and " % (2): 3.00" in text and not words_of_tm(text)
