"""What goes into a sandbox, and what is known when it comes out."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

WORKER_KILLED = "the sandbox's worker was killed"
WORKER_LATE = "the sandbox's worker did not start in time"
DISMISSED = b"d"  # the harness' last word to its supervisor; without it, the harness was killed
Status = Literal["ok", "crash", "timeout", "oom", "disk", "error"]


@dataclass(frozen=True)
class Limits:
    """What one phase may use; enforced from outside the process that uses it."""

    wall_s: float
    memory_mb: int  # resident, summed over the phase's processes
    processes: int  # processes and threads alive at once
    file_mb: int  # one file
    disk_mb: int  # everything below the writable folders and the private scratch folder
    cpu_s: float | None = None  # CPU seconds, summed over the phase's processes and threads; None: no limit


@dataclass(frozen=True)
class Phase:
    """One call of the sandbox's entry with `spec`, which sees `read` and `write` and nothing else of the disk."""

    spec: dict[str, Any]  # JSON
    read: tuple[Path, ...]
    write: tuple[Path, ...]
    limits: Limits
    cores: tuple[int, ...] = ()  # it runs on these only; empty: on those of the harness


@dataclass(frozen=True)
class Outcome:
    """How a phase ended.

    `error` means that the sandbox, not the candidate, failed (status "error"): nothing is known about the candidate.
    """

    backend: str
    status: Status
    exit: int | None = None  # None when a signal ended it
    signal: int | None = None
    wall_s: float = 0.0
    cpu_s: float = 0.0  # of all its processes, ended ones included
    memory_mb: float = 0.0  # largest sum of resident sizes seen
    processes: int = 0  # largest number of processes and threads seen
    output: str = ""  # head and tail of what it printed
    error: str = ""


@dataclass(frozen=True)
class Settings:
    """What the harness tells the supervisor once, for all phases of a job."""

    backend: str
    gpu: bool
    image: str | None
    python: str
    entry: str
    preload: tuple[str, ...]
    python_path: tuple[str, ...]
    environment: dict[str, str]
    system: tuple[str, ...]  # readable in every phase: interpreter and library
    inputs: tuple[str, ...]  # readable in the phases that name them
    folder: str  # the job's folder; every writable path lies in it
    folder_is_temporary: bool
    warm: bool  # one worker for all phases, else one per phase
    landlock_abi: int
    uid: int | None  # the identity that children take on; None to keep our own

    @classmethod
    def from_json(cls, raw: dict[str, Any]) -> "Settings":
        """The settings from their JSON form, in which tuples are lists."""
        return cls(**{key: tuple(value) if isinstance(value, list) else value for key, value in raw.items()})


@dataclass(frozen=True)
class Request:
    """One phase, as the harness asks the supervisor for it; all paths absolute and free of links."""

    spec: dict[str, Any]
    read: list[str]
    write: list[str]
    scratch: str  # private temporary folder, home and working directory
    limits: Limits
    cores: list[int]
    canary: bool = False  # run the canary instead of the entry

    @classmethod
    def from_json(cls, raw: dict[str, Any]) -> "Request":
        """The request from its JSON form."""
        return cls(**(raw | {"limits": Limits(**raw["limits"])}))


@dataclass(frozen=True)
class Confinement:
    """Everything that a child must do to itself before candidate code may run in it."""

    enabled: bool
    read: list[str]
    write: list[str]  # the scratch folder among them
    uid: int | None
    landlock_abi: int
    namespaces: bool  # inside bubblewrap or Apptainer: mounts, processes and network of its own
    gpu: bool
    memory_mb: int
    file_mb: int
    tasks: int  # RLIMIT_NPROC


@dataclass(frozen=True)
class Job:
    """What a keeper gets from the supervisor."""

    spec: dict[str, Any]
    scratch: str
    canary: bool
    cores: list[int]
    confinement: Confinement

    @classmethod
    def from_json(cls, raw: dict[str, Any]) -> "Job":
        """The job from its JSON form."""
        return cls(**(raw | {"confinement": Confinement(**raw["confinement"])}))
