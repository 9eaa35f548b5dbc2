"""Grid search: every combination of listed levels of chosen knobs, once, in an order that the search's seed draws.

All other knobs keep their values of trial 0. Combinations that differ only in a knob that does not count in them are
one, and trial 0 is not tried again. When all have been tried the search ends.
"""

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, field_validator

from tmelt.errors import InputError
from tmelt.search.history import History, Proposal
from tmelt.search.knobs import KnobError, Space, Value
from tmelt.strategies import Context
from tmelt.strategies.kind import Kind
from tmelt.strategies.options import read_options
from tmelt.strategies.random import configuration, tried

if TYPE_CHECKING:
    from tmelt.study.config import Config

MOST = 100_000  # combinations; more than any study can train


class GridOptions(BaseModel):
    """Options of grid search."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    levels: dict[str, tuple[Value, ...]] = Field(min_length=1, description="knob: its values in the grid")

    @field_validator("levels")
    @classmethod
    def _finite(cls, levels: dict[str, tuple[Value, ...]]) -> dict[str, tuple[Value, ...]]:
        for name, values in levels.items():
            if not values:
                raise ValueError(f"{name}: no level; list at least one value")
        size = math.prod(map(len, levels.values()))
        if size > MOST:
            raise ValueError(f"{size} combinations; list fewer levels, at most {MOST} combinations")
        return levels


def propose(history: History, context: Context) -> Proposal:
    """The next point of the grid; `stopped` when all have been tried.

    Raises:
        InputError: an option, an unknown knob or a level outside the knob's range.
    """
    options: GridOptions = read_options(GridOptions, context.options, context.strategy)
    points = grid_points(context.space, options.levels, context.strategy)
    used = tried(history, Proposal(knobs={}, script=context.reference).script_sha256)
    order = np.random.default_rng(context.search_seed).permutation(len(points))
    for place, index in enumerate(order, 1):
        knobs = points[index]
        if configuration(knobs) not in used:
            values = ", ".join(f"{name} {knobs[name]}" for name in options.levels if name in knobs)
            text = f"point {place} of {len(points)} of the grid, in the order drawn for this search: {values}"
            return Proposal(knobs=knobs, script=context.reference, origin="grid", parent=0, rationale=text)
    reason = f"all {len(points)} points of the grid have been tried; add levels to go on, under another name"
    return Proposal(
        knobs=context.space.defaults(), script=context.reference, origin="grid", status="stopped", error=reason
    )


def grid_points(space: Space, levels: Mapping[str, Sequence[Value]], strategy: str) -> list[dict[str, Value]]:
    """All configurations of the grid, each once, the last knob changing fastest.

    Raises:
        InputError: an unknown knob, a level outside its range, or a knob that no point of the grid makes count.
    """
    where = f"config: extent.strategies.{strategy}.levels"
    found: dict[str, dict[str, Value]] = {}
    try:
        for values in itertools.product(*levels.values()):
            knobs = space.complete(dict(zip(levels, values, strict=True)))
            found.setdefault(configuration(knobs), knobs)
    except KnobError as error:
        raise InputError(f"{where}: {error}") from None
    for name in levels:
        if not any(name in knobs for knobs in found.values()):
            other, values = space[name].when or ("", ())
            raise InputError(
                f"{where}: {name} counts only if {other} is {' or '.join(map(str, values))}; add {other} to the grid"
            )
    return list(found.values())


def _check(options: GridOptions, config: "Config", strategy: str) -> None:
    from tmelt.search.knobs import space_of_config
    from tmelt.study.baseline import with_baseline

    grid_points(with_baseline(space_of_config(config.design.space), config.design.baseline), options.levels, strategy)


KIND = Kind(
    "grid",
    "grid search",
    propose,
    GridOptions,
    order=15,
    origins={"grid": "a point of the grid"},
    check=_check,
)
