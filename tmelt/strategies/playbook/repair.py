"""What the playbook can fix in a script that crashed, given the end of its log."""

import ast
import builtins
import difflib
import re
from collections.abc import Iterator, Sequence

from tmelt.llm.errors import ReplyError
from tmelt.llm.extract import Edit, apply_edits
from tmelt.strategies.playbook.ideas import read_ideas

MODULES = ("math", "copy", "torch", "json", "random", "itertools", "functools", "numpy")


def repairs(script: str, log: str) -> Iterator[tuple[str, str, Sequence[Edit]]]:
    """(title, why, edits) of each repair that applies, best first."""
    for title, why, edits in _candidates(script, log):
        try:
            repaired = apply_edits(script, edits)
            ast.parse(repaired)
        except (ReplyError, SyntaxError):
            continue
        if repaired != script:
            yield title, why, edits


def _candidates(script: str, log: str) -> Iterator[tuple[str, str, Sequence[Edit]]]:
    lines = script.split("\n")
    error = next((line.strip() for line in reversed(log.split("\n")) if line.strip()), "")
    line = _failing_line(lines, log)
    missing = re.search(r"name '(\w+)' is not defined", error)
    if missing and missing[1] in MODULES:
        anchor = next(text for text in lines if text.startswith(("import ", "from ")))
        yield (f"Repair: import {missing[1]}", error, [Edit(f"{anchor}\n", f"import {missing[1]}\n{anchor}\n")])
    if missing and line is not None:
        known = sorted({*re.findall(r"\b[A-Za-z_]\w*\b", script), *dir(builtins)} - {missing[1]})
        for name in difflib.get_close_matches(missing[1], known, n=3, cutoff=0.75):
            yield f"Repair: {missing[1]} was meant to be {name}", error, _on_line(lines, line, missing[1], name)
    meant = re.search(r"(?:attribute|name) '(\w+)'.*Did you mean: '(\w+)'", error)
    if meant and line is not None:
        yield f"Repair: {meant[1]} was meant to be {meant[2]}", error, _on_line(lines, line, meant[1], meant[2])
    for idea in read_ideas():
        undone = [Edit(edit.replace, edit.search) for edit in reversed(idea.edits) if edit.replace]
        yield f"Repair: without {idea.title}", f"the idea is taken out again: {error}", undone


def _failing_line(lines: Sequence[str], log: str) -> int | None:
    """Index of the script's line in the traceback's last frame that lies in the script."""
    frames = re.findall(r'File "[^"]*", line (\d+), in [^\n]*\n\s+([^\n]+)', log)
    for number, text in reversed(frames):
        index = int(number) - 1
        if index < len(lines) and lines[index].strip() == text.strip():
            return index
    return None


def _on_line(lines: Sequence[str], index: int, old: str, new: str) -> list[Edit]:
    """An edit of one line, with as many lines before it as make it unique."""
    for start in range(index, -1, -1):
        block = lines[start : index + 1]
        if sum(list(lines[i : i + len(block)]) == list(block) for i in range(len(lines))) == 1:
            search = "\n".join(block)
            head, _, last = search.rpartition("\n")
            changed = re.sub(rf"\b{re.escape(old)}\b", new, last)
            return [Edit(f"{search}\n", (f"{head}\n" if head else "") + f"{changed}\n")]
    return []
