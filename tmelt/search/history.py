"""What a search knows: its proposals and their outcomes, in order."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from tmelt.errors import InputError
from tmelt.search.knobs import Value
from tmelt.search.notes import Note, Sampled, SomeNote, find, notes_from_json, notes_to_json
from tmelt.storage.files import canonical_json, read_json, sha256_text, write_json, write_text
from tmelt.storage.schema import TRIAL, read_table

if TYPE_CHECKING:
    from tmelt.harness.variation import Variation


@dataclass(frozen=True)
class Proposal:
    """One candidate to try: a training script and the values of its knobs.

    `status` is `proposed`; or `refused` when no legal proposal came about (it is scored as such, without a run); or
    `stopped` when the search ends here (budget spent, the user's stop).
    """

    knobs: Mapping[str, Value]
    script: str = field(repr=False)  # source text of the training script, stored beside as train.py
    origin: str = "sampler"
    status: str = "proposed"
    parent: int | None = None
    rationale: str = ""  # why, in the proposer's words
    hypothesis: str = ""  # what should happen
    expected_effect: float | None = None  # expected change of val MAE in target units; negative is better
    subspace: Mapping[str, Any] | None = None  # hybrids: the ranges in force, as Space.with_changes takes them
    declared_knobs: Sequence[Mapping[str, Any]] = ()  # knobs that the script declares itself, as Space.table rows
    state: Sequence[Note] = ()  # what later proposals of the search want to find again
    fidelity: float = 1.0  # share of a full training, in (0, 1]; below 1 `variation` says of what (search/fidelity.py)
    variation: "Variation | None" = None  # how its runs differ: of a cheap trial, or of a training after the search
    error: str | None = None  # why it was refused or stopped
    cost_usd: float | None = 0.0  # of the LLM calls; None when unknown
    llm_calls: int = 0
    prompt_tokens: int | None = 0
    completion_tokens: int | None = 0
    transcripts: Sequence[str] = ()  # file names under llm/
    tool_calls: int = 0  # tools used before it was made
    tool_s: float = 0.0  # seconds of checks and tries by the budget's clock
    tool_cpu_s: float = 0.0
    tool_device_s: float = 0.0

    @property
    def script_sha256(self) -> str:
        """The script's identity."""
        return sha256_text(self.script)

    def write(self, folder: Path) -> None:
        """Write train.py, then proposal.json, into `folder`."""
        fields = asdict(self)
        fields |= {"script": self.script_sha256, "state": notes_to_json(self.state)}
        write_text(folder / "train.py", self.script)
        write_json(folder / "proposal.json", fields)

    @classmethod
    def read(cls, folder: Path) -> "Proposal":
        """Read a proposal and its script back.

        Raises:
            InputError: a missing or damaged file, or a script that is not the one proposed.
        """
        fields = read_json(folder / "proposal.json")
        try:
            script = (folder / "train.py").read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{folder / 'train.py'}: {error}; delete it and run again") from None
        if sha256_text(script) != fields.get("script"):
            raise InputError(f"{folder / 'train.py'}: not the script that proposal.json names; delete it and run again")
        try:
            fields |= {"script": script, "state": notes_from_json(fields.get("state"), str(folder / "proposal.json"))}
            if fields.get("variation") is not None:
                from tmelt.harness.variation import Variation

                fields["variation"] = Variation(**fields["variation"])
            return cls(**fields)
        except TypeError as error:
            raise InputError(f"{folder / 'proposal.json'}: {error}") from None


_FIELDS = {"knobs": "knobs_json", "proposal": "proposal_json"}  # column: field of Trial, where they differ


@dataclass(frozen=True)
class Trial:
    """A proposal with its outcome: one row of history.parquet.

    The fields are the columns of tmelt.storage.schema.TRIAL, which says what they hold; the two that are JSON there are
    `knobs_json` and `proposal_json`.
    """

    strategy: str
    trajectory: int
    iteration: int
    status: str
    integrity: str
    origin: str
    parent: int | None
    script: str
    script_lines: int
    knobs_json: str = field(repr=False)
    proposal_json: str = field(repr=False)
    fidelity: float
    seeds: list[int]
    val_mae_by_seed: list[float] = field(repr=False)
    val_mae: float | None
    val_mae_sd: float | None = field(repr=False)
    fit_mae: float | None = field(repr=False)
    stop_mae: float | None = field(repr=False)
    parameter_count: int | None = field(repr=False)
    checkpoint_mb: float | None = field(repr=False)
    decision: str
    incumbent: int | None
    difference: float | None = field(repr=False)
    margin: float | None = field(repr=False)
    fit_s: float | None = field(repr=False)
    cut_by_clock: int | None = field(repr=False)
    cpu_s: float | None = field(repr=False)
    device_s: float | None = field(repr=False)
    memory_mb: float | None = field(repr=False)
    diagnostics: str | None = field(repr=False)
    cost_usd: float | None = field(repr=False)
    llm_calls: int = field(repr=False)
    prompt_tokens: int | None = field(repr=False)
    completion_tokens: int | None = field(repr=False)
    tool_calls: int = field(repr=False)
    tool_s: float = field(repr=False)
    tool_cpu_s: float = field(repr=False)
    tool_device_s: float = field(repr=False)
    error: str | None = field(repr=False)
    chain: str = field(repr=False)

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> "Trial":
        """The trial of a row.

        Raises:
            TypeError: a missing or unknown column.
        """
        return cls(**{_FIELDS.get(name, name): value for name, value in row.items()})

    @cached_property
    def row(self) -> dict[str, Any]:
        """The row, of which the chain's hashes are taken."""
        return {name: getattr(self, _FIELDS.get(name, name)) for name in TRIAL.names}

    @cached_property
    def knobs(self) -> dict[str, Value]:
        """Active knobs."""
        return json.loads(self.knobs_json)

    @cached_property
    def proposal(self) -> dict[str, Any]:
        """rationale, hypothesis, expected_effect, subspace, declared_knobs, state, transcripts."""
        return json.loads(self.proposal_json)

    @cached_property
    def notes(self) -> tuple[Note, ...]:
        """What its proposal kept for later ones.

        Raises:
            InputError: notes that no code of this version wrote.
        """
        return notes_from_json(self.proposal["state"], f"history: trial {self.iteration}")

    def note(self, wanted: type[SomeNote]) -> SomeNote | None:
        """The note of this type; None if there is none."""
        return find(self.notes, wanted)

    @property
    def model_based(self) -> bool:
        """Whether a sampler's model of earlier trials chose it, and not a startup, a redraw, a sequence or an agent."""
        sampled = self.note(Sampled)
        return sampled is not None and sampled.model_based

    @property
    def full(self) -> bool:
        """Whether it had a full training; a cheap trial is compared with others of its fidelity alone."""
        return self.fidelity == 1.0

    @property
    def ok(self) -> bool:
        """Whether it has a validation error."""
        return self.status == "ok"


def chain_of(previous: str, row: Mapping[str, Any]) -> str:
    """The hash that ties a row to all rows before it."""
    return sha256_text(previous + canonical_json({key: value for key, value in row.items() if key != "chain"}))


class History(Sequence[Trial]):
    """The trials of one search in order of iteration."""

    def __init__(self, trials: Sequence[Trial] = ()):
        self._trials = tuple(trials)
        if [trial.iteration for trial in self._trials] != list(range(len(self._trials))):
            raise InputError("history: iterations are not 0, 1, 2, …")

    def __len__(self) -> int:
        return len(self._trials)

    @overload
    def __getitem__(self, index: int) -> Trial: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[Trial, ...]: ...

    def __getitem__(self, index: int | slice) -> Trial | tuple[Trial, ...]:
        return self._trials[index]

    def __iter__(self) -> Iterator[Trial]:
        return iter(self._trials)

    @property
    def incumbent(self) -> Trial | None:
        """The best candidate so far by validation, as keep/discard decided."""
        if not self._trials or self._trials[-1].incumbent is None:
            return None
        return self._trials[self._trials[-1].incumbent]

    @property
    def succeeded(self) -> tuple[Trial, ...]:
        """Trials with a validation error."""
        return tuple(trial for trial in self._trials if trial.ok)

    @property
    def failed(self) -> tuple[Trial, ...]:
        """Trials without one."""
        return tuple(trial for trial in self._trials if not trial.ok)

    @property
    def head(self) -> str:
        """The chain's last hash; empty before the first trial."""
        return self._trials[-1].chain if self._trials else ""

    @classmethod
    def read(cls, path: Path | None) -> "History":
        """Read a history and check its chain; no path is the empty history.

        Raises:
            InputError: a damaged file or a row that was changed after it was written.
        """
        if path is None:
            return cls()
        trials, chain = [], ""
        for row in read_table(path, TRIAL).iter_rows(named=True):
            chain = chain_of(chain, row)
            if row["chain"] != chain:
                raise InputError(
                    f"{path}: trial {row['iteration']} was changed after it was written; restore the file or"
                    " delete it and what follows"
                )
            trials.append(Trial.of(row))
        return cls(trials)
