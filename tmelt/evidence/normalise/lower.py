"""Functions of a script as instructions on values: the form in which spelling no longer matters.

Each operation of an expression becomes an instruction of its own that defines a value, so a statement and its split
into several are the same sequence. Constants, imported names and local names for them are replaced by what they stand
for; operations on constants are carried out; branches on constants are taken. Between two instructions that may have
effects (calls, stores) the order of those without any is canonical. Receivers of method calls count as read at the
call: the form assumes that evaluating arguments does not replace a receiver's attributes.
"""

import ast
import operator
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tmelt.evidence.normalise.scopes import Scope, Scopes, Unsure, Var, parameters, words


@dataclass(frozen=True, eq=False)
class Const:
    """A constant operand; `knob` names the knob that it is the value of."""

    value: Any
    knob: str | None = None

    @property
    def key(self) -> tuple[str, str]:
        """Type and text: 1, 1.0 and True differ."""
        return type(self.value).__name__, repr(self.value)


Operand = Const | Var | tuple
_SAFE = (int, float, complex, str, bytes, bool, type(None), type(Ellipsis), tuple)
_BINARY = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv, ast.Mod: operator.mod, ast.Pow: operator.pow,
}  # fmt: skip
_UNARY = {ast.UAdd: operator.pos, ast.USub: operator.neg, ast.Not: operator.not_, ast.Invert: operator.invert}
_COMPARE = {
    ast.Eq: operator.eq, ast.NotEq: operator.ne, ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt,
    ast.GtE: operator.ge, ast.Is: operator.is_, ast.IsNot: operator.is_not,
    ast.In: lambda a, b: a in b, ast.NotIn: lambda a, b: a not in b,
}  # fmt: skip
# Builtins and modules whose functions have no effect; those of the first group are carried out on constants.
_FOLDED = {"max": max, "min": min, "abs": abs, "round": round, "int": int, "float": float, "bool": bool, "len": len}
_PURE_BUILTINS = {*_FOLDED, "str", "range", "tuple", "isinstance", "slice", "type"}
_PURE_MODULES = ("math.",)
_PURE = words("attr item binary unary compare tuple list set_ dict lambda string purecall")
_LONGEST = 1000  # characters or items of a folded constant


class Lower:
    """Turns the statements of one top-level definition into instructions.

    Attributes:
        refers: globals that the definition mentions, in order.
    """

    def __init__(self, module: Any, values: Mapping[str, Any], scopes: Scopes) -> None:
        self.module = module
        self.values = values
        self.scopes = scopes
        self.scope: Scope | None = None
        self.block: list[tuple] = []
        self.known: dict[Var, Operand] = {}
        self.attributes: Mapping[str, Operand] = {}  # of `self`, constant since its construction
        self.itself: Var | None = None

    # ---- blocks ----

    def nested(self, statements: list[ast.stmt]) -> "Block":
        """The instructions of statements."""
        before, self.block = self.block, []
        self.statements(statements)
        block, self.block = self.block, before
        return scheduled(block)

    def value_block(self, node: ast.AST) -> tuple[tuple, Operand]:
        """The instructions of an expression that is not always evaluated, and its value."""
        before, self.block = self.block, []
        value = self.expr(node)
        block, self.block = self.block, before
        return scheduled(block), value

    def emit(self, op: str, *arguments: Any) -> Var:
        """Add an instruction and return the value it defines."""
        result = Var()
        self.block.append((op, result, *arguments))
        return result

    # ---- definitions ----

    def function(self, node: ast.AST) -> tuple:
        """A function's or lambda's signature and body."""
        outer = self.scope, self.block, self.itself, self.attributes
        defaults = [self.expr(default) for default in node.args.defaults]
        keyword_defaults = [default and self.expr(default) for default in node.args.kw_defaults]
        decorators = [] if isinstance(node, ast.Lambda) else [self.expr(one) for one in node.decorator_list]
        self.scope = scope = self.scopes.of[node]
        self.block = []
        for argument in parameters(node.args):
            scope.variables[argument.arg].knobs = (node, argument.arg) in self.module.knob_parameters
        if isinstance(node, ast.Lambda):
            value = self.expr(node.body)
            self.block.append(("return", None, value))
        else:
            self.statements([*self.module.body_of(node), ast.Return(value=None)])
        body = scheduled(self.block)
        self.scope, self.block, self.itself, self.attributes = outer
        arguments = node.args
        names = tuple(
            (group, tuple(self._parameter(scope, one, group) for one in ones))
            for group, ones in (
                ("positional", [*arguments.posonlyargs, *arguments.args]),
                ("rest", [arguments.vararg] if arguments.vararg else []),
                ("keyword", arguments.kwonlyargs),
                ("keywords", [arguments.kwarg] if arguments.kwarg else []),
            )
        )
        return (
            "function",
            names,
            tuple(defaults),
            tuple(keyword_defaults),
            tuple(decorators),
            self.module.annotations_of(node),
            body,
        )

    def _parameter(self, scope: Scope, argument: ast.arg, group: str) -> tuple:
        """A parameter; its name counts only where a call may use it."""
        named = group == "keyword" or (group == "positional" and argument.arg in self.module.keywords)
        return (argument.arg if named else "", scope.variables[argument.arg])

    def class_(self, node: ast.ClassDef) -> tuple:
        """A class: bases, attributes in their order, methods by name."""
        outer, self.scope = self.scope, self.scopes.of[node]
        bases = tuple(self.expr(base) for base in node.bases)
        decorators = tuple(self.expr(one) for one in node.decorator_list)
        before, self.block = self.block, []
        methods: dict[str, tuple] = {}
        bound = [name for name, var in self.scope.variables.items() if var.bindings > 1]
        if bound:
            raise Unsure(f"{bound[0]} is bound twice in a class")
        plain = [one for one in self.module.body_of(node) if isinstance(one, ast.FunctionDef)]
        self.attributes = {}
        constants = self.module.constant_attributes(node)
        for method in sorted(plain, key=lambda one: one.name != "__init__"):
            if not self.module.is_live_method(node, method):
                continue
            if method.name == "__init__":
                block = self.function(method)
                found = {name: value for name, value in _stored(block[-1]) if name in constants}
                drop = {name for name in found if not isinstance(found[name], Var)}
                self.attributes = {name: found[name] for name in drop}
                methods["__init__"] = (*block[:-1], _without(block[-1], drop))
            else:
                self.itself = self._first(method)
                methods[method.name] = self.function(method)
                self.itself = None
        self.attributes = {}
        for statement in self.module.body_of(node):
            if isinstance(statement, ast.FunctionDef):
                continue
            if isinstance(statement, ast.Assign) and all(isinstance(one, ast.Name) for one in statement.targets):
                value = self.expr(statement.value)
                for target in statement.targets:
                    self.block.append(("classattribute", None, target.id, value))
                    self.known[self.scope.variables[target.id]] = value
            elif isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
                value = statement.value and self.expr(statement.value)
                kept = ast.dump(statement.annotation) if self.module.annotated(node) else None
                if value is not None or kept is not None:
                    self.block.append(("classattribute", None, statement.target.id, value, kept))
            elif not isinstance(statement, ast.Pass):
                raise Unsure("statement in a class")
        body, self.block, self.scope = tuple(self.block), before, outer
        return ("class", bases, decorators, body, tuple(sorted(methods.items())))

    def _first(self, method: ast.FunctionDef) -> Var | None:
        """The variable of `self` in a method, where nothing rebinds it."""
        ones = [*method.args.posonlyargs, *method.args.args]
        if not ones or method.decorator_list:
            return None
        var = self.scopes.of[method].variables[ones[0].arg]
        return var if var.stable else None

    # ---- statements ----

    def statements(self, statements: list[ast.stmt]) -> bool:
        """Lower a list of statements; True if it always leaves the block."""
        for place, statement in enumerate(statements):
            if isinstance(statement, ast.If):
                return self._if(statement, statements[place + 1 :])
            method = getattr(self, f"_{type(statement).__name__}", None)
            if method is None:
                raise Unsure(type(statement).__name__)
            if method(statement):
                return True
        return False

    def _if(self, node: ast.If, rest: list[ast.stmt]) -> bool:
        test, body, other = node.test, node.body, node.orelse
        while isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
            test, body, other = test.operand, other, body
        value = self.expr(test)
        if isinstance(value, Const):
            return self.statements([*(body if value.value else other), *rest])
        leaves, also = _leaves(body), _leaves(other)
        if leaves and not also:  # what follows belongs to the branch that goes on
            other, rest, also = [*other, *rest], [], _leaves([*other, *rest])
        elif also and not leaves:
            body, rest, leaves = [*body, *rest], [], _leaves([*body, *rest])
        elif leaves:
            rest = []
        first, second = self.nested(body), self.nested(other)
        if first or second:
            self.block.append(("if", None, value, first, second))
        return (leaves and also) or self.statements(rest)

    def _Assign(self, node: ast.Assign) -> None:
        names = {one.id for one in node.targets if isinstance(one, ast.Name)}
        others = [one for one in node.targets if not isinstance(one, ast.Name)]
        if any(isinstance(inner, ast.Name) and inner.id in names for one in others for inner in ast.walk(one)):
            raise Unsure("a target in another target")
        first = node.targets[0]
        if (
            len(node.targets) == 1
            and isinstance(first, ast.Tuple | ast.List)
            and isinstance(node.value, ast.Tuple | ast.List)
            and len(first.elts) == len(node.value.elts)
            and not any(isinstance(one, ast.Starred) for one in [*first.elts, *node.value.elts])
            and all(isinstance(one, ast.Name) for one in first.elts)
        ):
            values = [self.expr(one) for one in node.value.elts]
            variables = [self.scope.find(one.id) for one in first.elts]
            if None not in variables and not any(value in variables for value in values if isinstance(value, Var)):
                for target, value in zip(first.elts, values, strict=True):
                    self.store(target, value)
                return
            value = self.emit("tuple", *values)
        else:
            value = self.expr(node.value)
        for target in sorted(node.targets, key=lambda one: not isinstance(one, ast.Name)):
            self.store(target, value)

    def _AnnAssign(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            self.store(node.target, self.expr(node.value))

    def store(self, target: ast.AST, value: Operand) -> None:
        """Bind a value to a target."""
        if isinstance(target, ast.Name):
            self.bind(target.id, value)
        elif isinstance(target, ast.Tuple | ast.List):
            parts = [Var() for _ in target.elts]
            star = [isinstance(one, ast.Starred) for one in target.elts]
            self.block.append(("unpack", None, value, tuple(star), tuple(parts)))
            for one, part in zip(target.elts, parts, strict=True):
                self.store(one.value if isinstance(one, ast.Starred) else one, part)
        elif isinstance(target, ast.Attribute):
            self.block.append(("setattr", None, self.expr(target.value), target.attr, value))
        elif isinstance(target, ast.Subscript):
            owner, key = self.expr(target.value), self.expr(target.slice)
            self.block.append(("setitem", None, owner, key, value))
        else:
            raise Unsure(type(target).__name__)

    def bind(self, name: str, value: Operand) -> None:
        """Bind a value to a name."""
        var = self.scope.find(name)
        if var is None:
            self.block.append(("setglobal", None, self.module.global_(name), value))
        elif var.plain and (not isinstance(value, Var) or (not var.captured and self._stays(value))):
            self.known[var] = value
        elif var.stable and isinstance(value, Var) and value.name == "" and value.link is None:
            value.link = var
        else:
            self.block.append(("set", None, var, value))

    def _stays(self, value: Var) -> bool:
        """True if a value is the same whenever it is read."""
        return (value.name == "" or value.plain or value.stable) and not value.knobs

    def _AugAssign(self, node: ast.AugAssign) -> None:
        if isinstance(node.target, ast.Name):
            old = self.expr(ast.Name(node.target.id, ast.Load()))
            result = self.emit("augment", type(node.op).__name__, old, self.expr(node.value))
            self.bind(node.target.id, result)
            return
        owner = self.expr(node.target.value)
        if isinstance(node.target, ast.Attribute):
            old = self.emit("attr", owner, node.target.attr)
            result = self.emit("augment", type(node.op).__name__, old, self.expr(node.value))
            self.block.append(("setattr", None, owner, node.target.attr, result))
        else:
            key = self.expr(node.target.slice)
            old = self.emit("item", owner, key)
            result = self.emit("augment", type(node.op).__name__, old, self.expr(node.value))
            self.block.append(("setitem", None, owner, key, result))

    def _Expr(self, node: ast.Expr) -> None:
        if not isinstance(node.value, ast.Constant) and not self.module.only_prints(node.value):
            self.expr(node.value)

    def _Return(self, node: ast.Return) -> bool:
        self.block.append(("return", None, Const(None) if node.value is None else self.expr(node.value)))
        return True

    def _Raise(self, node: ast.Raise) -> bool:
        error = node.exc and self.expr(node.exc)
        self.block.append(("raise", None, error, node.cause and self.expr(node.cause)))
        return True

    def _Break(self, node: ast.Break | ast.Continue) -> bool:
        self.block.append((type(node).__name__.lower(), None))
        return True

    _Continue = _Break

    def _Pass(self, node: ast.Pass) -> None:
        pass

    _Global = _Pass

    def _Assert(self, node: ast.Assert) -> None:
        value = self.expr(node.test)
        message = self.value_block(node.msg) if node.msg else None
        self.block.append(("assert", None, value, message))

    def _Delete(self, node: ast.Delete) -> None:
        for target in node.targets:
            if isinstance(target, ast.Name):
                var = self.scope.find(target.id)
                self.block.append(("delete", None, var or self.module.global_(target.id)))
            elif isinstance(target, ast.Attribute):
                self.block.append(("delattr", None, self.expr(target.value), target.attr))
            elif isinstance(target, ast.Subscript):
                self.block.append(("delitem", None, self.expr(target.value), self.expr(target.slice)))
            else:
                raise Unsure("del")

    def _For(self, node: ast.For) -> None:
        values = self.expr(node.iter)
        before, self.block = self.block, []
        item = self._loop_target(node.target)
        self.statements(node.body)
        body, self.block = scheduled(self.block), before
        other = self.nested(node.orelse)
        self.block.append(("for", None, values, item, body, other))

    def _loop_target(self, target: ast.AST) -> Var:
        """The variable that a loop binds; what a tuple unpacks goes into the body."""
        if isinstance(target, ast.Name) and (var := self.scope.find(target.id)) is not None:
            return var
        item = Var()
        self.store(target, item)
        return item

    def _While(self, node: ast.While) -> None:
        before, self.block = self.block, []
        test = self.expr(node.test)
        if isinstance(test, Const) and not test.value and not self.block:
            self.block = before
            self.statements(node.orelse)
            return
        if not (isinstance(test, Const) and test.value):
            self.block.append(("unless", None, test))
        self.statements(node.body)
        body, self.block = scheduled(self.block), before
        other = self.nested(node.orelse)
        self.block.append(("while", None, body, other))

    def _With(self, node: ast.With) -> None:
        item, *others = node.items
        context = self.expr(item.context_expr)
        before, self.block = self.block, []
        target = None
        if item.optional_vars:
            target = self._loop_target(item.optional_vars)
        if others:
            self._With(ast.With(items=others, body=node.body))
        else:
            self.statements(node.body)
        body, self.block = scheduled(self.block), before
        self.block.append(("with", None, context, target, body))

    def _Try(self, node: ast.Try) -> None:
        body = self.nested(node.body)
        handlers = []
        for handler in node.handlers:
            kind = handler.type and self.expr(handler.type)
            name = self.scope.find(handler.name) if handler.name else None
            handlers.append((kind, name, self.nested(handler.body)))
        other = self.nested(node.orelse)
        last = self.nested(node.finalbody)
        self.block.append(("try", None, body, tuple(handlers), other, last))

    def _FunctionDef(self, node: ast.FunctionDef) -> None:
        self.bind(node.name, self.emit("closure", self.function(node)))

    def _ClassDef(self, node: ast.ClassDef) -> None:
        self.bind(node.name, self.emit("localclass", self.class_(node)))

    def _Import(self, node: ast.Import) -> None:
        for name, path, safe in self.module.imported(node):
            if not safe:
                self.block.append(("import", None, path))
            self.bind(name, ("import", path))

    _ImportFrom = _Import

    # ---- expressions ----

    def expr(self, node: ast.AST) -> Operand:
        """The value of an expression."""
        method = getattr(self, f"_{type(node).__name__}", None)
        if method is None:
            raise Unsure(type(node).__name__)
        return method(node)

    def _Constant(self, node: ast.Constant) -> Const:
        return Const(node.value)

    def _Name(self, node: ast.Name) -> Operand:
        var = self.scope.find(node.id) if self.scope else None
        if var is None:
            operand = self.module.operand(node.id)
            return operand if operand is not None else self.emit("loadglobal", self.module.global_(node.id))
        return self.known.get(var, var)

    def _Attribute(self, node: ast.Attribute) -> Operand:
        owner = self.expr(node.value)
        if isinstance(owner, tuple) and owner[0] == "import":
            return ("import", f"{owner[1]}.{node.attr}")
        if owner is self.itself and owner is not None and node.attr in self.attributes:
            return self.attributes[node.attr]
        return self.emit("attr", owner, node.attr)

    def _Subscript(self, node: ast.Subscript) -> Operand:
        name = self.module.knob_name(node, self.scope)
        if name is not None:
            return self.knob(name)
        table = self.module.lookup_table(node.value, self.scope)
        owner = None if table else self.expr(node.value)
        key = self.expr(node.slice)
        if table:
            entries = [(ast.literal_eval(one), self.expr(value)) for one, value in table]
            if isinstance(key, Const):
                for one, value in reversed(entries):
                    if type(one) is type(key.value) and one == key.value:
                        return value
            owner = ("table", *((Const(one), value) for one, value in entries))
        return self._fold(operator.getitem, owner, key) or self.emit("item", owner, key)

    def knob(self, name: str) -> Operand:
        """The value of a knob, or the knob itself where its value is left open."""
        override = self.module.overrides.get(name)
        if override is not None:
            return self.module.without_override(name, lambda: self.expr(override))
        self.module.read.add(name)
        return Const(self.values[name], name) if name in self.values else ("knob", name)

    def _fold(self, function: Any, *operands: Operand) -> Const | None:
        """The constant result of an operation; None where an operand is no constant, it fails or is too large."""
        if function is None or not all(isinstance(operand, Const) for operand in operands):
            return None
        values = [operand.value for operand in operands]
        if any(isinstance(value, int) and value.bit_length() > 64 for value in values):
            return None
        if function is operator.pow and not (isinstance(values[1], int | float) and abs(values[1]) <= 64):
            return None
        if function in (operator.mul, operator.mod) and any(isinstance(value, str | bytes | tuple) for value in values):
            return None
        try:
            result = function(*values)
        except Exception:  # whatever the operation raises, the script would raise where it stands
            return None
        if type(result) not in _SAFE or (isinstance(result, str | bytes | tuple) and len(result) > _LONGEST):
            return None
        return Const(result)

    def _BinOp(self, node: ast.BinOp) -> Operand:
        left, right = self.expr(node.left), self.expr(node.right)
        folded = self._fold(_BINARY.get(type(node.op)), left, right)
        return folded or self.emit("binary", type(node.op).__name__, left, right)

    def _UnaryOp(self, node: ast.UnaryOp) -> Operand:
        value = self.expr(node.operand)
        return self._fold(_UNARY[type(node.op)], value) or self.emit("unary", type(node.op).__name__, value)

    def _Compare(self, node: ast.Compare) -> Operand:
        if len(node.ops) == 1:
            left, right = self.expr(node.left), self.expr(node.comparators[0])
            folded = self._fold(_COMPARE[type(node.ops[0])], left, right)
            return folded or self.emit("compare", type(node.ops[0]).__name__, left, right)
        first, second = self.expr(node.left), self.expr(node.comparators[0])
        rest = tuple(self.value_block(one) for one in node.comparators[1:])
        return self.emit("comparisons", tuple(type(one).__name__ for one in node.ops), first, second, rest)

    def _BoolOp(self, node: ast.BoolOp) -> Operand:
        values, stop = list(node.values), isinstance(node.op, ast.Or)
        first = self.expr(values.pop(0))
        while isinstance(first, Const) and values:
            if bool(first.value) is stop:
                return first
            first = self.expr(values.pop(0))
        if not values:
            return first
        return self.emit("bool", type(node.op).__name__, first, tuple(self.value_block(one) for one in values))

    def _IfExp(self, node: ast.IfExp) -> Operand:
        test, body, other = node.test, node.body, node.orelse
        while isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
            test, body, other = test.operand, other, body
        value = self.expr(test)
        if isinstance(value, Const):
            return self.expr(body if value.value else other)
        return self.emit("choose", value, self.value_block(body), self.value_block(other))

    def _Tuple(self, node: ast.Tuple) -> Operand:
        values = [self.expr(one) for one in node.elts]
        if all(isinstance(value, Const) for value in values) and sum(len(one.key[1]) for one in values) <= _LONGEST:
            return Const(tuple(value.value for value in values))
        return self.emit("tuple", *values)

    def _List(self, node: ast.List) -> Operand:
        return self.emit("list", *[self.expr(one) for one in node.elts])

    def _Set(self, node: ast.Set) -> Operand:
        return self.emit("set_", *[self.expr(one) for one in node.elts])

    def _Dict(self, node: ast.Dict) -> Operand:
        pairs = [(key and self.expr(key), self.expr(value)) for key, value in zip(node.keys, node.values, strict=True)]
        return self.emit("dict", *pairs)

    def _Starred(self, node: ast.Starred) -> Operand:
        return ("star", self.expr(node.value))

    def _Slice(self, node: ast.Slice) -> Operand:
        return ("slice", *(part and self.expr(part) for part in (node.lower, node.upper, node.step)))

    def _JoinedStr(self, node: ast.JoinedStr) -> Operand:
        return self.emit("string", *[self.expr(part) for part in node.values])

    def _FormattedValue(self, node: ast.FormattedValue) -> Operand:
        return ("format", self.expr(node.value), node.conversion, node.format_spec and self.expr(node.format_spec))

    def _Lambda(self, node: ast.Lambda) -> Operand:
        return self.emit("lambda", self.function(node))

    def _Yield(self, node: ast.Yield) -> Operand:
        return self.emit("yield", node.value and self.expr(node.value))

    def _YieldFrom(self, node: ast.YieldFrom) -> Operand:
        return self.emit("yieldfrom", self.expr(node.value))

    def _comprehension(self, node: ast.AST) -> Operand:
        first = self.expr(node.generators[0].iter)
        outer, self.scope = self.scope, self.scopes.of[node]
        before, self.block = self.block, []
        clauses = []
        for place, generator in enumerate(node.generators):
            values = first
            if place:
                values = self.expr(generator.iter)
            item = self._loop_target(generator.target)
            conditions = tuple(self.expr(one) for one in generator.ifs)
            clauses.append((values, item, scheduled(self.block), conditions))
            self.block = []
        parts = [node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt]
        values = tuple(self.expr(part) for part in parts)
        inner = scheduled(self.block)
        self.block, self.scope = before, outer
        return self.emit("comprehension", type(node).__name__, tuple(clauses), inner, values)

    _ListComp = _SetComp = _DictComp = _GeneratorExp = _comprehension

    def _Call(self, node: ast.Call) -> Operand:
        name = self.module.knob_get(node, self.scope)
        if name is not None:
            return self.knob(name)
        receiver = node.func.value if isinstance(node.func, ast.Attribute) else None
        callee = None
        if receiver is None:
            callee = self.expr(node.func)
        elif not _is_path(receiver):
            receiver = self.expr(receiver)
        positional = [self.expr(one) for one in node.args]
        named = [(one.arg, self.expr(one.value)) for one in node.keywords]
        if isinstance(receiver, ast.AST):  # a path of names counts as read at the call
            receiver = self.expr(receiver)
        if receiver is not None:
            if isinstance(receiver, tuple) and receiver[0] == "import":
                callee = ("import", f"{receiver[1]}.{node.func.attr}")
            elif receiver is self.itself and node.func.attr in self.attributes:
                callee = self.attributes[node.func.attr]
            else:
                return self.emit("method", receiver, node.func.attr, tuple(positional), tuple(sorted(named, key=_key)))
        builtin = callee[1] if isinstance(callee, tuple) and callee[0] == "builtin" else None
        if positional and not named and (folded := self._fold(_FOLDED.get(builtin), *positional)):
            return folded
        if builtin == "getattr" and len(positional) == 2:
            owner, name = positional
            if isinstance(name, Const) and isinstance(name.value, str):
                if isinstance(owner, tuple) and owner[0] == "import":
                    return ("import", f"{owner[1]}.{name.value}")
                return self.emit("attr", owner, name.value)
        positional, named = self.module.in_order(callee, positional, named)
        imported = callee[1] if isinstance(callee, tuple) and callee[0] == "import" else ""
        pure = builtin in _PURE_BUILTINS or imported.startswith(_PURE_MODULES)
        return self.emit("purecall" if pure else "call", callee, tuple(positional), tuple(sorted(named, key=_key)))


def _key(named: tuple[str | None, Operand]) -> str:
    return named[0] or ""


def _is_path(node: ast.AST) -> bool:
    while isinstance(node, ast.Attribute):
        node = node.value
    return isinstance(node, ast.Name)


def _stored(block: tuple) -> list[tuple[str, Operand]]:
    """Attributes that a block stores at its own level: (name, value)."""
    return [(one[3], one[4]) for one in block if one[0] == "setattr"]


def _without(block: tuple, names: set[str]) -> tuple:
    return tuple(one for one in block if not (one[0] == "setattr" and one[3] in names))


class Block(tuple):
    """Instructions one after another; `free` are the variables of their surroundings that they mention, in order."""

    free: tuple[Var, ...]


def _mentioned(item: Any) -> Iterator[Var]:
    """Variables of an instruction in order, those of inner blocks by their summary."""
    stack = [item]
    while stack:
        item = stack.pop()
        if isinstance(item, Var):
            yield item
        elif isinstance(item, Block):
            stack += reversed(item.free)
        elif isinstance(item, tuple):
            stack += reversed(item)


def scheduled(block: list[tuple]) -> Block:
    """The block with instructions without effects in the order in which they are needed."""
    pure = {one[1]: one for one in block if one[0] in _PURE}
    order: dict[Var, int] = {}

    def demand(item: Any) -> None:
        stack = [(var, False) for var in reversed(list(_mentioned(item)))]
        while stack:
            var, done = stack.pop()
            if done:
                order.setdefault(var, len(order))
            elif var in pure and var not in order:
                stack.append((var, True))
                stack += [(part, False) for part in reversed(list(_mentioned(pure[var][2:])))]

    for one in block:
        if one[0] not in _PURE:
            demand(one)
    for var in pure:
        demand(var)
    ordered: list[tuple] = []
    waiting: list[tuple] = []
    for one in [*block, None]:
        if one is not None and one[0] in _PURE:
            waiting.append(one)
            continue
        ordered += sorted(waiting, key=lambda instruction: order[instruction[1]])
        waiting = []
        if one is not None:
            ordered.append(one)
    result = Block(ordered)
    defined = {one[1] for one in ordered if one[1] is not None}
    result.free = tuple(dict.fromkeys(var for var in _mentioned(tuple(ordered)) if var not in defined))
    return result


def _leaves(statements: list[ast.stmt]) -> bool:
    """True if the statements never go on to what follows them."""
    for statement in reversed(statements):
        if isinstance(statement, ast.Return | ast.Raise | ast.Break | ast.Continue):
            return True
        if isinstance(statement, ast.If) and statement.orelse:
            return _leaves(statement.body) and _leaves(statement.orelse)
        if not isinstance(statement, ast.Pass):
            return False
    return False
