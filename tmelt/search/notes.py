"""Notes: what a proposal keeps for later proposals of its search, one dataclass per owner, told apart by `kind`.

`Proposal.state` holds at most one note of each kind. In proposal.json and in a history it is a list of objects.
"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

from tmelt.errors import InputError, first_complaint
from tmelt.search.knobs import Value

if TYPE_CHECKING:
    from pydantic import TypeAdapter

_CLOSED = {"extra": "forbid"}


@dataclass(frozen=True, kw_only=True)
class Sampled:
    """How a sampler of `bo` chose the trial (tmelt.strategies.bo)."""

    __pydantic_config__ = _CLOSED
    kind: Literal["sampled"] = "sampled"
    model_based: bool  # by a model of earlier trials: not in the startup, by a redraw or from a sequence


@dataclass(frozen=True, kw_only=True)
class CmaSample:
    """The sample of CMA-ES that became the trial, or an agent's point in its place (tmelt.strategies.cma)."""

    __pydantic_config__ = _CLOSED
    kind: Literal["cma_sample"] = "cma_sample"
    space: str  # Cma.key: the ranges and the population that it was drawn in
    coordinates: tuple[float, ...]
    choices: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class InRound:
    """The place of a hybrid's trial in its rounds (tmelt.strategies.rounds)."""

    __pydantic_config__ = _CLOSED
    kind: Literal["in_round"] = "in_round"
    number: int  # from 1
    subspace_reason: str = ""  # of the agent's trial, which opens the round
    start: int | None = None  # of a sampler's trial: the trial that opened the round
    spent: int = 0  # of a sampler's trial: trials of the sampler in this round, this one included


@dataclass(frozen=True, kw_only=True)
class Repair:
    """An attempt to repair a script that crashed (tmelt.strategies.ua)."""

    __pydantic_config__ = _CLOSED
    kind: Literal["repair"] = "repair"
    attempt: int  # from 1
    of: int  # the trial that crashed first


@dataclass(frozen=True, kw_only=True)
class Candidates:
    """All candidates of one reply, of which the trial is the first (tmelt.strategies.llm_seeded)."""

    __pydantic_config__ = _CLOSED
    kind: Literal["candidates"] = "candidates"
    knobs: tuple[dict[str, Value], ...]


@dataclass(frozen=True, kw_only=True)
class LookUp:
    """Trials that the agent wants to see in full when it is asked next (tmelt.strategies.agent)."""

    __pydantic_config__ = _CLOSED
    kind: Literal["look_up"] = "look_up"
    trials: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Branched:
    """The parent that a search's topology chose for an agent's proposal (tmelt.strategies.topology)."""

    __pydantic_config__ = _CLOSED
    kind: Literal["branched"] = "branched"
    topology: Literal["best_of_k", "population", "adaptive"]
    parent: int
    place: int = 1  # best_of_k: among the proposals from this parent


@dataclass(frozen=True, kw_only=True)
class Oversight:
    """What the user told the search in guidance.yaml (tmelt.strategies.guidance)."""

    __pydantic_config__ = _CLOSED
    kind: Literal["oversight"] = "oversight"
    guidance: str = ""
    pause_before: int | None = None


@dataclass(frozen=True, kw_only=True)
class Stop:
    """What a stop depended on (tmelt.study.resume)."""

    __pydantic_config__ = _CLOSED
    kind: Literal["stop"] = "stop"
    circumstances: str  # hash


@dataclass(frozen=True, kw_only=True)
class Ended:
    """Why a stop leaves its strategy out of every comparison (tmelt.strategies.stop)."""

    __pydantic_config__ = _CLOSED
    kind: Literal["ended"] = "ended"
    cause: str


@dataclass(frozen=True, kw_only=True)
class UsedUp:
    """The budget that a search used up: device seconds, dollars (tmelt.search.spend) or full trials (…fidelity)."""

    __pydantic_config__ = _CLOSED
    kind: Literal["used_up"] = "used_up"
    unit: Literal["device_s", "usd", "trials"]
    limit: float
    used: float | None  # None: what a trial used is unknown, so that the search could not go on


@dataclass(frozen=True, kw_only=True)
class InRung:
    """The place of a trial in successive halving (tmelt.strategies.rungs)."""

    __pydantic_config__ = _CLOSED
    kind: Literal["in_rung"] = "in_rung"
    rung: int  # from 0, the cheapest
    bracket: int = 0  # of Hyperband, counted through the search


@dataclass(frozen=True, kw_only=True)
class Own:
    """What a strategy of an installed package keeps, as JSON values."""

    __pydantic_config__ = _CLOSED
    kind: Literal["own"] = "own"
    values: dict[str, Any]


Note = (
    Sampled | CmaSample | InRound | InRung | Repair | Candidates | LookUp | Branched | Oversight | Stop | Ended | UsedUp
    | Own
)  # fmt: skip
SomeNote = TypeVar(
    "SomeNote", Sampled, CmaSample, InRound, InRung, Repair, Candidates, LookUp, Branched, Oversight, Stop, Ended,
    UsedUp, Own,
)  # fmt: skip


def find(notes: Iterable[Note], wanted: type[SomeNote]) -> SomeNote | None:
    """Return the note of this type; None if there is none."""
    return next((note for note in notes if isinstance(note, wanted)), None)


def notes_to_json(notes: Sequence[Note]) -> list[dict[str, Any]]:
    """Return the notes as `notes_from_json` reads them."""
    return [asdict(note) for note in notes]


def notes_from_json(raw: Any, where: str) -> tuple[Note, ...]:
    """Return the notes, checked.

    Raises:
        InputError: an unknown kind, a missing, unknown or ill-typed field, or two notes of one kind.
    """
    if raw == []:
        return ()  # no need for pydantic, a tenth of a second that most proposals would spend for nothing
    from pydantic import ValidationError

    try:
        notes = _adapter().validate_python(raw)
    except ValidationError as error:
        raise InputError(f"{where}: {first_complaint(error, 'state')}") from None
    kinds = [note.kind for note in notes]
    if repeated := sorted({kind for kind in kinds if kinds.count(kind) > 1}):
        raise InputError(f"{where}: state: two notes of the kind {repeated[0]!r}; expected one at most")
    return notes


@cache
def _adapter() -> "TypeAdapter[tuple[Note, ...]]":
    from pydantic import Field, TypeAdapter

    return TypeAdapter(tuple[Annotated[Note, Field(discriminator="kind")], ...])
