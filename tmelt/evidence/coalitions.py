"""Which subsets of a winner's changes to train, so that Shapley values can be computed from their errors.

A *unit* is what `ablations` leaves out: a knob by its name, or one trial's change of the script as `script@{trial}`.
A *player* is one unit, or several that cannot be taken apart: changes of the same lines, a change and another that
uses its names, or units that were joined because the budget is too small to tell them apart.
"""

import ast
import builtins
import itertools
import json
import symtable
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache, partial
from typing import TYPE_CHECKING

import numpy as np

from tmelt.evidence.difference import changed_parts, revert_change
from tmelt.search.knobs import CATEGORY_OF, Space, Value
from tmelt.storage.files import sha256_text

if TYPE_CHECKING:
    from tmelt.evidence.confirmation import Candidate

Path = Sequence[tuple[int, "Candidate"]]
Player = tuple[str, ...]
_EXACT = 7  # players up to which all subsets are tried
_DRAWS = 100  # orders that are drawn at most


def coalitions(path: Path, space: Space, gains: Mapping[int, float], runs: int) -> Iterator[tuple[str, "Candidate"]]:
    """The winner with subsets of its changes: (the changes it keeps, candidate).

    All subsets if they fit into the budget. Otherwise the subsets along sampled orders in which the changes are added,
    each order with its mirror image, which is exact unless three or more changes interact. The two changes that gained
    most during the search have, in addition, the subsets that their interaction given all others needs.

    Args:
        path: (iteration, candidate) from the baseline to the winner.
        space: the study's knobs.
        gains: iteration: change of validation MAE in target units that its step brought, by the search's own scores.
        runs: most candidates besides the winner and the baseline, at least 2.

    Returns:
        what is kept as a JSON list of players, a player's units joined by `+`; nothing for a winner without changes.
    """
    build = _Builder(path, space)
    players = [(unit,) for unit in build.units]
    if not players:
        return
    players = _joined(players, build, _ones_and_rests)
    players = _fewer(players, build.iteration, gains, _most(runs))
    choose = partial(_subsets, build=build, gains=gains, runs=runs)
    players = _joined(players, build, choose)
    for kept in choose(players):
        yield json.dumps(["+".join(player) for player in players if player in kept]), build(kept)


def units_of(part: str) -> list[Player]:
    """The players that a plan's `part` names."""
    return [tuple(player.split("+")) for player in json.loads(part)]


def arrival(path: Path, name: str) -> int:
    """The iteration in which the knob last got the winner's value; the first of the path if it always had it."""
    final = path[-1][1].knobs[name]
    steps = list(itertools.pairwise(path))
    for (_, before), (iteration, after) in reversed(steps):
        if after.knobs.get(name) == final != before.knobs.get(name):
            return iteration
    return path[0][0]


class _Builder:
    """Makes the winner with a subset of its changes.

    Attributes:
        units: in the order in which the search found them.
        iteration: unit: the trial that brought it.
    """

    def __init__(self, path: Path, space: Space) -> None:
        self._space = space
        (_, self._first), (_, self._winner) = path[0], path[-1]
        self._owner = self._owners(path)  # per step of the path the unit that its change of the script belongs to
        self._scripts = [candidate.script for _, candidate in path]
        self._brought = [set(after.knobs) - set(before.knobs) for (_, before), (_, after) in itertools.pairwise(path)]
        self._made: dict[frozenset[str], Candidate | None] = {}
        knobs = [
            name for name in self._winner.knobs if name in space and self._before(name) != self._winner.knobs[name]
        ]
        scripts = {unit: int(unit.split("@")[1]) for unit in self._owner if unit}
        self.iteration = {name: arrival(path, name) for name in knobs} | scripts
        self.units = sorted(self.iteration, key=lambda unit: (self.iteration[unit], unit in scripts))

    @staticmethod
    def _owners(path: Path) -> list[str | None]:
        """A change of spelling alone belongs to the next change of the script, or to the last one."""
        steps = list(itertools.pairwise(path))
        real = [
            index for index, ((_, before), (_, after)) in enumerate(steps) if changed_parts(before.script, after.script)
        ]
        owners: list[str | None] = []
        for index, ((_, before), (_, after)) in enumerate(steps):
            owner = next((step for step in real if step >= index), real[-1] if real else None)
            owners.append(
                f"script@{steps[owner][1][0]}" if owner is not None and before.script != after.script else None
            )
        return owners

    def _before(self, name: str) -> Value:
        return self._first.knobs.get(name, self._space[name].default)

    def __call__(self, kept: Iterable[Player]) -> "Candidate | None":
        """The winner with these changes only; None if they cannot be separated from the others."""
        units = frozenset(itertools.chain.from_iterable(kept))
        if units not in self._made:
            self._made[units] = self._build(units)
        return self._made[units]

    def _build(self, units: frozenset[str]) -> "Candidate | None":
        if not units:
            return self._first
        if len(units) == len(self.units):
            return self._winner
        script, gone = self._winner.script, set()
        for step in reversed(range(len(self._owner))):
            if self._owner[step] is None or self._owner[step] in units:
                continue
            script = revert_change(script, self._scripts[step], self._scripts[step + 1])
            if script is None:
                return None
            gone |= {name for name in self._brought[step] if name not in self._space}
        if (undefined_names(script) - undefined_names(self._winner.script)) or gone & _strings(script):
            return None
        known = {name: value for name, value in (self._first.knobs | self._winner.knobs).items() if name in self._space}
        known |= {name: self._before(name) for name in self.iteration if name in self._space and name not in units}
        own = {
            name: value for name, value in self._winner.knobs.items() if name not in self._space and name not in gone
        }
        return replace(self._winner, script=script, knobs=self._space.complete(known) | own)

    def clash(self, kept: frozenset[Player], players: Sequence[Player]) -> tuple[Player, Player] | None:
        """Two players that have to be one, because this subset cannot be built; None if it can.

        One is left out and one is kept: with both, and with neither, the subset can be built. The nearest such two.
        """
        if self(kept):
            return None
        scripts = [player for player in players if any("@" in unit for unit in player)]
        pairs = [
            (abs(scripts.index(out) - scripts.index(inside)), out, inside)
            for out in scripts
            for inside in scripts
            if out not in kept and inside in kept
        ]
        cured = [pair for pair in pairs if self(kept | {pair[1]}) and self(kept - {pair[2]})]
        eased = [pair for pair in pairs if self(kept | {pair[1]}) or self(kept - {pair[2]})]
        return min(cured or eased or pairs)[1:]


@lru_cache(maxsize=256)
def undefined_names(script: str) -> frozenset[str]:
    """Global names that a script reads and nowhere defines."""
    top = symtable.symtable(script, "train.py", "exec")
    defined, read, tables = set(dir(builtins)) | {"__name__", "__file__"}, set(), [top]
    while tables:
        scope = tables.pop()
        tables += scope.get_children()
        for symbol in scope.get_symbols():
            if scope is top or symbol.is_global():
                (defined if symbol.is_assigned() or symbol.is_imported() else read).add(symbol.get_name())
    return frozenset(read - defined)


@lru_cache(maxsize=256)
def _strings(script: str) -> frozenset[str]:
    constants = [node.value for node in ast.walk(ast.parse(script)) if isinstance(node, ast.Constant)]
    return frozenset(value for value in constants if isinstance(value, str))


def _most(runs: int) -> int:
    """Players that this many candidates can tell apart: all subsets, or one order with its mirror image."""
    exact = max(count for count in range(1, _EXACT + 1) if 2**count - 2 <= runs)
    return max(exact, (runs + 1) // 2)


def _fewer(players: list[Player], iteration: Mapping[str, int], gains: Mapping[int, float], most: int) -> list[Player]:
    """At most so many players, by joining those with the smallest gains.

    Units of one trial and one category of knobs are joined first, then all units of a trial, then whole trials.
    """

    def trial(player: Player) -> int:
        return max(iteration[unit] for unit in player)

    def category(player: Player) -> str:
        return CATEGORY_OF.get(player[-1], "")

    def gain(player: Player) -> tuple[float, int]:
        return -gains.get(trial(player), 0.0), trial(player)

    for together in (lambda player: (trial(player), category(player)), trial):
        for _, group in itertools.groupby(sorted(players, key=lambda one: (gain(one), together(one))), together):
            if len(players) > most:
                players = _join(players, list(group))
    while len(players) > most:
        players = _join(players, sorted(players, key=gain)[:2])
    return players


def _joined(
    players: list[Player], build: _Builder, choose: Callable[[list[Player]], list[frozenset[Player]]]
) -> list[Player]:
    """The players, joined until all the subsets that are chosen of them can be built."""
    while clash := next(filter(None, (build.clash(kept, players) for kept in choose(players))), None):
        players = _join(players, clash)
    return players


def _ones_and_rests(players: list[Player]) -> list[frozenset[Player]]:
    ones = [frozenset({player}) for player in players]
    return [*ones, *(frozenset(players) - one for one in ones)]


def _join(players: Sequence[Player], group: Collection[Player]) -> list[Player]:
    """One player instead of several, at the place of the last of them."""
    inside = [player for player in players if player in group]
    one = tuple(itertools.chain.from_iterable(inside))
    return [one if player == inside[-1] else player for player in players if player not in inside[:-1]]


def _subsets(
    players: Sequence[Player], build: _Builder, gains: Mapping[int, float], runs: int
) -> list[frozenset[Player]]:
    """The subsets to train, those that cannot be built included."""
    everything = frozenset(players)
    chosen = {frozenset(): build(()), everything: build(everything)}
    free = {candidate.name for candidate in chosen.values()}

    def take(subsets: Iterable[frozenset[Player]]) -> bool:
        more = {kept: build(kept) for kept in subsets}
        names = {
            candidate.name if candidate else str(sorted(kept)) for kept, candidate in [*chosen.items(), *more.items()]
        }
        if len(names - free) > runs:
            return False
        chosen.update(more)
        return True

    every = (
        [frozenset(kept) for size in range(len(players)) for kept in itertools.combinations(players, size)]
        if (len(players) <= _EXACT)
        else None
    )
    if every is not None and take(every):
        return list(chosen)
    largest = sorted(players, key=lambda player: _gain(player, build.iteration, gains))[:2]
    rng = np.random.default_rng(int(sha256_text("/".join(map("+".join, players)))[:16], 16))
    rest = [player for player in players if player not in largest]
    first = [*(rest[place] for place in rng.permutation(len(rest))), *largest]
    pair = [everything - {largest[0]}, everything - {largest[1]}, everything - set(largest)]
    take([*_along(first), *_along(first[::-1]), *pair])
    for _ in range(_DRAWS):
        order = [players[place] for place in rng.permutation(len(players))]
        take([*_along(order), *_along(order[::-1])])
    return list(chosen)


def _gain(player: Player, iteration: Mapping[str, int], gains: Mapping[int, float]) -> float:
    """Change of validation MAE that a player's units brought; a trial's gain is shared equally by its units."""
    units = list(iteration.values())
    return sum(gains.get(iteration[unit], 0.0) / units.count(iteration[unit]) for unit in player)


def _along(order: Sequence[Player]) -> list[frozenset[Player]]:
    return [frozenset(order[:size]) for size in range(1, len(order))]
