"""protocol.json as typed records: its one reader, and what it is written from."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from tmelt.embed.record import EmbeddingRecord
from tmelt.errors import InputError
from tmelt.proteins.record import DataRecord
from tmelt.search.decision import Rule
from tmelt.search.knobs import KnobError, Space, knobs_from_table
from tmelt.storage.files import sha256_json, write_json
from tmelt.storage.records import read_record, to_json
from tmelt.study.group import ORGANISMS, Group
from tmelt.study.target import TM, Target


@dataclass(frozen=True)
class StudyDesign:
    """Everything that makes scores comparable (tmelt.study.identity.design_of).

    Attributes:
        dataset, backbone: names of the folders of data and embedding.
        budget: of one run (tmelt.study.config.Budget).
        sequences: which phases see amino-acid sequences: none, fit or all.
        threads: of one training.
        baseline: `published`, `remedied`, or the faults that were planted in trial 0.
        knobs: rows of Space.table.
        code: hash of each file of the scoring code.
        target: what is predicted; left out in the file for the melting temperature.
        group: what proteins are grouped by; left out in the file for organisms.
        group: what proteins are grouped by; left out in the file for organisms.
    """

    dataset: str
    backbone: str
    budget: Mapping[str, float]
    decision: Rule
    precision: str
    device: str
    sequences: str
    sandbox: str
    sandbox_image: str | None
    threads: int
    baseline: str | Mapping[str, int]
    knobs: tuple[Mapping[str, Any], ...]
    code: Mapping[str, str]
    target: Target = TM
    group: Group = ORGANISMS

    @cached_property
    def space(self) -> Space:
        """The study's knobs.

        Raises:
            KnobError: impossible knobs; `read_protocol` refuses them.
        """
        return Space(knobs_from_table(self.knobs))


@dataclass(frozen=True)
class RegisteredHypothesis:
    """The contrast that was registered before trial 0, its plan of looks written out (Hypothesis of the config)."""

    a: str
    b: str
    metric: str
    effect: float  # smallest difference of interest, in the target's unit
    searches: int  # planned, of each side
    looks: tuple[int, ...]  # searches at each planned look


@dataclass(frozen=True)
class MeasuredInputs:
    """Hashes of what scores were computed from."""

    labels: Mapping[str, str]  # SHA-256 of the vault's file by split
    proteins: str  # SHA-256 of proteins.parquet
    embedding: EmbeddingRecord


@dataclass(frozen=True)
class Environment:
    """Versions and hardware at the start, for the record; no part of a score's identity."""

    python: str
    packages: Mapping[str, str]
    system: str
    processor: str
    cores: int | None


@dataclass(frozen=True)
class ProtocolVersion:
    """What a revision may replace."""

    design: StudyDesign
    hypothesis: RegisteredHypothesis | None
    sha256: str


@dataclass(frozen=True)
class Revision:
    """A recorded change of the design or the hypothesis.

    Attributes:
        at: time in UTC.
        changes: a line for each difference.
        openings: of the test labels before the change.
        before: what was in force.
    """

    at: str
    changes: tuple[str, ...]
    openings: int
    before: ProtocolVersion


@dataclass(frozen=True)
class Protocol:
    """What makes the scores of a study comparable; `sha256` covers `design`, `measured` and `hypothesis`.

    `seeds_of` is the study that this one replays; empty without one.
    """

    study: str
    title: str
    design: StudyDesign
    hypothesis: RegisteredHypothesis | None
    measured: MeasuredInputs
    data: DataRecord
    reference_sha256: str  # of the reference training script
    reference_lines: int
    sha256: str
    environment: Environment
    created: str  # time in UTC
    revisions: tuple[Revision, ...]
    seeds_of: str = ""

    @property
    def search_seeds(self) -> str:
        """The study from whose name the seeds of the searches derive."""
        return self.seeds_of or self.study

    @property
    def space(self) -> Space:
        """The study's knobs."""
        return self.design.space

    @property
    def versions(self) -> Iterator[ProtocolVersion]:
        """What was in force, the oldest first, the present version last."""
        yield from (revision.before for revision in self.revisions)
        yield ProtocolVersion(self.design, self.hypothesis, self.sha256)

    def write(self, path: Path) -> None:
        """Write protocol.json."""
        write_json(path, to_json(self))


def protocol_hash(design: StudyDesign, measured: MeasuredInputs, hypothesis: RegisteredHypothesis | None) -> str:
    """`Protocol.sha256`, by which the journal names runs."""
    return sha256_json([to_json(design), to_json(measured), to_json(hypothesis)])


def read_protocol(path: Path) -> Protocol:
    """Read protocol.json.

    Raises:
        InputError: the file is missing, damaged, edited or of another version of tmelt.
    """
    remedy = "restore the file, or give the study a new name and run it again"
    protocol = read_record(Protocol, path, remedy)
    try:
        _ = protocol.space
    except KnobError as error:
        raise InputError(f"{path}: design.knobs: {error}; {remedy}") from None
    return protocol
