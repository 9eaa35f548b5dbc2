"""Ideas for the training script, one Markdown file each: a YAML head, then search/replace edits of the reference.

The edits touch disjoint lines, so that any subset of the ideas can be applied in any order; a test does it.
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tmelt.llm.errors import ReplyError
from tmelt.llm.extract import Edit, apply_edits, extract_edits

FOLDER = Path(__file__).resolve().parent
ORDER = ("multi_pooling", "ema", "local_mixing", "swa", "mixup", "length")
KNOBS_LINE = "KNOBS = ["


@dataclass(frozen=True)
class Idea:
    """A change of the training script."""

    title: str
    why: str
    effect: float  # expected change of the validation error
    knobs: tuple[dict[str, Any], ...]  # that the script then declares
    edits: tuple[Edit, ...]

    def edits_for(self, script: str) -> tuple[Edit, ...] | None:
        """The edits that bring the idea into this script; None if it has it already, or does not fit."""
        if any(edit.replace in script for edit in self.edits):
            return None  # most edits leave what they search for in place, so they would apply twice
        edits = (*self.edits, *self._declaration(script))
        try:
            apply_edits(script, edits)
        except ReplyError:
            return None
        return edits

    def _declaration(self, script: str) -> tuple[Edit, ...]:
        """The edit that adds the idea's knobs to the script's `KNOBS`, or begins that list above the first constant."""
        if not self.knobs:
            return ()
        rows = "".join(f"    {row!r},\n" for row in self.knobs)
        if f"\n{KNOBS_LINE}\n" in script:
            return (Edit(f"{KNOBS_LINE}\n", f"{KNOBS_LINE}\n{rows}"),)
        line = next(line for line in script.split("\n") if line[:1].isupper() and " = " in line)
        return (Edit(f"{line}\n", f"{KNOBS_LINE}\n{rows}]\n{line}\n"),)


@cache
def read_ideas() -> tuple[Idea, ...]:
    """All ideas, in the order in which the playbook tries them."""
    return tuple(_read(FOLDER / f"{name}.md") for name in ORDER)


def _read(path: Path) -> Idea:
    _, head, body = path.read_text(encoding="utf-8").split("---\n", 2)
    fields = yaml.safe_load(head)
    return Idea(
        title=fields["title"],
        why=" ".join(fields["why"].split()),
        effect=fields["effect"],
        knobs=tuple(fields.get("knobs", ())),
        edits=tuple(extract_edits(body)),
    )
