"""What differs between two candidates: knobs by value, scripts by what they do, both by category."""

import ast
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from tmelt.evidence.effective import Effect, effect_of
from tmelt.evidence.normalise import Unsure, mismatches, program
from tmelt.search.knobs import CATEGORIES, CATEGORY_OF, Space
from tmelt.storage.files import sha256_text
from tmelt.text.diff import LineMatcher, unified_lines

# Words in names of changed code, first hit wins: a heuristic, so figures say "touches", not "is".
_WORDS = (
    ("objective", re.compile(r"loss|huber|target|label|rank|quantile|criterion")),
    ("data", re.compile(r"augment|sampl|crop|feature|composition|organism|sequence|mixup|noise|bootstrap|split")),
    (
        "architecture",
        re.compile(
            r"attention|adapter|block|pool|head|layer|norm|module|forward|conv|model|dropout|init|hidden|width|depth"
        ),
    ),
    (
        "optimisation",
        re.compile(r"optim|adam|sgd|sched|warm|rate|decay|clip|epoch|batch|ema|swa|patience|step|ensemble"),
    ),
)


@dataclass(frozen=True)
class Change:
    """How a candidate differs from its parent, in effect: spelling does not count."""

    knobs: Mapping[str, list[Any]]  # of the reference space: [before, after] in effect; None where inactive
    own_knobs: Mapping[str, list[Any]]  # declared by a script itself
    functions: tuple[str, ...]  # functions, methods, classes and constants that differ beyond the knobs
    structure: bool  # True if they differ in more than constants
    lines_added: int
    lines_removed: int
    categories: tuple[str, ...]
    diff: str

    @property
    def kind(self) -> str:
        """in_space, out_of_space, mixed or none; a change of spelling alone does not count."""
        outside = self.outside is not None
        if self.knobs:
            return "mixed" if outside else "in_space"
        return "out_of_space" if outside else "none"

    @property
    def outside(self) -> str | None:
        """What is out of space: `structure`, `hyperparameters` that the space does not have, or None."""
        if self.functions and self.structure:
            return "structure"
        return "hyperparameters" if self.functions or self.own_knobs else None


def compare(
    before: str,
    after: str,
    knobs_before: Mapping[str, Any],
    knobs_after: Mapping[str, Any],
    space: Space | Iterable[str],
) -> Change:
    """The change from one candidate to another.

    Scripts are compared in normal form (tmelt.evidence.normalise): names, types, dead code, order of definitions and
    split statements do not count, and a value that a script puts in place of a knob is a change of this knob. Where a
    script has no normal form, any difference of the syntax trees counts.

    Args:
        before, after: scripts.
        knobs_before, knobs_after: active knobs.
        space: the reference's knobs, or names of the published ones; others are a script's own.
    """
    if not isinstance(space, Space):
        names = set(space)
        space = Space(knob for knob in Space() if knob.name in names)
    try:
        effect = effect_of(before, after, knobs_before, knobs_after, space)
    except Unsure:
        differing = {
            name: [knobs_before.get(name), knobs_after.get(name)]
            for name in [*knobs_before, *(name for name in knobs_after if name not in knobs_before)]
            if not _same(knobs_before.get(name), knobs_after.get(name))
        }
        effect = Effect(differing, tuple(_by_trees(before, after)), _shape(before) != _shape(after))
    diff, added, removed = unified_diff(before, after)
    knobs = {name: pair for name, pair in effect.knobs.items() if name in space}
    own = {name: pair for name, pair in effect.knobs.items() if name not in space}
    categories = {CATEGORY_OF.get(name) or _by_words([name]) for name in effect.knobs}
    if effect.parts:
        lines = [line[1:] for line in diff.splitlines() if line[:1] in "+-" and line[:3] not in ("+++", "---")]
        categories.add(_by_words([*effect.parts, *lines]))
    order = [*CATEGORIES, "other"]
    return Change(
        knobs,
        own,
        effect.parts,
        effect.structure,
        added,
        removed,
        tuple(sorted(categories, key=order.index)),
        diff,
    )


def _same(one: Any, other: Any) -> bool:
    """Equal as knob values: 1 and 1.0 are, True and 1 are not."""
    return isinstance(one, bool) == isinstance(other, bool) and one == other


def _by_words(texts: Iterable[str]) -> str:
    """The category whose words occur most often; `other` without any."""
    counts = dict.fromkeys(CATEGORIES, 0)
    for text in texts:
        for name, pattern in _WORDS:
            counts[name] += len(pattern.findall(text.lower()))
    best = max(counts, key=counts.get)
    return best if counts[best] else "other"


def unified_diff(before: str, after: str) -> tuple[str, int, int]:
    """The unified diff of two scripts, and how many lines it adds and removes."""
    if before == after:
        return "", 0, 0
    lines = list(unified_lines(before.splitlines(), after.splitlines(), "parent/train.py", "train.py"))
    added = sum(line.startswith("+") and not line.startswith("+++") for line in lines)
    removed = sum(line.startswith("-") and not line.startswith("---") for line in lines)
    return "\n".join(lines), added, removed


def similarity(before: str, after: str) -> float:
    """Share of lines that two scripts have in common, 0–1."""
    return LineMatcher(before.splitlines(), after.splitlines()).ratio()


def changed_parts(before: str, after: str) -> list[str]:
    """Names of functions, methods, classes and other statements that differ in more than spelling."""
    if before == after:
        return []
    try:
        return list(dict.fromkeys(one.part for one in mismatches(program(before), program(after))))
    except Unsure:
        return _by_trees(before, after)


def _by_trees(before: str, after: str) -> list[str]:
    """Names of parts whose syntax tree differs, in order of appearance."""
    if before == after:
        return []
    old, new = parts_of(before), parts_of(after)
    return [name for name in [*old, *(name for name in new if name not in old)] if old.get(name) != new.get(name)]


class _Blank(ast.NodeTransformer):
    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        return ast.Constant(None)


def _shape(script: str) -> str:
    """A script's syntax tree without its constants; the script itself if it has none."""
    try:
        return ast.dump(_Blank().visit(ast.parse(script)))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return script


@lru_cache(maxsize=512)
def parts_of(script: str) -> dict[str, str]:
    """The script's named parts and their syntax trees as text, without comments and docstrings.

    A script that does not parse is one part, its text: it differs from everything but itself.
    """
    parts: dict[str, str] = {}
    try:
        _collect(ast.parse(script).body, "", parts)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return {"(unparseable)": script}
    return parts


def _collect(body: list[ast.stmt], prefix: str, parts: dict[str, str]) -> None:
    for node in body:
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            continue  # a docstring
        if isinstance(node, ast.ClassDef):
            head = ast.ClassDef(node.name, node.bases, node.keywords, [], node.decorator_list)
            _add(parts, f"{prefix}{node.name}", ast.dump(head))
            _collect(node.body, f"{prefix}{node.name}.", parts)
            continue
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            name = f"{prefix}{node.name}"
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            name = prefix + ", ".join(ast.unparse(target) for target in targets)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            name = f"{prefix}(imports)"
        else:
            name = f"{prefix}(statements)"
        _add(parts, name, ast.dump(_WithoutDocstrings().visit(node)))


class _WithoutDocstrings(ast.NodeTransformer):
    """Drops strings that stand alone: they say something, but do nothing."""

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        return None if isinstance(node.value, ast.Constant) and isinstance(node.value.value, str) else node


def _add(parts: dict[str, str], name: str, text: str) -> None:
    parts[name] = parts.get(name, "") + text


@lru_cache(maxsize=4096)
def script_identity(script: str) -> str:
    """A hash under which scripts that differ in spelling only are the same."""
    try:
        return sha256_text(program(script).text)
    except Unsure:
        return sha256_text(json.dumps(list(parts_of(script).items())))


def revert_change(winner: str, before: str, after: str) -> str | None:
    """The winner's script without the change before → after, or None where later changes touch the same lines.

    The reverse of each hunk is applied where its lines still stand unchanged in the winner; the result must parse.
    """
    old, new, now = before.splitlines(), after.splitlines(), winner.splitlines()
    places = _carried(new, now)
    edits = []
    for tag, i1, i2, j1, j2 in LineMatcher(old, new).get_opcodes():
        if tag == "equal":
            continue
        if j1 == j2:  # lines were deleted: put them back between the two that stood around the gap
            left = places.get(j1 - 1, -1 if j1 == 0 else None)
            right = places.get(j1, len(now) if j1 == len(new) else None)
            if left is None or right is None or right != left + 1:
                return None
            edits.append((right, right, old[i1:i2]))
        else:
            spots = [places.get(j) for j in range(j1, j2)]
            if None in spots or spots != list(range(spots[0], spots[0] + len(spots))):
                return None
            edits.append((spots[0], spots[-1] + 1, old[i1:i2]))
    for start, stop, lines in sorted(edits, reverse=True):
        now[start:stop] = lines
    text = "\n".join(now) + "\n"
    try:
        ast.parse(text)
    except (SyntaxError, ValueError):
        return None
    return text


def _carried(new: list[str], now: list[str]) -> dict[int, int]:
    """Line numbers of `new` that `now` still has, and where."""
    return {
        j: k
        for block in LineMatcher(new, now).get_matching_blocks()
        for j, k in zip(range(block.a, block.a + block.size), range(block.b, block.b + block.size), strict=True)
    }
