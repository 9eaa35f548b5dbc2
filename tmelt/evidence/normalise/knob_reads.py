"""Where a script reads its knobs: which variables hold the dict that the harness passes to `fit`.

A parameter holds the knobs if every call that is known to reach it passes them; where a function is also used as a
value (`part(knobs) for part in (Attention, FeedForward)`), its parameter must have the name that `fit` gives the dict,
and no other dict of the script may have the keys that it reads. A checkpoint's entry holds them if the knobs are the
only thing that is ever stored under this key. Anything else that is done with the dict (a copy, a store, a loop over
it) makes every variable an ordinary one: knobs then count as read, and none is known by value.
"""

import ast
from typing import Any

from tmelt.evidence.normalise.scopes import DEFINITIONS, FUNCTIONS, Scope, parameters, words

_HARMLESS = words("torch.save json.dumps json.dump print len str repr")
_CHANGING = words("update pop popitem clear setdefault")


class KnobReads:
    """The variables of a script that hold the knobs.

    Attributes:
        parameters: (function, parameter) that hold them.
        overrides: knob: the expression that `fit` replaces it by at its start.
        prelude: the statements that do.
        escaped: True if something is done with the dict that cannot be followed.
    """

    def __init__(self, tree: ast.Module, module: Any) -> None:
        self._tree = tree
        self._module = module
        self.parameters: set[tuple[ast.AST, str]] = set()
        self.overrides: dict[str, ast.expr] = {}
        self.prelude: list[ast.stmt] = []
        self._keys: set[str] = set()
        fit = module.functions["fit"]
        names = [one.arg for one in [*fit.args.posonlyargs, *fit.args.args]]
        self._parent = {id(child): node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}
        self._owner: dict[int, ast.AST | None] = {}
        self._own(tree, None)
        functions = [node for node in ast.walk(tree) if isinstance(node, FUNCTIONS)]
        self._parameters = {id(node): {one.arg for one in parameters(node.args)} for node in functions}
        top = {id(node) for node in module.functions.values()}
        self._methods: dict[str, list[ast.FunctionDef]] = {}
        for node in functions:
            if isinstance(node, ast.FunctionDef) and id(node) not in top:
                self._methods.setdefault(node.name, []).append(node)
        self.escaped = len(names) < 2
        if self.escaped:
            return
        self._name = names[1]
        self._find_prelude(fit)
        self._rebound = self._rebindings()
        self._locals: set[tuple[ast.AST, str]] = set()
        self._solve(fit)
        if self.escaped:
            self.parameters, self.overrides, self.prelude, self._locals, self._keys = set(), {}, [], set(), set()

    # ---- scopes ----

    def _own(self, node: ast.AST, owner: ast.AST | None) -> None:
        """Note the function that each node belongs to."""
        stack = [(node, owner)]
        while stack:
            node, owner = stack.pop()
            self._owner[id(node)] = owner
            inner = node if isinstance(node, FUNCTIONS) else owner
            stack += [(child, inner) for child in ast.iter_child_nodes(node)]

    def _home(self, node: ast.Name) -> ast.AST | None:
        """The function whose parameter or variable a name is; None for a global."""
        owner = self._owner[id(node)]
        while owner is not None:
            if node.id in self._parameters[id(owner)] or (owner, node.id) in self._assigned:
                return owner
            owner = self._owner[id(owner)]
        return None

    def _rebindings(self) -> set[tuple[ast.AST | None, str]]:
        """Parameters that are bound again, and variables that are bound more than once."""
        self._assigned: dict[tuple[ast.AST | None, str], int] = {}
        skipped = {id(inner) for statement in self.prelude for inner in ast.walk(statement)}
        for node in ast.walk(self._tree):
            name = None
            if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load) and id(node) not in skipped:
                name = node.id
            elif isinstance(node, (*DEFINITIONS, ast.ExceptHandler)):
                name = node.name
            elif isinstance(node, ast.alias):
                name = node.asname or node.name.split(".")[0]
            if name:
                key = (self._owner[id(node)], name)
                self._assigned[key] = self._assigned.get(key, 0) + 1
        again = {key for key, count in self._assigned.items() if count > 1}
        for node in ast.walk(self._tree):
            if isinstance(node, FUNCTIONS):
                again |= {(node, one.arg) for one in parameters(node.args) if (node, one.arg) in self._assigned}
        return again

    # ---- the start of fit ----

    def _find_prelude(self, fit: ast.FunctionDef) -> None:
        """Statements at the start of `fit` that replace knobs by values."""
        for statement in fit.body:
            found = self._override(statement)
            if found is None:
                if any(isinstance(node, ast.Name) and node.id == self._name for node in ast.walk(statement)):
                    return
                continue
            for name, value in found.items():
                if name in self.overrides:
                    self.overrides, self.prelude = {}, []
                    return
                self.overrides[name] = value
            self.prelude.append(statement)

    def _override(self, statement: ast.stmt) -> dict[str, ast.expr] | None:
        found: dict[str, ast.expr] | None = None
        if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
            target, value = statement.targets[0], statement.value
            if isinstance(target, ast.Subscript) and self._is_name(target.value):
                key = target.slice
                found = {key.value: value} if isinstance(key, ast.Constant) and isinstance(key.value, str) else None
            elif self._is_name(target):
                found = self._replaced(value)
        elif isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call):
            call = statement.value
            if isinstance(call.func, ast.Attribute) and call.func.attr == "update" and self._is_name(call.func.value):
                found = self._given(call.args, call.keywords)
        if not found or not all(self._is_simple(value) for value in found.values()):
            return None
        own = {key for value in found.values() for key in self._read_by(value)}
        if own & (set(self.overrides) | (set(found) if len(found) > 1 else set())):
            return None
        return found

    def _replaced(self, value: ast.expr) -> dict[str, ast.expr] | None:
        """The replaced knobs of `{**knobs, …}`, `dict(knobs, …)` or `knobs | {…}`."""
        if isinstance(value, ast.Dict) and value.keys and value.keys[0] is None and self._is_name(value.values[0]):
            return self._entries(value.keys[1:], value.values[1:])
        if isinstance(value, ast.BinOp) and isinstance(value.op, ast.BitOr) and self._is_name(value.left):
            right = value.right
            return self._entries(right.keys, right.values) if isinstance(right, ast.Dict) else None
        called = value.func if isinstance(value, ast.Call) and value.args else None
        if isinstance(called, ast.Name) and called.id == "dict" and "dict" not in self._module.bound:
            return self._given(value.args[1:], value.keywords) if self._is_name(value.args[0]) else None
        return None

    def _given(self, positional: list[ast.expr], named: list[ast.keyword]) -> dict[str, ast.expr] | None:
        if len(positional) > 1 or any(one.arg is None for one in named):
            return None
        found: dict[str, ast.expr] = {}
        if positional:
            if not isinstance(positional[0], ast.Dict):
                return None
            entries = self._entries(positional[0].keys, positional[0].values)
            if entries is None:
                return None
            found = entries
        return found | {one.arg: one.value for one in named}

    def _entries(self, keys: list, values: list) -> dict[str, ast.expr] | None:
        if not all(isinstance(key, ast.Constant) and isinstance(key.value, str) for key in keys):
            return None
        return {key.value: value for key, value in zip(keys, values, strict=True)}

    def _is_name(self, node: ast.AST) -> bool:
        return isinstance(node, ast.Name) and node.id == self._name

    def _read_by(self, value: ast.expr) -> list[str]:
        return [
            node.slice.value
            for node in ast.walk(value)
            if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant)
        ]

    def _is_simple(self, value: ast.expr) -> bool:
        """True for arithmetic on constants and knobs."""
        if isinstance(value, ast.Subscript):
            return self._is_name(value.value) and isinstance(value.slice, ast.Constant)
        if isinstance(value, ast.BinOp | ast.UnaryOp):
            operands = [value.left, value.right] if isinstance(value, ast.BinOp) else [value.operand]
            return all(self._is_simple(one) for one in operands)
        return isinstance(value, ast.Constant)

    # ---- where the dict goes ----

    def _solve(self, fit: ast.FunctionDef) -> None:
        """The largest consistent set of parameters, variables and keys."""
        functions = {node: name for name, node in self._module.functions.items()}
        initial: dict[ast.AST, tuple[str, int]] = {}  # function: (name that calls it, parameters to skip)
        for node, name in functions.items():
            if isinstance(node, ast.ClassDef):
                for method in node.body:
                    if isinstance(method, ast.FunctionDef) and method.name == "__init__":
                        initial[method] = (name, 1)
            else:
                initial[node] = (name, 0)
        calls: dict[str, list[ast.Call]] = {}
        values: set[str] = set()
        for node in ast.walk(self._tree):
            if isinstance(node, ast.Name) and node.id in self._module.functions and isinstance(node.ctx, ast.Load):
                parent = self._parent[id(node)]
                if isinstance(parent, ast.Call) and parent.func is node:
                    calls.setdefault(node.id, []).append(parent)
                else:
                    values.add(node.id)
        candidates = {(fit, self._name)}
        evidence: dict[tuple[ast.AST, str], list[ast.expr | None]] = {(fit, self._name): []}
        for node in ast.walk(self._tree):
            if not isinstance(node, ast.FunctionDef) or node is fit:
                continue
            name, skip = initial.get(node, (None, 0))
            known = name is not None and name not in values
            for place, one in enumerate(node.args.args):
                key = (node, one.arg)
                passed = [_argument(call, one.arg, place - skip) for call in calls.get(name, [])] if name else []
                if key in self._rebound or place < skip:
                    continue
                if (known and passed) or (not known and one.arg == self._name):
                    candidates.add(key)
                    evidence[key] = passed
        if (fit, self._name) in self._rebound or self._name in self._module.bound:
            self.escaped = True
            return
        self._in_prelude = {id(node) for statement in self.prelude for node in ast.walk(statement)}
        dicts = [node for node in ast.walk(self._tree) if isinstance(node, ast.Dict)]
        dicts = [node for node in dicts if id(node) not in self._in_prelude]
        entries: dict[str, list[ast.expr]] = {}
        for node in dicts:
            for key, value in zip(node.keys, node.values, strict=True):
                if isinstance(key, ast.Constant) and isinstance(key.value, str):
                    entries.setdefault(key.value, []).append(value)
        self._keys = {key for key, ones in entries.items() if all(isinstance(one, ast.Name) for one in ones)}
        sources: dict[tuple[ast.AST, str], ast.expr] = {}
        for node in ast.walk(self._tree):
            if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
                key = (self._owner[id(node)], node.targets[0].id)
                if key[0] is not None and key not in self._rebound and self._may_hold(node.value):
                    sources[key] = node.value
        self.parameters, self._locals = candidates, set(sources)
        while True:
            wrong = {key for key in self.parameters if not all(self._holds(one) for one in evidence[key])}
            stale = {key for key in self._locals if not self._holds(sources[key])}
            keys = {key for key in self._keys if not all(self._holds(one) for one in entries[key])}
            if not (wrong or stale or keys):
                break
            self.parameters -= wrong
            self._locals -= stale
            self._keys -= keys
        self.escaped = (fit, self._name) not in self.parameters or not self._is_followed(initial, values, entries)

    def _may_hold(self, node: ast.AST) -> bool:
        return isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant)

    def _holds(self, node: ast.expr | None) -> bool:
        """True if an expression is the dict of knobs."""
        if isinstance(node, ast.Name):
            home = self._home(node)
            return (home, node.id) in self.parameters or (home, node.id) in self._locals
        if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
            return node.slice.value in self._keys and isinstance(node.value, ast.Name) and not self._holds(node.value)
        return False

    def is_knobs(self, node: ast.AST, scope: Scope | None) -> bool:
        """True if an expression is the dict of knobs."""
        return not self.escaped and id(node) in self._owner and self._holds(node)

    def _is_followed(self, initial: dict, values: set[str], entries: dict[str, list[ast.expr]]) -> bool:
        """True if nothing is done with the dict but reading it and passing it on."""
        skipped = self._in_prelude
        if self._is_changed_elsewhere(initial, values):
            return False
        keys_of: dict[ast.AST, set[str]] = {}
        for node in ast.walk(self._tree):
            if not isinstance(node, ast.Name | ast.Subscript) or id(node) in skipped or not self._holds(node):
                continue
            if not isinstance(node.ctx, ast.Load):
                if isinstance(node, ast.Name) and (self._owner[id(node)], node.id) in self._locals:
                    continue
                return False
            parent = self._parent[id(node)]
            if isinstance(parent, ast.Subscript) and parent.value is node:
                if not (isinstance(parent.slice, ast.Constant) and isinstance(parent.ctx, ast.Load)):
                    return False
                if isinstance(node, ast.Name):
                    keys_of.setdefault(self._home(node), set()).add(parent.slice.value)
            elif isinstance(parent, ast.Attribute) and parent.attr == "get":
                call = self._parent[id(parent)]
                if not (
                    isinstance(call, ast.Call)
                    and call.func is parent
                    and call.args
                    and isinstance(call.args[0], ast.Constant)
                ):
                    return False
                if isinstance(node, ast.Name):
                    keys_of.setdefault(self._home(node), set()).add(call.args[0].value)
            elif isinstance(parent, ast.Dict) and node in parent.values:
                key = parent.keys[parent.values.index(node)]
                if not (isinstance(key, ast.Constant) and key.value in self._keys):
                    return False
            elif isinstance(parent, ast.Assign):
                if (self._owner[id(parent)], getattr(parent.targets[0], "id", "")) not in self._locals:
                    return False
            elif isinstance(parent, ast.Call | ast.keyword):
                call = parent if isinstance(parent, ast.Call) else self._parent[id(parent)]
                if not isinstance(call, ast.Call) or not self._may_take(call, node):
                    return False
            else:
                return False
        for function in {node for node, _ in self.parameters}:
            name = initial.get(function, (None, 0))[0]
            if (name is None or name in values) and keys_of.get(function, set()) & (set(entries) | self._dict_names()):
                return False
        return True

    def _is_changed_elsewhere(self, initial: dict, values: set[str]) -> bool:
        """True if a function that could be reached through a variable changes a dict that it is passed."""
        for node in ast.walk(self._tree):
            owner = None
            stored = isinstance(node, ast.Subscript) and not isinstance(node.ctx, ast.Load)
            if stored or (isinstance(node, ast.Attribute) and node.attr in _CHANGING):
                owner = node.value
            if not isinstance(owner, ast.Name) or id(node) in self._in_prelude:
                continue
            home = self._home(owner)
            if home is None or ((home, owner.id) in self._assigned and (home, owner.id) not in self._rebound):
                continue
            if owner.id in self._parameters[id(home)]:
                name = initial.get(home, (None, 0))[0]
                if name is None or name in values:
                    return True
        return False

    def _dict_names(self) -> set[str]:
        return {
            one.arg
            for node in ast.walk(self._tree)
            if isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id == "dict"
            and id(node) not in self._in_prelude
            for one in node.keywords
            if one.arg
        }

    def _may_take(self, call: ast.Call, argument: ast.expr) -> bool:
        """True if a call leaves the dict as it is: its parameter holds it, it is a local value's, or `torch.save`."""
        function = call.func
        if isinstance(function, ast.Name) and self._home(function) is None:
            node = self._module.functions.get(function.id)
            if isinstance(node, ast.ClassDef):
                node = next((one for one in node.body if getattr(one, "name", "") == "__init__"), None)
                skip = 1
            else:
                skip = 0
            if node is not None:
                for place, one in enumerate(node.args.args):
                    if place >= skip and _argument(call, one.arg, place - skip) is argument:
                        return (node, one.arg) in self.parameters
                return False
            return self._module.path(function) in _HARMLESS
        if isinstance(function, ast.Name):  # a local name for one of the script's own functions or classes
            return True
        if isinstance(function, ast.Attribute) and isinstance(function.value, ast.Name) and function.value.id == "self":
            return self._method_takes(call, function.attr, argument)
        return self._module.path(function) in _HARMLESS

    def _method_takes(self, call: ast.Call, name: str, argument: ast.expr) -> bool:
        """True if every method of this name takes the dict as a parameter that holds it."""
        found = self._methods.get(name, [])
        if not found or any(node.decorator_list for node in found):
            return False
        for node in found:
            ones = [
                one.arg for place, one in enumerate(node.args.args[1:]) if _argument(call, one.arg, place) is argument
            ]
            if len(ones) != 1 or (node, ones[0]) not in self.parameters:
                return False
        return True


def _argument(call: ast.Call, name: str, place: int) -> ast.expr | None:
    """What a call passes for a parameter; None if nothing or unknown."""
    if any(isinstance(one, ast.Starred) for one in call.args) or any(one.arg is None for one in call.keywords):
        return None
    for one in call.keywords:
        if one.arg == name:
            return one.value
    return call.args[place] if 0 <= place < len(call.args) else None
