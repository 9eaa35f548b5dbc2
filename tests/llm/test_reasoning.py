"""Reasoning and answer in one text: a draft in the reasoning is never taken for the answer."""

import time
from contextlib import suppress

import pytest

from tmelt.llm import ReplyError, extract_code, extract_edits, extract_json
from tmelt.llm.extract import Edit, has_edits, visible

DRAFT, FINAL = '{"lr": 1.0}', '{"lr": 0.001}'
DRAFT_BLOCK, FINAL_BLOCK = f"```json\n{DRAFT}\n```", f"```json\n{FINAL}\n```"
PAIRS = [
    ("<think>", "</think>"),
    ("<THINK>", "</THINK>"),
    ("<thinking>", "</thinking>"),
    ('<thinking effort="high">', "</thinking>"),
    ("<thought>", "</thought>"),
    ("<reasoning>", "</reasoning>"),
    ("<seed:think>", "</seed:think>"),
    ("[THINK]", "[/THINK]"),
    ("◁think▷", "◁/think▷"),
    ("<|begin_of_thought|>", "<|end_of_thought|>"),
    ("<|START_THINKING|>", "<|END_THINKING|>"),
    ("<|inner_prefix|>", "<|inner_suffix|>"),
    ("<unused94>thought", "<unused95>"),
    ("<|channel>thought", "<channel|>"),
    ("Here is my thought process:", "Here is my response:"),
]
THOUGHTS = {
    "prose": "I wonder {about} this.",
    "bare": f"Perhaps {DRAFT}?",
    "block": f"A draft:\n{DRAFT_BLOCK}\nNo, too high.",
    "open block": f"A draft:\n```json\n{DRAFT}\nNo, too high.",
    "longer fence": f"A draft:\n````\n{DRAFT_BLOCK}\nNo.",
    "tilde": f"~~~json\n{DRAFT}\n~~~\n",
}
ANSWERS = {"bare": FINAL, "block": FINAL_BLOCK, "prose": f"I lower it.\n\n{FINAL_BLOCK}\nDone."}


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
@pytest.mark.parametrize("thought", THOUGHTS.values(), ids=THOUGHTS)
@pytest.mark.parametrize(("opening", "closing"), PAIRS)
def test_only_what_follows_the_reasoning_counts(opening, closing, thought, answer):
    for text in (
        f"{opening}{thought}{closing}{answer}",
        f"\n{opening}\n{thought}\n{closing}\n\n{answer}",
        f"Sure.\n{opening}\n{thought}\n{closing}\n{answer}",  # a greeting before it
        f"{DRAFT_BLOCK}\n{opening}\n{thought}\n{closing}\n{answer}",  # a draft before it
        f"{opening}a{closing}\n{DRAFT_BLOCK}\n{opening}{thought}{closing}\n{answer}",  # reasoning in two parts
        f"{thought}\n{closing}\n{answer}",  # the chat template opened it
        f"{thought}{closing}{answer}",
        f"{opening}{thought} {closing} {thought} {closing}\n{answer}",  # closed twice
    ):
        assert extract_json(text) == {"lr": 0.001}, text


@pytest.mark.parametrize(("opening", "closing"), PAIRS)
def test_reasoning_that_does_not_end_is_no_answer(opening, closing):
    for text in (
        f"{opening}\n{DRAFT_BLOCK}\nand then",
        f"Sure.\n{opening}{DRAFT}",
        f"{opening}a{closing}\n{opening}\n{DRAFT}",
    ):
        with pytest.raises(ReplyError, match="never closed"):
            extract_json(text)
    with pytest.raises(ReplyError, match="no answer"):
        extract_json(f"{opening}{DRAFT_BLOCK}{closing}\n")


ANALYSIS, CHANNEL = "<|channel|>analysis<|message|>", "<|channel|>final<|message|>"


@pytest.mark.parametrize(
    "text",
    [
        f"{ANALYSIS}{DRAFT_BLOCK}<|end|><|start|>assistant{CHANNEL}{FINAL}",
        f"{ANALYSIS}{DRAFT_BLOCK}{CHANNEL}{FINAL}<|return|>",
        f"<|start|>assistant{ANALYSIS}```json\n{DRAFT}\n<|end|><|start|>assistant{CHANNEL}{FINAL_BLOCK}<|end|>",
        f"{ANALYSIS}x<|end|><|start|>assistant<|channel|>commentary<|message|>{DRAFT}<|end|>{CHANNEL}{FINAL}",
        f"{ANALYSIS}x<|end|><|start|>assistant<|channel|>final <|constrain|>json<|message|>{FINAL}",
        f"{DRAFT_BLOCK}<|end|><|start|>assistant{CHANNEL}{FINAL}",
        f"{CHANNEL}{FINAL}",
        f"analysisWe may try {DRAFT_BLOCK}\nassistantfinal{FINAL}",  # without the special tokens
    ],
)
def test_only_the_final_channel_counts(text):
    assert extract_json(text) == {"lr": 0.001}


def test_channels_without_a_final_one_are_no_answer():
    for text in (f"{ANALYSIS}{DRAFT}", f"{ANALYSIS}x<|end|><|start|>assistant<|channel|>commentary<|message|>{DRAFT}"):
        with pytest.raises(ReplyError, match="no final channel"):
            extract_json(text)


@pytest.mark.parametrize(
    "text",
    [
        f"Perhaps {DRAFT_BLOCK}\n<answer>\n{FINAL}\n</answer>",
        f"<think>a</think>\n<answer>{FINAL_BLOCK}</answer>",
        f"<think>{DRAFT}</think><response>{FINAL}</response>",
        f"Draft {DRAFT}\n<|begin_of_box|>{FINAL}<|end_of_box|>",
        f"<|START_THINKING|>{DRAFT}<|END_THINKING|><|START_RESPONSE|>{FINAL}<|END_RESPONSE|>",
        f"Draft {DRAFT}\n<answer>{FINAL}",
    ],
)
def test_an_answer_between_delimiters_is_all_that_counts(text):
    assert extract_json(text) == {"lr": 0.001}


@pytest.mark.parametrize(
    "text",
    [
        '{"note": "the model closes with </think> and <answer>"}',
        '```json\n{"note": "the model closes with </think> and <answer>"}\n```',
        '[{"note": "</think>"}, "<think>"]',
        'I use no `<think>` and no "</think>" here.\n```json\n{"note": 1}\n```',
    ],
)
def test_delimiters_that_are_content_stay(text):
    assert visible(text) == text


def test_a_script_may_hold_delimiters():
    script = 'import re\n\nCLEAN = re.compile("x</think>y|<think>")\n'
    assert extract_code(f"```python\n{script}```") == script
    assert extract_code(f"<think>\n```python\nx = 1\n```\n</think>\n```python\n{script}```") == script


def block(search: str, replace: str) -> str:
    return f"<<<<<<< SEARCH\n{search}=======\n{replace}>>>>>>> REPLACE\n"


REAL, DRAFT_EDIT = block("b = 2\n", "b = 3\n"), block("a = 1\n", "a = 9\n")


@pytest.mark.parametrize(
    "text",
    [
        f"```\n{DRAFT_EDIT}```\n</think>\n{REAL}",
        f"Sure.\n<think>\n```python\n{DRAFT_EDIT}```\n</think>\n```python\n{REAL}```",
        f"{DRAFT_EDIT}</think>{REAL}",
        f"[THINK]{DRAFT_EDIT}[/THINK]\n{REAL}",
        f"{ANALYSIS}{DRAFT_EDIT}<|end|><|start|>assistant{CHANNEL}{REAL}",
    ],
)
def test_an_edit_in_the_reasoning_is_not_applied(text):
    assert extract_edits(text) == [Edit("b = 2\n", "b = 3\n")]


def test_a_script_in_the_reasoning_is_no_script():
    for opening in ("", "<think>"):
        text = f"{opening}Maybe\n```python\nx=1\n```\n</think>\nI keep it as it is."
        with pytest.raises(ReplyError, match="no ```python block"):
            extract_code(text)
        assert not has_edits(text) and visible(text).strip() == "I keep it as it is."


@pytest.mark.slow
def test_hostile_repetition_is_read_in_bounded_time():
    began = time.process_time()
    for piece in (
        "<think>",
        "</think>",
        "<think></think>",
        "```\n<think> x\n",
        "<answer>\n",
        "<|channel|>final",
        "analysis",
        "```a",
    ):
        for text in (piece * (100_000 // len(piece)), "x " * 20_000 + piece * 2000):
            with suppress(ReplyError):
                visible(text)
    assert time.process_time() - began < 20
