"""Comprehensions over constants that are unpacked at once, written out: `a, b = (f(x) for x in ("p", "q"))`."""

import ast
import copy

_INNER = (
    ast.Lambda,
    ast.ListComp,
    ast.SetComp,
    ast.DictComp,
    ast.GeneratorExp,
    ast.NamedExpr,
    ast.Yield,
    ast.YieldFrom,
)
_LONGEST = 16  # values to unpack


def unrolled(tree: ast.Module) -> ast.Module:
    """The tree with such assignments as assignments of a tuple; it is changed in place."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and len(node.targets) == 1:
            node.value = _written_out(node.targets[0], node.value)
    return tree


def _written_out(target: ast.expr, value: ast.expr) -> ast.expr:
    """The tuple that a comprehension makes for a target of as many names; any other value as it is."""
    if not (
        isinstance(target, ast.Tuple | ast.List)
        and all(isinstance(one, ast.Name) for one in target.elts)
        and isinstance(value, ast.GeneratorExp | ast.ListComp)
        and len(value.generators) == 1
    ):
        return value
    clause = value.generators[0]
    if not (
        isinstance(clause.target, ast.Name)
        and isinstance(clause.iter, ast.Tuple | ast.List)
        and len(clause.iter.elts) == len(target.elts) <= _LONGEST
        and all(isinstance(one, ast.Constant) for one in clause.iter.elts)
        and not clause.ifs
        and not any(isinstance(node, _INNER) for node in ast.walk(value.elt))
    ):
        return value
    name = clause.target.id
    parts = [_Replaced(name, one).visit(copy.deepcopy(value.elt)) for one in clause.iter.elts]
    return ast.Tuple(elts=parts, ctx=ast.Load())


class _Replaced(ast.NodeTransformer):
    """Puts a constant in place of a name."""

    def __init__(self, name: str, value: ast.Constant) -> None:
        self._name = name
        self._value = value

    def visit_Name(self, node: ast.Name) -> ast.AST:
        return ast.Constant(self._value.value) if node.id == self._name else node
