"""A script as the parts that its two entry points reach: functions, classes and constants, in normal form."""

import ast
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from typing import Any

from tmelt.evidence.normalise.knob_reads import KnobReads
from tmelt.evidence.normalise.lower import Const, Lower, Operand
from tmelt.evidence.normalise.module_names import MODULE_NAMES
from tmelt.evidence.normalise.scopes import (
    COMPREHENSIONS,
    DEFINITIONS,
    Scope,
    Scopes,
    Unsure,
    Var,
    bound_names,
    parameters,
    refuse_reflection,
    words,
)

NODES_MAX = 25_000
ENTRIES = ("fit", "predict")
MODULE = "(module)"
_SAFE_ROOTS = (sys.stdlib_module_names | {"torch", "numpy", "scipy", "tmelt"}) - {"antigravity", "this"}
_SAFE_DECORATORS = words(
    "torch.inference_mode torch.no_grad torch.enable_grad torch.compile functools.lru_cache functools.cache "
    "functools.wraps contextlib.contextmanager dataclasses.dataclass staticmethod classmethod property"
)
_PURE_CALLS = words(
    "max min abs round int float bool len str range tuple list dict set frozenset sorted sum re.compile torch.tensor "
    "numpy.array pathlib.Path"
)


class Module:
    """The names of a script's top level, and what each of them stands for."""

    def __init__(self, tree: ast.Module) -> None:
        self.tree = tree
        nodes = list(ast.walk(tree))
        if len(nodes) > NODES_MAX:
            raise Unsure("too large")
        refuse_reflection(tree)
        self.nodes = nodes
        self._sort_statements()
        reads = KnobReads(tree, self)
        self.knob_parameters = reads.parameters
        self.overrides = reads.overrides
        self.knobs_escaped = reads.escaped
        self._reads = reads
        self.keywords = self._keywords()
        self.read: set[str] = set()  # knobs that were read so far
        self._constants: dict[str, Operand | None] = {}

    def _sort_statements(self) -> None:
        """Which names are defined once and for all, and which statements run when the script is loaded."""
        bound: dict[str, int] = {}
        self.functions: dict[str, ast.AST] = {}
        self.values: dict[str, ast.expr] = {}
        self.imports: dict[str, str] = {}
        self.sequence: list[ast.stmt] = []
        definitions: dict[str, list[ast.AST]] = {}
        for statement in self.tree.body:
            for name in _bound_by(statement):
                bound[name] = bound.get(name, 0) + 1
            if isinstance(statement, DEFINITIONS):
                definitions.setdefault(statement.name, []).append(statement)
        self._top = set(bound)
        declared = {name for node in self.nodes if isinstance(node, ast.Global | ast.Nonlocal) for name in node.names}
        for statement in self.tree.body:
            names = list(_bound_by(statement))
            once = all(bound[name] == 1 and name not in declared for name in names)
            if isinstance(statement, ast.Import | ast.ImportFrom):
                for name, path, safe in self.imported(statement):
                    if safe and bound[name] == 1 and name not in declared:
                        self.imports[name] = path
                    elif statement not in self.sequence:
                        self.sequence.append(statement)
            elif isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
                continue
            elif isinstance(statement, DEFINITIONS) and (once or self._last_counts(statement, bound, definitions)):
                if definitions[statement.name][-1] is statement:
                    self.functions[statement.name] = statement
            elif once and (target := _single_name(statement)):
                self.values[target] = statement.value
            elif not isinstance(statement, ast.Pass):
                self.sequence.append(statement)
        for name, statement in list(self.functions.items()):
            if not self._is_lazy(statement):
                del self.functions[name]
                self.sequence.append(statement)
        assigned = {_single_name(one): one for one in self.tree.body}
        for name in [name for name, value in self.values.items() if not self._is_pure(value)]:
            del self.values[name]
            self.sequence.append(assigned[name])
        place = {id(statement): index for index, statement in enumerate(self.tree.body)}
        self.sequence.sort(key=lambda statement: place[id(statement)])
        self.bound = set(bound) | declared
        self.unstable = {name for name in self.bound if bound.get(name, 0) != 1 or name in declared}
        self.unstable -= set(self.functions)
        if any(name not in self.functions for name in ENTRIES):
            raise Unsure("fit or predict is not an ordinary function")
        mentioned = {
            node.id for statement in self.sequence for node in ast.walk(statement) if isinstance(node, ast.Name)
        }
        if any(len(definitions[name]) > 1 and name in mentioned for name in self.functions):
            raise Unsure("a function is replaced while the script is loaded")

    def _last_counts(self, statement: ast.AST, bound: Mapping[str, int], definitions: Mapping[str, list]) -> bool:
        """True if a name is bound by definitions only, of which the last is the one that is ever called."""
        ones = definitions[statement.name]
        return bound[statement.name] == len(ones) and not any(one.decorator_list for one in ones)

    def _is_lazy(self, node: ast.AST) -> bool:
        """True if a definition does nothing but define."""
        for decorator in node.decorator_list:
            called = decorator.func if isinstance(decorator, ast.Call) else decorator
            if self.path(called) not in _SAFE_DECORATORS or not all(
                self._is_pure(one) for one in _arguments_of(decorator)
            ):
                return False
        if isinstance(node, ast.ClassDef):
            for statement in node.body:
                if isinstance(statement, ast.FunctionDef):
                    if not self._is_lazy(statement):
                        return False
                elif isinstance(statement, ast.Assign | ast.AnnAssign):
                    if statement.value is not None and not self._is_pure(statement.value):
                        return False
                elif not _is_text(statement) and not isinstance(statement, ast.Pass):
                    return False
            return True
        return all(self._is_pure(one) for one in [*node.args.defaults, *filter(None, node.args.kw_defaults)])

    def _is_pure(self, node: ast.AST) -> bool:
        """True if evaluating an expression when the script is loaded has no effect but its value."""
        if isinstance(node, ast.Lambda):
            return True
        if isinstance(node, ast.Call) and (
            self.path(node.func) not in _PURE_CALLS and not (self.path(node.func) or "").startswith("math.")
        ):
            return False
        plain = (
            ast.Constant, ast.Name, ast.Attribute, ast.Dict, ast.List, ast.Tuple, ast.Set, ast.BinOp, ast.UnaryOp,
            ast.Subscript, ast.Compare, ast.BoolOp, ast.IfExp, ast.JoinedStr, ast.FormattedValue, ast.keyword,
            ast.Starred, ast.Slice, ast.Call, ast.comprehension, *COMPREHENSIONS, ast.operator, ast.unaryop,
            ast.cmpop, ast.boolop, ast.expr_context,
        )  # fmt: skip
        return isinstance(node, plain) and all(self._is_pure(child) for child in ast.iter_child_nodes(node))

    def only_prints(self, node: ast.AST) -> bool:
        """True for a call of `print` whose arguments have no effect."""
        return (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id == "print"
            and "print" not in self.bound
            and not self._bound_locally("print")
            and all(_is_shown(one) for one in _arguments_of(node))
        )

    def path(self, node: ast.AST) -> str | None:
        """The dotted name of an imported object, or a builtin's name."""
        names: list[str] = []
        while isinstance(node, ast.Attribute):
            names.append(node.attr)
            node = node.value
        if not isinstance(node, ast.Name):
            return None
        if node.id in self.imports:
            return ".".join([self.imports[node.id], *reversed(names)])
        return None if node.id in self._top else ".".join([node.id, *reversed(names)])

    def imported(self, node: ast.Import | ast.ImportFrom) -> list[tuple[str, str, bool]]:
        """(name, what it stands for, whether importing it has no effect) of an import statement."""
        found = []
        for one in node.names:
            if isinstance(node, ast.Import):
                path = one.name if one.asname else one.name.split(".")[0]
                found.append((one.asname or path, path, one.name.split(".")[0] in _SAFE_ROOTS))
            else:
                path = f"{node.module}.{one.name}"
                found.append((one.asname or one.name, path, node.module.split(".")[0] in _SAFE_ROOTS))
        return found

    # ---- what names stand for ----

    def operand(self, name: str) -> Operand | None:
        """A global name or builtin as an operand; None where it may change while the script runs."""
        if name in self.imports:
            return ("import", self.imports[name])
        if name in self.values:
            constant = self._constant(name)
            return constant if constant is not None else ("global", name)
        if name in self.unstable:
            return None
        return ("global", name) if name in self.bound else ("builtin", name)

    def _constant(self, name: str) -> Operand | None:
        """The constant that a global is assigned, if it is one."""
        if name not in self._constants:
            self._constants[name] = None  # a name that refers to itself is no constant
            block, value = self.value(name)
            if not block and not isinstance(value, Var) and not (isinstance(value, tuple) and value[0] == "global"):
                self._constants[name] = value
        return self._constants[name]

    def value(self, name: str) -> tuple[tuple, Operand]:
        """The instructions of a global's value."""
        node = ast.Lambda(args=_NO_ARGUMENTS, body=self.values[name])
        lower = Lower(self, {}, Scopes(node))
        lower.scope = lower.scopes.of[node]
        return lower.value_block(node.body)

    def global_(self, name: str) -> Operand:
        """A reference to a global variable."""
        return ("global", name)

    # ---- knobs ----

    def knob_name(self, node: ast.Subscript, scope: Scope | None) -> str | None:
        """The knob that `knobs["name"]` reads."""
        if isinstance(node.slice, ast.Constant) and isinstance(node.slice.value, str):
            return node.slice.value if self._reads.is_knobs(node.value, scope) else None
        return None

    def knob_get(self, node: ast.Call, scope: Scope | None) -> str | None:
        """The knob that `knobs.get("name", …)` reads; None for one that the candidate does not have."""
        if not (isinstance(node.func, ast.Attribute) and node.func.attr == "get" and node.args and not node.keywords):
            return None
        name = node.args[0]
        if not (isinstance(name, ast.Constant) and name.value in self.candidate_knobs):
            return None
        return name.value if self._reads.is_knobs(node.func.value, scope) else None

    candidate_knobs: frozenset[str] = frozenset()

    def without_override(self, name: str, evaluate: Callable[[], Operand]) -> Operand:
        """Evaluate what a knob was replaced by, in which the knob itself is the harness's."""
        kept = self.overrides.pop(name)
        try:
            return evaluate()
        finally:
            self.overrides[name] = kept

    # ---- definitions ----

    def body_of(self, node: ast.AST) -> list[ast.stmt]:
        """A definition's statements without its docstring and without replaced knobs."""
        body = [one for one in node.body if not _is_text(one)]
        return [one for one in body if one not in self._reads.prelude] if node is self.functions["fit"] else body

    def annotations_of(self, node: ast.AST) -> tuple:
        """Annotations that something may read or that do more than name a type; usually none."""
        if isinstance(node, ast.Lambda):
            return ()
        found = [one.annotation for one in parameters(node.args) if one.annotation] + [node.returns] * bool(
            node.returns
        )
        called = [one.func if isinstance(one, ast.Call) else one for one in node.decorator_list]
        harmless = all(self.path(one) in _SAFE_DECORATORS for one in called)
        return () if harmless and all(_is_type(one) for one in found) else tuple(ast.dump(one) for one in found)

    def annotated(self, node: ast.ClassDef) -> bool:
        """True if a class's annotations may matter: a dataclass, or an unknown base."""
        return bool(node.decorator_list) or not self.is_plain_class(node)

    def is_plain_class(self, node: ast.ClassDef) -> bool:
        """True for a class without bases, or of torch.nn.Module alone."""
        return all(
            self.path(base) in ("torch.nn.Module", "torch.nn.modules.module.Module", "object") for base in node.bases
        )

    @cached_property
    def _dynamic(self) -> bool:
        """True if attributes are looked up by a name that is computed."""
        direct = {
            id(node.func)
            for node in self.nodes
            if isinstance(node, ast.Call) and len(node.args) > 1 and isinstance(node.args[1], ast.Constant)
        }
        return any(
            isinstance(node, ast.Name) and node.id in ("getattr", "hasattr") and id(node) not in direct
            for node in self.nodes
        )

    @cached_property
    def _strings(self) -> set[str]:
        """Texts that may name an attribute or a parameter: not keys of `values["key"]` nor replaced knobs."""
        keys = {id(node.slice) for node in self.nodes if isinstance(node, ast.Subscript)}
        keys |= {id(node) for statement in self._reads.prelude for node in ast.walk(statement)}
        return {
            node.value
            for node in self.nodes
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in keys
        }

    @cached_property
    def _attributes(self) -> dict[str, list[ast.Attribute]]:
        found: dict[str, list[ast.Attribute]] = {}
        for node in self.nodes:
            if isinstance(node, ast.Attribute):
                found.setdefault(node.attr, []).append(node)
        return found

    @cached_property
    def _class_names(self) -> set[str]:
        """Names that class bodies bind."""
        return {
            name
            for node in self.nodes
            if isinstance(node, ast.ClassDef)
            for statement in node.body
            for name in _bound_by(statement)
        }

    def is_live_method(self, node: ast.ClassDef, method: ast.FunctionDef) -> bool:
        """False for a method of a plain class that nothing mentions and torch does not know."""
        name = method.name
        if self._dynamic or not self.is_plain_class(node) or method.decorator_list or node.decorator_list:
            return True
        if name.startswith("__") or name in MODULE_NAMES or name in self._strings:
            return True
        own = {id(inner) for inner in ast.walk(method)}
        return any(id(one) not in own for one in self._attributes.get(name, []))

    def constant_attributes(self, node: ast.ClassDef) -> set[str]:
        """Attributes that `__init__` alone stores, once and unconditionally, and only methods of the class read."""
        if self._dynamic or not self.is_plain_class(node) or node.decorator_list:
            return set()
        inside: set[int] = set()
        stored: dict[str, ast.Attribute] = {}
        for method in node.body:
            if not isinstance(method, ast.FunctionDef) or not method.args.args or method.decorator_list:
                continue
            itself = method.args.args[0].arg
            if any(
                isinstance(one, ast.Name) and one.id == itself and not isinstance(one.ctx, ast.Load)
                for one in ast.walk(method)
            ):
                continue
            nested = [
                argument.arg
                for one in ast.walk(method)
                if one is not method and isinstance(one, ast.FunctionDef | ast.Lambda)
                for argument in parameters(one.args)
            ]
            if itself in nested:
                continue
            for one in ast.walk(method):
                if isinstance(one, ast.Attribute) and isinstance(one.value, ast.Name) and one.value.id == itself:
                    inside.add(id(one))
            if method.name == "__init__":
                for statement in method.body:
                    if isinstance(statement, ast.Assign):
                        for target in statement.targets:
                            if isinstance(target, ast.Attribute) and id(target) in inside:
                                stored[target.attr] = target
        found = set()
        for name, target in stored.items():
            uses = self._attributes[name]
            stores = [one for one in uses if not isinstance(one.ctx, ast.Load)]
            if (
                stores == [target]
                and all(id(one) in inside for one in uses)
                and name not in MODULE_NAMES
                and name not in self._strings
                and name not in self._class_names
            ):
                found.add(name)
        return found

    def lookup_table(self, node: ast.AST, scope: Scope | None) -> list[tuple[ast.expr, ast.expr]] | None:
        """The entries of a dict that is only looked up in: a literal, or a global that nothing else is done with."""
        if isinstance(node, ast.Name) and node.id in self.values and not (scope and scope.find(node.id)):
            value = self.values[node.id]
            if node.id not in self._looked_up:
                return None
            node = value
        if not isinstance(node, ast.Dict) or not node.keys:
            return None
        if not all(isinstance(key, ast.Constant) for key in node.keys) or len(node.keys) > 64:
            return None
        if not all(self._is_reference(value) for value in node.values):
            return None
        return list(zip(node.keys, node.values, strict=True))

    @cached_property
    def _looked_up(self) -> set[str]:
        """Globals that are mentioned in `name[key]` only."""
        subscripted = {
            id(node.value) for node in self.nodes if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Load)
        }
        others = {
            node.id
            for node in self.nodes
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and id(node) not in subscripted
        }
        return set(self.values) - others

    def _is_reference(self, node: ast.AST) -> bool:
        """True for a constant, a top-level function, or something imported."""
        if isinstance(node, ast.Constant):
            return True
        if isinstance(node, ast.Name) and node.id in self.functions:
            return not self._bound_locally(node.id)
        return isinstance(node, ast.Name | ast.Attribute) and self._is_imported(node)

    @cached_property
    def _local_names(self) -> set[str]:
        top = {id(node) for statement in self.tree.body for node in [statement]}
        found = {node.arg for node in self.nodes if isinstance(node, ast.arg)}
        globals_ = {
            id(inner)
            for statement in self.tree.body
            if isinstance(statement, ast.Assign | ast.AnnAssign)
            for inner in ast.walk(statement)
        }
        for node in self.nodes:
            if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load) and id(node) not in globals_:
                found.add(node.id)
            elif isinstance(node, (*DEFINITIONS, ast.Import, ast.ImportFrom)) and id(node) not in top:
                found |= set(_bound_by(node))
            elif isinstance(node, ast.ExceptHandler) and node.name:
                found.add(node.name)
        return found

    def _bound_locally(self, name: str) -> bool:
        """True if some function has a variable of this name."""
        return name in self._local_names

    # ---- calls ----

    def signature(self, name: str) -> list[str] | None:
        """Positional parameters of a top-level function, or of a class's construction; None where unknown."""
        node = self.functions.get(name)
        if isinstance(node, ast.ClassDef):
            if not self.is_plain_class(node) or node.decorator_list:
                return None
            node = next((one for one in node.body if isinstance(one, ast.FunctionDef) and one.name == "__init__"), None)
            if node is None or node.decorator_list or not node.args.args or node.args.posonlyargs:
                return None
            skip = 1
        else:
            skip = 0
        if node is None or node.args.vararg or node.args.kwarg or node.args.posonlyargs:
            return None
        called = [one.func if isinstance(one, ast.Call) else one for one in node.decorator_list]
        if any(self.path(one) not in ("torch.inference_mode", "torch.no_grad") for one in called):
            return None
        return [one.arg for one in node.args.args][skip:]

    def _keywords(self) -> set[str]:
        """Names that calls pass arguments by where the function that is called is unknown."""
        found: set[str] = set()
        for node in self.nodes:
            if isinstance(node, ast.Call) and node.keywords:
                spread = any(one.arg is None for one in node.keywords) or any(
                    isinstance(one, ast.Starred) for one in node.args
                )
                known = isinstance(node.func, ast.Name) and not self._bound_locally(node.func.id) and not spread
                if not known or self.signature(node.func.id) is None:
                    found |= {one.arg for one in node.keywords if one.arg}
                if not self._is_imported(node.func):
                    for one in node.keywords:
                        found |= self._keys_of(one.value) if one.arg is None else set()
        return found

    def _keys_of(self, node: ast.AST) -> set[str]:
        """The names that `**values` may pass: the keys of the one dict that it is, or else any text of the script."""
        if isinstance(node, ast.Name) and (keys := self._passed.get(node.id)) is not None:
            return keys
        return self._strings

    @cached_property
    def _passed(self) -> dict[str, set[str]]:
        """Variables that hold one dict each, written out, and are used for `**` only: their keys."""
        found: dict[str, set[str]] = {}
        count: dict[str, int] = {}
        for node in self.nodes:
            if isinstance(node, ast.Name):
                count[node.id] = count.get(node.id, 0) + 1
            elif isinstance(node, ast.arg):
                count[node.arg] = count.get(node.arg, 0) + 1
            elif isinstance(node, ast.keyword) and node.arg is None and isinstance(node.value, ast.Name):
                count[node.value.id] = count.get(node.value.id, 0) - 1
            elif isinstance(node, ast.Assign) and (name := _single_name(node)) and isinstance(node.value, ast.Dict):
                keys = node.value.keys
                if all(isinstance(key, ast.Constant) for key in keys):
                    found[name] = {key.value for key in keys}
        return {name: keys for name, keys in found.items() if count[name] == 1}

    def _is_imported(self, node: ast.AST) -> bool:
        """True for an object of an imported module."""
        while isinstance(node, ast.Attribute):
            node = node.value
        return isinstance(node, ast.Name) and node.id in self.imports and not self._bound_locally(node.id)

    def in_order(
        self, callee: Operand, positional: list[Operand], named: list[tuple[str | None, Operand]]
    ) -> tuple[list[Operand], list[tuple[str | None, Operand]]]:
        """The arguments of a call by position where the function called is known, so that its names do not matter."""
        names = self.signature(callee[1]) if isinstance(callee, tuple) and callee[0] == "global" else None
        spread = any(isinstance(one, tuple) and one[0] == "star" for one in positional)
        if names is None or spread or any(name is None for name, _ in named):
            return positional, named
        given = dict(named)
        positional = list(positional)
        while len(positional) < len(names) and names[len(positional)] in given:
            positional.append(given.pop(names[len(positional)]))
        numbers = {name: f"#{place}" for place, name in enumerate(names)}
        return positional, [(numbers.get(name, name), value) for name, value in given.items()]


class Program:
    """The parts of a script that `fit`, `predict` and the loading of the script reach.

    Attributes:
        parts: name: normal form, in the order in which they are reached.
        reads: name: knobs that the part reads.
        read: knobs that any of them reads.
    """

    def __init__(self, module: Module, values: Mapping[str, Any]) -> None:
        self.reads: dict[str, set[str]] = {}
        self.parts: dict[str, tuple] = {}
        waiting = [*reversed(ENTRIES), MODULE]
        while waiting:
            name = waiting.pop()
            if name in self.parts:
                continue
            module.read = set()
            self.parts[name] = part = self._part(module, name, values)
            self.reads[name] = module.read
            waiting += [one for one in reversed(list(_globals_of(part))) if self._has_part(module, one)]
        self.read = set().union(*self.reads.values())

    @staticmethod
    def _has_part(module: Module, name: str) -> bool:
        return name in module.functions or name in module.values

    def _part(self, module: Module, name: str, values: Mapping[str, Any]) -> tuple:
        if name == MODULE:
            return _sequence(module, values)
        if name in module.values:
            return ("value", *module.value(name))
        node = module.functions[name]
        lower = Lower(module, values, Scopes(node))
        if isinstance(node, ast.ClassDef):
            lower_block: tuple = ()
            form = lower.class_(node)
        else:
            form = lower.function(node)
            lower_block = tuple(lower.block)
        return ("definition", lower_block, form)

    @cached_property
    def text(self) -> str:
        """A text that is the same for programs that differ in names, order and spelling only."""
        names: dict[str, int] = {}
        order = [*ENTRIES, MODULE]
        pieces = []
        for name in order:
            names.setdefault(name, len(names))
        place = 0
        while place < len(order):
            part = self.parts.get(order[place])
            place += 1
            if part is None:
                pieces.append(order[place - 1])
                continue
            variables: dict[Var, int] = {}
            stack: list[Any] = [part]
            while stack:
                item = stack.pop()
                if isinstance(item, Var):
                    pieces.append(f"v{variables.setdefault(item.root, len(variables))}")
                elif isinstance(item, Const):
                    pieces.append("c" + ":".join(item.key))
                elif isinstance(item, tuple) and len(item) == 2 and item[0] == "global":
                    if item[1] not in names:
                        names[item[1]] = len(names)
                        order.append(item[1])
                    pieces.append(f"g{names[item[1]]}")
                elif isinstance(item, tuple):
                    pieces.append(f"({len(item)}")
                    stack += reversed(item)
                else:
                    pieces.append(repr(item))
        return " ".join(pieces)


def _sequence(module: Module, values: Mapping[str, Any]) -> tuple:
    """What runs when the script is loaded."""
    names = sorted(module.bound)
    body: list[ast.stmt] = [*([ast.Global(names)] if names else []), *module.sequence]
    node = ast.FunctionDef(name=MODULE, args=_NO_ARGUMENTS, body=body or [ast.Pass()], decorator_list=[])
    lower = Lower(module, values, Scopes(node))
    lower.scope = lower.scopes.of[node]
    return ("loading", lower.nested(module.sequence))


def _globals_of(part: tuple) -> Iterator[str]:
    """Names of globals that a part mentions, in order."""
    stack: list[Any] = [part]
    while stack:
        item = stack.pop()
        if isinstance(item, tuple):
            if len(item) == 2 and item[0] == "global":
                yield item[1]
            else:
                stack += reversed(item)


_NO_ARGUMENTS = ast.arguments(posonlyargs=[], args=[], kwonlyargs=[], kw_defaults=[], defaults=[])


def _bound_by(statement: ast.AST) -> Iterator[str]:
    """Names that a statement binds at its own level, inner blocks included."""
    if isinstance(statement, DEFINITIONS):
        yield statement.name
    elif isinstance(statement, ast.Import | ast.ImportFrom):
        for one in statement.names:
            yield one.asname or one.name.split(".")[0]
    elif isinstance(statement, ast.Lambda | ast.expr):
        return
    elif isinstance(statement, ast.Assign):
        for target in statement.targets:
            yield from bound_names(target)
    elif isinstance(statement, ast.AnnAssign | ast.AugAssign):
        yield from bound_names(statement.target)
    else:
        if isinstance(statement, ast.For):
            yield from bound_names(statement.target)
        if isinstance(statement, ast.With):
            for item in statement.items:
                if item.optional_vars:
                    yield from bound_names(item.optional_vars)
        if isinstance(statement, ast.ExceptHandler) and statement.name:
            yield statement.name
        if isinstance(statement, ast.Delete):
            for target in statement.targets:
                yield from bound_names(target)
        for child in ast.iter_child_nodes(statement):
            if isinstance(child, ast.stmt | ast.ExceptHandler):
                yield from _bound_by(child)


def _single_name(statement: ast.stmt) -> str | None:
    """The name that a plain assignment binds."""
    if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
        target = statement.targets[0]
    elif isinstance(statement, ast.AnnAssign) and statement.value is not None:
        target = statement.target
    else:
        return None
    return target.id if isinstance(target, ast.Name) else None


def _is_text(statement: ast.stmt) -> bool:
    """True for a docstring or a string that stands alone."""
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def _arguments_of(node: ast.AST) -> list[ast.AST]:
    return [*node.args, *(one.value for one in node.keywords)] if isinstance(node, ast.Call) else []


def _is_shown(node: ast.AST) -> bool:
    """True for constants, names, attributes and texts made of them."""
    plain = (ast.Constant, ast.Name, ast.Attribute, ast.JoinedStr, ast.FormattedValue, ast.expr_context)
    return all(isinstance(one, plain) for one in ast.walk(node))


def _is_type(node: ast.AST) -> bool:
    """True for an expression that names a type and does nothing."""
    plain = (ast.Name, ast.Attribute, ast.Subscript, ast.Tuple, ast.List, ast.Constant, ast.BinOp, ast.BitOr,
             ast.expr_context)  # fmt: skip
    return all(isinstance(one, plain) for one in ast.walk(node))
