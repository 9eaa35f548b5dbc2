"""What the playbook reads off a prompt: tables, the script, the log of a crash, a person's words."""

import ast
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from tmelt.errors import InputError
from tmelt.knobs import Knob, KnobError, Value, knobs_from_table

_WHEN = re.compile(r"; only if (\w+) is (.+)$")


@dataclass(frozen=True)
class Attempt:
    """A row of the prompt's table of trials."""

    number: int
    val: float | None  # °C; None if it failed
    gap: float | None  # val − fit, °C
    parent: int | None
    changes: frozenset[str]  # `knob=value` as printed, and `script`
    idea: str


@dataclass(frozen=True)
class Prompt:
    """A prompt, as far as the playbook understands it."""

    asked: frozenset[str]  # keys of the reply's JSON
    knobs: Mapping[str, Knob]  # those of the table, and those that the script declares
    base: Mapping[str, Value]  # active knobs of the trial to start from
    base_number: int
    attempts: tuple[Attempt, ...]
    iteration: int
    rounds: int  # completed rounds of a hybrid
    script: str | None = field(repr=False)  # of an agent that may write one
    log: str | None = field(repr=False)  # of the crash to repair
    guidance: str = ""
    candidates: int = 1  # how many are asked for in one reply
    search_seed: int = 0  # of the model, not of the prompt: see variation.py

    @property
    def base_attempt(self) -> Attempt | None:
        """The trial to start from, if the table shows it."""
        return next((attempt for attempt in self.attempts if attempt.number == self.base_number), None)

    @property
    def gap(self) -> float | None:
        """Generalisation gap of the trial to start from, in °C, if known."""
        return self.base_attempt.gap if self.base_attempt else None


def read_prompt(system: str, user: str) -> Prompt:
    """Read a prompt as prompts/*.md make it.

    Raises:
        InputError: something that the playbook needs is not there; a person's edit of the program took it away.
    """
    tables = list(_tables(system)) + list(_tables(user))
    knob_rows = next((rows for _, rows in tables if rows and list(rows[0]) == ["knob", "range", "default", "meaning"]),
                     None)  # fmt: skip
    base = next(((title, rows) for title, rows in tables if title.startswith("Knobs of trial")), None)
    trials = next((rows for title, rows in tables if title.startswith("Trials")), None)
    if knob_rows is None or base is None or trials is None:
        raise InputError("playbook: the prompt lacks the table of knobs, of the incumbent's knobs or of the trials;"
                         " restore the program under tmelt/strategies/prompts/")  # fmt: skip
    script = _section_block(user, r"^## The script of trial \d+.*$")
    knobs = {row["knob"]: _knob(row) for row in knob_rows}
    if script is not None:
        knobs |= {knob.name: knob for knob in _declared(script)}
    sections = _sections(user)
    iteration = re.search(r"^# Trial (\d+)", user, re.MULTILINE)
    candidates = re.search(r"exactly (\d+) candidates", sections.get("Now", ""))
    rounds = [int(number) for number in re.findall(r"^Round (\d+), opened by", user, re.MULTILINE)]
    return Prompt(
        asked=_asked(system),
        knobs=knobs,
        base={row["knob"]: typed(knobs[row["knob"]], row["value"]) for row in base[1] if row["knob"] in knobs},
        base_number=int(re.findall(r"\d+", base[0])[0]),
        attempts=tuple(_attempt(row) for row in trials),
        iteration=int(iteration[1]) if iteration else 0,
        rounds=max(rounds, default=0),
        script=script,
        log=_section_block(user, r"^## Repair this script$"),
        guidance=sections.get("A person asks of you", ""),
        candidates=int(candidates[1]) if candidates else 1,
    )


def _asked(system: str) -> frozenset[str]:
    """Keys of the example of a reply."""
    for block in re.findall(r"^```json\n(.*?)^```", system, re.MULTILINE | re.DOTALL):
        try:
            return frozenset(json.loads(block))
        except ValueError:
            continue
    raise InputError("playbook: the program shows no example of the reply in a ```json block; put one back")


def _sections(text: str) -> dict[str, str]:
    parts = re.split(r"^## (.+)$", text, flags=re.MULTILINE)
    return {title.strip(): body.strip() for title, body in zip(parts[1::2], parts[2::2], strict=True)}


def _section_block(text: str, heading: str) -> str | None:
    """The first fenced block after a heading."""
    found = re.search(heading, text, re.MULTILINE)
    if not found:
        return None
    block = re.search(r"^(`{3,})\w*\n(.*?)^\1\s*$", text[found.end() :], re.MULTILINE | re.DOTALL)
    return block[2] if block else None


def _tables(text: str) -> Iterator[tuple[str, list[dict[str, str]]]]:
    """(nearest heading, rows) of each Markdown table."""
    heading, header, rows = "", None, []
    for line in [*text.split("\n"), ""]:
        if line.startswith("|"):
            cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
            if header is None:
                header = cells
            elif set("".join(cells)) - set("-: "):
                rows.append(dict(zip(header, cells, strict=False)))
            continue
        if header is not None:
            yield heading, rows
            header, rows = None, []
        if line.startswith("#"):
            heading = line.lstrip("# ").strip()


def _knob(row: Mapping[str, str]) -> Knob:
    """A knob from its row of the table, which leaves no doubt but that of whole-number choices."""
    text, default = row["range"], row["default"]
    when = _WHEN.search(row["meaning"])
    fields: dict[str, Any] = {"name": row["knob"], "meaning": row["meaning"]}
    numbers = re.fullmatch(r"(\S+) – (\S+?)( \(log\))?", text)
    if numbers:
        low, high = float(numbers[1]), float(numbers[2])
        whole = re.fullmatch(r"-?\d+", default) is not None
        value = int(default) if whole else float(default)
        fields |= {"kind": "int" if whole else "float", "low": low, "high": high, "log": bool(numbers[3]),
                   "default": min(max(value, low), high) if not whole else value}  # fmt: skip
    else:
        choices = tuple(_scalar(choice) for choice in text.split(" · "))
        fields |= {"kind": "choice", "choices": choices, "default": _scalar(default)}
    if when:
        fields["when"] = (when[1], tuple(_scalar(value) for value in when[2].split(" or ")))
    return Knob(**fields)


def _scalar(text: str) -> Value:
    if text in ("True", "False"):
        return text == "True"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def typed(knob: Knob, text: str) -> Value:
    """A knob's value as the prompt prints it."""
    if knob.kind == "choice":
        return next((choice for choice in knob.choices if str(choice) == text), _scalar(text))
    return int(float(text)) if knob.kind == "int" else float(text)


def _declared(script: str) -> tuple[Knob, ...]:
    try:
        for node in ast.parse(script).body:
            if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", None) == "KNOBS":
                return knobs_from_table(ast.literal_eval(node.value))
    except (SyntaxError, ValueError, KnobError):
        pass
    return ()


def _attempt(row: Mapping[str, str]) -> Attempt:
    changes = [change.strip() for change in row.get("changes", "").split(",")]
    return Attempt(
        number=int(row["trial"]),
        val=_number(row["val"]),
        gap=_number(row.get("val-fit", "")),
        parent=int(row["from"]) if row.get("from") else None,
        changes=frozenset(filter(None, changes)),
        idea=row.get("idea", ""),
    )


def _number(text: str) -> float | None:
    return float(text) if re.fullmatch(r"-?\d+\.\d+", text) else None
