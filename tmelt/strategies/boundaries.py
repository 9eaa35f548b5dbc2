"""Boundaries of what an agent's scripts may change, and their enforcement by a difference of syntax trees.

    boundaries:
      only: [Network.pool, Head]     # functions, classes and methods of the reference script that may change
      new_features: false            # nothing of the proteins that the reference does not read

Everything at the top level of the reference script that `only` does not name has to be there, in its order and
unchanged but for comments, docstrings and formatting. New functions and classes, imports and `KNOBS` are allowed,
unless they take a name that the rest of the script uses already. Nothing may be assigned from elsewhere to what has to
stay. This keeps an agent to its subject; it is no defence against one that hides what it does, which is the sandbox's
task.
"""

import ast
import builtins
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from pydantic import BaseModel, ConfigDict, Field, field_validator

from tmelt.errors import InputError

# What a set of proteins or a batch has (candidate/CONTRACT.md).
FEATURES = frozenset({"lengths", "composition", "sequences", "residues", "mean", "batches", "x", "padded", "segment"})
# Ways to reach an attribute whose name the syntax does not show.
_HIDDEN = frozenset({
    "getattr", "setattr", "delattr", "vars", "eval", "exec", "compile", "globals", "locals", "__import__", "__dict__",
    "__getattribute__", "__getattr__", "attrgetter", "methodcaller", "importlib", "builtins", "__builtins__", "sys",
    "inspect", "gc", "ctypes",
})  # fmt: skip


class BoundaryError(ValueError):
    """A script outside its boundaries; the text says where."""


class Boundaries(BaseModel):
    """What the scripts of one strategy may change."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    only: tuple[str, ...] | None = Field(
        None, min_length=1, description="functions, classes and methods (Class.method) that may change; null: all"
    )
    new_features: bool = Field(
        True, description="whether scripts may read of proteins what the reference does not read"
    )

    @field_validator("only")
    @classmethod
    def _names(cls, only: tuple[str, ...] | None) -> tuple[str, ...] | None:
        for name in only or ():
            if not all(part.isidentifier() for part in name.split(".")) or name.count(".") > 1:
                raise ValueError(f"{name!r}: write the name of a function or class, or Class.method")
        return only

    def text(self) -> str:
        """For the prompt; empty without a boundary."""
        lines = []
        if self.only is not None:
            names = ", ".join(f"`{name}`" for name in self.only)
            lines.append(
                f"Of the reference script only {names} may change. All other functions, classes and statements stay as"
                " they are (comments and formatting aside). You may add functions, classes and imports under new names,"
                " and knobs."
            )
        if not self.new_features:
            lines.append(
                "No new features: of proteins and batches a script reads only what the reference script reads, and it"
                " reaches attributes by their names, not by `getattr`, `vars`, `eval` or the like."
            )
        if lines:
            lines.append("A script outside these boundaries is refused with the place.")
        return "\n".join(lines)

    def check_reference(self, reference: str, strategy: str) -> None:
        """Check that what may change exists.

        Raises:
            InputError: the reference script has no function, class or method of a name.
        """
        known = {name for name, _ in _definitions(ast.parse(reference))}
        for name in self.only or ():
            if name not in known:
                raise InputError(
                    f"config: extent.strategies.{strategy}.boundaries.only: the reference script has no {name!r};"
                    f" it has {', '.join(sorted(known))}"
                )

    def check(self, script: str, reference: str) -> None:
        """Check a script that is Python.

        Raises:
            BoundaryError: it is outside.
        """
        if script == reference:
            return
        if self.only is not None:
            _check_rest(ast.parse(script), ast.parse(reference), set(self.only))
        if not self.new_features:
            _check_features(ast.parse(script), reference)


@dataclass(frozen=True)
class _Part:
    """A statement at the top level: how it is called, where it is, and what has to stay."""

    name: str
    line: int
    shape: str


def _definitions(tree: ast.Module) -> Iterator[tuple[str, ast.AST]]:
    """Functions, classes and methods with their names."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name, node
        if isinstance(node, ast.ClassDef):
            for inner in node.body:
                if isinstance(inner, ast.FunctionDef):
                    yield f"{node.name}.{inner.name}", inner


def _check_rest(script: ast.Module, reference: ast.Module, only: set[str]) -> None:
    """Compare everything but the parts that may change, in order."""
    before, after = _parts(reference, only), _parts(script, only)
    names = {part.name for part in before}
    taken = names | only | set(dir(builtins)) | _words(reference)
    place = 0
    for part in after:
        if place < len(before) and part.name == before[place].name:
            if part.shape != before[place].shape:
                raise BoundaryError(f"line {part.line}: {part.name} is changed, and it may not be")
            place += 1
        elif part.name in names:
            expected = before[place].name if place < len(before) else "nothing"
            raise BoundaryError(
                f"line {part.line}: {part.name} stands here a second time or out of order, not {expected}"
            )
        elif not part.name.isidentifier() or part.name in taken:
            raise BoundaryError(
                f"line {part.line}: {part.name} is new here; only functions, classes and imports under new names may be"
            )
    if place < len(before):
        raise BoundaryError(f"{before[place].name} is missing, or stands elsewhere than in the reference script")
    for name, line in _imported(script):
        if name in (names | only) or (name in taken and name not in dict(_imported(reference))):
            raise BoundaryError(f"line {line}: an import takes the name {name}, which the script uses otherwise")
    fixed = {node.name for node in reference.body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    fixed |= {name for name, _ in _imported(reference)}
    for what, line in _assigned(script, fixed):
        raise BoundaryError(f"line {line}: {what} is given another value, and it may not be")
    known = {name for name, _ in _reads(reference)}
    for name, line in _reads(script):
        if name in _HIDDEN - known:
            raise BoundaryError(f"line {line}: `{name}` hides what is changed, and may not be used inside boundaries")


def _assigned(script: ast.Module, fixed: set[str]) -> Iterator[tuple[str, int]]:
    """Assignments to parts of what has to stay: an attribute of a class or module, or a global name."""
    for node in ast.walk(script):
        if isinstance(node, ast.Global):
            yield ", ".join(node.names), node.lineno
        if isinstance(node, ast.Attribute | ast.Subscript) and not isinstance(node.ctx, ast.Load):
            root: ast.AST = node
            while isinstance(root, ast.Attribute | ast.Subscript):
                root = root.value
            if isinstance(root, ast.Name) and root.id in fixed:
                yield ast.unparse(node), node.lineno


def _parts(tree: ast.Module, only: set[str]) -> list[_Part]:
    """The statements at the top level but those that may change; a class of which a method may change is without it."""
    parts = []
    for node in tree.body:
        name = _name(node)
        docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        if docstring or isinstance(node, ast.Import | ast.ImportFrom) or name == "KNOBS" or name in only:
            continue
        parts.append(_Part(name, getattr(node, "lineno", 0), _shape(node, only)))
    return parts


def _name(node: ast.stmt) -> str:
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return node.name
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    if len(targets) == 1 and isinstance(targets[0], ast.Name):
        return "KNOBS" if targets[0].id == "KNOBS" else f"the value of {targets[0].id}"
    return f"a statement ({type(node).__name__})"


def _shape(node: ast.stmt, only: set[str]) -> str:
    """A statement as text, without comments, docstrings, line numbers and the methods that may change."""
    copy = ast.parse(ast.unparse(node)).body[0]
    for each in ast.walk(copy):
        body = getattr(each, "body", None)
        if isinstance(body, list) and body and isinstance(each, ast.ClassDef | ast.FunctionDef):
            first = body[0]
            if (
                isinstance(first, ast.Expr)
                and isinstance(first.value, ast.Constant)
                and isinstance(first.value.value, str)
            ):
                each.body = body[1:] or [ast.Pass()]
    if isinstance(copy, ast.ClassDef):
        allowed = {name.partition(".")[2] for name in only if name.partition(".")[0] == copy.name}
        copy.body = [each for each in copy.body if getattr(each, "name", None) not in allowed] or [ast.Pass()]
    return ast.dump(copy)


def _imported(tree: ast.Module) -> list[tuple[str, int]]:
    """(name, line) of everything that imports at the top level bind."""
    return [
        (alias.asname or alias.name.partition(".")[0], node.lineno)
        for node in tree.body
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    ]


def _words(tree: ast.AST) -> set[str]:
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}


def _check_features(script: ast.Module, reference: str) -> None:
    """No attribute of FEATURES, and no hidden way to one, that the reference does not have."""
    known = _reached(reference)
    for name, line in _reads(script):
        if name in known:
            continue
        if name in FEATURES:
            raise BoundaryError(f"line {line}: reads `{name}`, which the reference script does not: no new features")
        if name in _HIDDEN:
            raise BoundaryError(f"line {line}: `{name}` hides what is read: no new features may be reached this way")


@lru_cache(maxsize=4)
def _reached(reference: str) -> frozenset[str]:
    return frozenset(name for name, _ in _reads(ast.parse(reference)))


def _reads(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Names and attributes with their lines; modules that are imported among them."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            yield node.attr, node.lineno
        elif isinstance(node, ast.Name):
            yield node.id, node.lineno
        elif isinstance(node, ast.Import | ast.ImportFrom):
            for alias in node.names:
                yield from ((part, node.lineno) for part in alias.name.split("."))
            if isinstance(node, ast.ImportFrom) and node.module:
                yield from ((part, node.lineno) for part in node.module.split("."))
