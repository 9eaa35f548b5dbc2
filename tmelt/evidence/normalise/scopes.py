"""Scopes of a script: which binding each name refers to, and which local variables are assigned in plain order."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def words(text: str) -> frozenset[str]:
    """The words of a text."""
    return frozenset(text.split())


# What lets a script look at its own names or source, or run code that is not in its syntax tree.
_REFLECTION = words(
    "eval exec compile globals locals vars dir setattr delattr breakpoint input __import__ __file__ __builtins__ "
    "__annotations__ __doc__ __spec__ __loader__ __dict__"
)
_REFLECTIVE_MODULES = words(
    "inspect importlib builtins types dis ast pkgutil runpy gc ctypes traceback linecache tokenize symtable sys code "
    "codeop imp zipimport __main__ marshal dill cloudpickle operator"
)
_METHODS = words(
    "__init__ __call__ __len__ __getitem__ __iter__ __next__ __enter__ __exit__ __repr__ __str__ __eq__ __hash__ "
    "__post_init__ __add__ __mul__ __contains__"
)


class Unsure(Exception):
    """The script does something that the normal form cannot follow."""


@dataclass(eq=False)
class Var:
    """A variable or an intermediate value of a function."""

    name: str = ""
    link: "Var | None" = None  # the variable that this value is
    plain: bool = False  # every binding is an assignment in one block, before each use and around it
    bindings: int = 0
    captured: bool = False
    knobs: bool = False  # holds the dict of knob values

    @property
    def root(self) -> "Var":
        """The variable that this one was found to be."""
        var = self
        while var.link is not None:
            var = var.link
        return var

    @property
    def stable(self) -> bool:
        """Bound in one place."""
        return self.bindings <= 1


@dataclass(eq=False)
class Scope:
    """Variables of a function, a lambda or a comprehension."""

    node: ast.AST
    outer: "Scope | None"
    variables: dict[str, Var] = field(default_factory=dict)
    globals: set[str] = field(default_factory=set)
    is_class: bool = False

    def find(self, name: str) -> Var | None:
        """The local variable that a name refers to; None for a global or a builtin."""
        scope: Scope | None = self
        while scope is not None:
            if name in scope.globals:
                return None
            if name in scope.variables and (not scope.is_class or scope is self):
                return scope.variables[name]
            scope = scope.outer
        return None


def parameters(arguments: ast.arguments) -> list[ast.arg]:
    """All parameters in their order."""
    extra = [argument for argument in (arguments.vararg, arguments.kwarg) if argument]
    return [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, *extra]


def refuse_reflection(tree: ast.Module) -> None:
    """Raise Unsure where names or source may matter to what a script does."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id in _REFLECTION:
            raise Unsure(node.id)
        if isinstance(node, ast.Attribute) and _is_dunder(node.attr) and node.attr not in _METHODS:
            raise Unsure(node.attr)
        if isinstance(node, DEFINITIONS) and _is_dunder(node.name) and node.name not in _METHODS:
            raise Unsure(node.name)
        if isinstance(node, ast.Import) and any(name.name.split(".")[0] in _REFLECTIVE_MODULES for name in node.names):
            raise Unsure("import")
        if isinstance(node, ast.ImportFrom) and (
            node.level
            or (node.module or "").split(".")[0] in _REFLECTIVE_MODULES
            or any(name.name == "*" for name in node.names)
        ):
            raise Unsure("import")
        if isinstance(node, ast.Attribute) and node.attr in ("jit", "fx", "modules") and _ends_in(node, "torch", "sys"):
            raise Unsure(node.attr)
        if isinstance(node, ast.ClassDef) and node.keywords:
            raise Unsure("class keyword")
        if isinstance(node, ast.Match | ast.AsyncFunctionDef | ast.AsyncFor | ast.AsyncWith | ast.Await | ast.TryStar):
            raise Unsure(type(node).__name__)


def _is_dunder(name: str) -> bool:
    return name.startswith("__") and name.endswith("__")


def _ends_in(node: ast.Attribute, *names: str) -> bool:
    return isinstance(node.value, ast.Name) and node.value.id in names


def bound_names(target: ast.AST) -> Iterator[str]:
    """Names that an assignment's target binds."""
    for node in ast.walk(target):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store | ast.Del):
            yield node.id


class _Use:
    """Where a variable is bound and used, in the order of the text."""

    def __init__(self) -> None:
        self.binds: list[tuple[int, bool]] = []  # block, by a plain assignment
        self.first_use_before = False
        self.blocks: list[tuple[int, int]] = []  # (block of a use, number of bindings before it)
        self.captured_before = False
        self.captured = False


class Scopes:
    """The scopes of one top-level function or class, by their nodes."""

    def __init__(self, node: ast.AST) -> None:
        self.of: dict[ast.AST, Scope] = {}
        self._parent: dict[int, int] = {}
        self._block = 0
        self._blocks = 0
        self._uses: dict[Var, _Use] = {}
        self._enter(node, None)
        for var, use in self._uses.items():
            var.bindings = len(use.binds)
            var.captured = use.captured
            var.plain = self._is_plain(use)

    def _is_plain(self, use: _Use) -> bool:
        if not use.binds or use.first_use_before or use.captured_before:
            return False
        blocks = {block for block, _ in use.binds}
        if len(blocks) > 1 or not all(plain for _, plain in use.binds):
            return False
        if len(use.binds) > 1 and use.captured:
            return False
        home = blocks.pop()
        return all(self._inside(block, home) for block, _ in use.blocks)

    def _inside(self, block: int, home: int) -> bool:
        while block > home:
            block = self._parent[block]
        return block == home

    def _new_block(self) -> int:
        self._blocks += 1
        self._parent[self._blocks] = self._block
        return self._blocks

    def _in_block(self, scope: Scope, statements: list[ast.stmt]) -> None:
        before, self._block = self._block, self._new_block()
        for statement in statements:
            self._visit(statement, scope)
        self._block = before

    def _enter(self, node: ast.AST, outer: Scope | None) -> None:
        scope = Scope(node, outer, is_class=isinstance(node, ast.ClassDef))
        self.of[node] = scope
        before, self._block = self._block, self._new_block()
        if isinstance(node, FUNCTIONS):
            for argument in parameters(node.args):
                self._declare(scope, argument.arg)
        body = node.body if isinstance(node.body, list) else [node.body]
        if not isinstance(node, ast.Lambda):
            self._collect(scope, body)
        if isinstance(node, FUNCTIONS):
            for argument in parameters(node.args):
                self._bind(scope, argument.arg, True)
        for statement in body:
            self._visit(statement, scope)
        self._block = before

    def _collect(self, scope: Scope, body: list[ast.stmt]) -> None:
        """Declare every name that is bound in the scope itself."""
        stack: list[ast.AST] = list(body)
        while stack:
            node = stack.pop()
            if isinstance(node, ast.Global | ast.Nonlocal):
                if isinstance(node, ast.Nonlocal):
                    raise Unsure("nonlocal")
                scope.globals |= set(node.names)
            elif isinstance(node, DEFINITIONS):
                self._declare(scope, node.name)
                stack += node.decorator_list
                continue
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store | ast.Del):
                self._declare(scope, node.id)
            elif isinstance(node, ast.Import | ast.ImportFrom):
                for name in node.names:
                    self._declare(scope, name.asname or name.name.split(".")[0])
            elif isinstance(node, ast.ExceptHandler) and node.name:
                self._declare(scope, node.name)
            if isinstance(node, ast.Lambda):
                continue
            if isinstance(node, COMPREHENSIONS):
                stack += [inner.target for inner in ast.walk(node) if isinstance(inner, ast.NamedExpr)]
                continue
            stack += ast.iter_child_nodes(node)

    def _declare(self, scope: Scope, name: str) -> None:
        if name not in scope.variables:
            var = scope.variables[name] = Var(name)
            self._uses[var] = _Use()

    def _bind(self, scope: Scope, name: str, plain: bool) -> None:
        var = scope.find(name)
        if var is not None:
            self._uses[var].binds.append((self._block, plain))

    def _use(self, scope: Scope, name: str) -> None:
        var = scope.find(name)
        if var is None:
            return
        use = self._uses[var]
        use.blocks.append((self._block, len(use.binds)))
        if not use.binds:
            use.first_use_before = True
        home: Scope | None = scope
        while home is not None and home.variables.get(name) is not var:
            if not isinstance(home.node, ast.ListComp | ast.SetComp | ast.DictComp):
                use.captured = True
                if not use.binds:
                    use.captured_before = True
            home = home.outer

    def _visit(self, node: ast.AST, scope: Scope) -> None:
        if isinstance(node, ast.Name):
            if isinstance(node.ctx, ast.Load):
                self._use(scope, node.id)
            else:
                self._bind(scope, node.id, False)
        elif isinstance(node, ast.Assign):
            self._visit(node.value, scope)
            for target in node.targets:
                self._assign(target, scope)
        elif isinstance(node, ast.AnnAssign):
            if node.value is not None:
                self._visit(node.value, scope)
                self._assign(node.target, scope)
        elif isinstance(node, ast.AugAssign):
            if isinstance(node.target, ast.Name):
                self._use(scope, node.target.id)
            self._visit(node.value, scope)
            self._visit(node.target, scope)
        elif isinstance(node, ast.NamedExpr):
            self._visit(node.value, scope)
            owner = scope
            while isinstance(owner.node, COMPREHENSIONS):
                owner = owner.outer
            self._bind(owner, node.target.id, False)
        elif isinstance(node, DEFINITIONS):
            for part in self._outside(node):
                self._visit(part, scope)
            self._bind(scope, node.name, True)
            self._enter(node, scope)
        elif isinstance(node, ast.Lambda):
            for part in self._outside(node):
                self._visit(part, scope)
            self._enter(node, scope)
        elif isinstance(node, COMPREHENSIONS):
            self._comprehension(node, scope)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            for name in node.names:
                self._bind(scope, name.asname or name.name.split(".")[0], True)
        elif isinstance(node, ast.If):
            self._visit(node.test, scope)
            self._in_block(scope, node.body)
            self._in_block(scope, node.orelse)
        elif isinstance(node, ast.For):
            self._visit(node.iter, scope)
            before, self._block = self._block, self._new_block()
            self._visit(node.target, scope)
            for statement in node.body:
                self._visit(statement, scope)
            self._block = before
            self._in_block(scope, node.orelse)
        elif isinstance(node, ast.While):
            self._in_block(scope, [node.test, *node.body])
            self._in_block(scope, node.orelse)
        elif isinstance(node, ast.Try):
            for part in (node.body, node.orelse, node.finalbody):
                self._in_block(scope, part)
            for handler in node.handlers:
                if handler.type:
                    self._visit(handler.type, scope)
                if handler.name:
                    self._bind(scope, handler.name, False)
                self._in_block(scope, handler.body)
        elif isinstance(node, ast.With):
            for item in node.items:
                self._visit(item.context_expr, scope)
                if item.optional_vars:
                    self._visit(item.optional_vars, scope)
            self._in_block(scope, node.body)
        elif isinstance(node, ast.IfExp):
            self._visit(node.test, scope)
            self._in_block(scope, [node.body])
            self._in_block(scope, [node.orelse])
        else:
            for child in ast.iter_child_nodes(node):
                self._visit(child, scope)

    def _assign(self, target: ast.AST, scope: Scope) -> None:
        if isinstance(target, ast.Name):
            self._bind(scope, target.id, True)
        elif isinstance(target, ast.Tuple | ast.List):
            for part in target.elts:
                self._assign(part, scope)
        else:
            self._visit(target, scope)

    def _outside(self, node: ast.AST) -> list[ast.AST]:
        """Expressions of a definition that its surroundings evaluate."""
        if isinstance(node, ast.ClassDef):
            return [*node.decorator_list, *node.bases, *(keyword.value for keyword in node.keywords)]
        defaults = [*node.args.defaults, *(default for default in node.args.kw_defaults if default)]
        return [*(node.decorator_list if not isinstance(node, ast.Lambda) else []), *defaults]

    def _comprehension(self, node: ast.AST, outer: Scope) -> None:
        scope = Scope(node, outer)
        self.of[node] = scope
        self._visit(node.generators[0].iter, outer)
        for generator in node.generators:
            for name in bound_names(generator.target):
                self._declare(scope, name)
        before, self._block = self._block, self._new_block()
        for place, generator in enumerate(node.generators):
            if place:
                self._visit(generator.iter, scope)
            self._visit(generator.target, scope)
            for condition in generator.ifs:
                self._visit(condition, scope)
        for part in [node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt]:
            self._visit(part, scope)
        self._block = before
