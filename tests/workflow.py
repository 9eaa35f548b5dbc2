"""Real Snakemake runs in a folder of their own, for tests.

space = Workspace(tmp_path, study(strategies={"bo": {"kind": "bo"}}))
space.run()                          # to the end, or an AssertionError with the log
process = space.start(); …           # a run to interrupt
space.outcome()                      # everything that must be equal however often it was interrupted
"""

import copy
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml
from once import made_once
from patience import Patience, wait_for

REPOSITORY = Path(__file__).resolve().parents[1]
LINKED = ("Snakefile", "rules", "scripts", "studies", "profiles", "slurm", "envs", "report", "config.yaml")
# Columns of trial.parquet that no two executions share: clocks, memory, and the hash over them.
VOLATILE = {"fit_s", "cpu_s", "device_s", "memory_mb", "tool_s", "tool_cpu_s", "tool_device_s", "chain"}

SMALLEST: dict[str, Any] = {
    "study": "smallest",
    "design": {
        "data": {
            "name": "synthetic",
            "synthetic": {"proteins": 60, "organisms": 2, "length_median": 40, "length_max": 60, "seed": 0},
        },
        "backbone": {"name": "tiny", "weights": "random"},
        "space": {
            "width": {"default": 16, "choices": [16, 32]},
            "heads": {"default": 2, "choices": [2, 4]},
            "feed_forward": {"default": 32, "choices": [32, 64]},
            "head_width": {"default": 32, "choices": [32, 64]},
            "depth": {"default": 1, "low": 1, "high": 2},
            "epochs": {"default": 2, "low": 1, "high": 3},
            "patience": {"default": 1, "low": 1, "high": 4},
            "batch_size": {"default": 16, "choices": [8, 16, 32]},
            "crop": {"default": 64, "choices": [32, 64]},
        },
        "budget": {"fit_s": 60, "predict_s": 30, "memory_mb": 2000, "disk_mb": 100},
    },
    "extent": {
        "iterations": 1,
        "trajectories": 1,
        "seeds": [0],
        "confirm_seeds": 0,
        "strategies": {"bo": {"kind": "bo", "startup": 1}},
    },
    "runtime": {"block": 2, "seeds_per_job": "all"},
}


def study(*, runtime: Mapping[str, Any] | None = None, **extent: Any) -> dict[str, Any]:
    """The smallest study that trains, with another extent (iterations, seeds, strategies, …) or runtime."""
    config = copy.deepcopy(SMALLEST)
    config["extent"] |= extent
    config["runtime"] |= runtime or {}
    return config


class Workspace:
    """A folder with links to the workflow and a study of its own."""

    def __init__(
        self,
        folder: Path,
        config: Mapping[str, Any],
        *,
        copied: tuple[str, ...] = (),
        config_file: str = "study.yaml",
    ):
        """`copied` names what is not linked but copied, because the test changes it."""
        self.folder = folder
        self.config_file = config_file
        self.config = copy.deepcopy(dict(config))
        folder.mkdir(parents=True, exist_ok=True)
        for name in LINKED:
            if (folder / name).exists():
                continue
            if name in copied:
                shutil.copytree(REPOSITORY / name, folder / name, symlinks=True)
            elif name == "slurm" and "profiles" in copied:
                (folder / name).symlink_to("profiles/slurm")
            else:
                (folder / name).symlink_to(REPOSITORY / name)
        self.write_config()

    @property
    def log(self) -> str:
        """The file with the output of runs that were started."""
        return "log.txt" if self.config_file == "study.yaml" else f"{self.config_file}.log"

    def write_config(self) -> None:
        """Put `self.config` into force."""
        (self.folder / self.config_file).write_text(yaml.safe_dump(self.config, sort_keys=False))

    def begin_like(self, other: "Workspace") -> None:
        """Take over what another study has in results/, as it stands, times of files included."""
        shutil.copytree(other.folder / "results", self.folder / "results", symlinks=True, dirs_exist_ok=True)

    def run_like(self, other: "Workspace") -> None:
        """Go on from there, to the end."""
        self.begin_like(other)
        self.run()

    @classmethod
    def copy_of(cls, other: "Workspace", folder: Path) -> "Workspace":
        """A study like another one as it stands, to do something to."""
        space = cls(folder, other.config)
        space.begin_like(other)
        return space

    @property
    def study(self) -> Path:
        """results/{study}."""
        return self.folder / "results" / self.config["study"]

    @property
    def searches(self) -> list[str]:
        """The files with which the searches are complete; evidence and report come after them."""
        extent = self.config["extent"]
        name = f"trials_n{extent['iterations']}_s{len(extent['seeds'])}.parquet"
        return [
            str(Path("results", self.config["study"], strategy, f"t{trajectory}", name))
            for strategy in extent["strategies"]
            for trajectory in range(extent["trajectories"])
        ]

    def command(
        self, *arguments: str, profile: str = "profiles/default", targets: Sequence[str] | None = None
    ) -> list[str]:
        """Snakemake's command line; without `targets` for the searches, with none of them for the whole study."""
        snakemake = [sys.executable, "-m", "snakemake", "--profile", profile, "--configfile", self.config_file]
        return [*snakemake, *arguments, "--", *(self.searches if targets is None else targets)]

    def environment(self) -> dict[str, str]:
        """One thread per process; this checkout's code."""
        return os.environ | {
            "OMP_NUM_THREADS": "1",
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PYTHONPATH": str(REPOSITORY),
            "XDG_CACHE_HOME": str(self.folder / ".cache"),
        }

    def start(
        self, *arguments: str, profile: str = "profiles/default", targets: Sequence[str] | None = None
    ) -> subprocess.Popen:
        """A run in a session of its own, its output in log.txt."""
        with (self.folder / self.log).open("a") as log:
            return subprocess.Popen(
                self.command(*arguments, profile=profile, targets=targets),
                cwd=self.folder,
                env=self.environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def prepare(self) -> None:
        """Data, embedding, protocol and the sandbox's rehearsal: what no fault test needs to make again."""
        study = self.study.relative_to(self.folder)
        self.run(targets=[str(study / name) for name in ("protocol.json", "rehearsal.json")])

    def run(
        self,
        *arguments: str,
        profile: str = "profiles/default",
        targets: Sequence[str] | None = None,
        fails: bool = False,
        timeout: float = 500,
    ) -> str:
        """A run to its end; returns its output. `fails`: it must fail, else it must not."""
        status, output = self.attempt(*arguments, profile=profile, targets=targets, timeout=timeout)
        assert (status != 0) == fails, f"status {status}\n{output[-6000:]}{self.logs()}"
        return output

    def attempt(
        self,
        *arguments: str,
        profile: str = "profiles/default",
        targets: Sequence[str] | None = None,
        timeout: float = 500,
    ) -> tuple[int, str]:
        """A run that may fail: its exit status and its output."""
        with tempfile.TemporaryFile("w+") as output:
            process = subprocess.Popen(
                self.command(*arguments, profile=profile, targets=targets),
                cwd=self.folder,
                env=self.environment(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
            try:
                status = wait_for(process, timeout)
            finally:
                process.kill()
            output.seek(0)
            return status, output.read()

    def said(self) -> str:
        """The output of all runs that were started."""
        return (self.folder / self.log).read_text()

    def logs(self) -> str:
        """The ends of the jobs' own logs, newest last."""
        logs = [path for path in self.folder.glob("results/**/*.log") if path.stat().st_size]
        logs.sort(key=lambda path: path.stat().st_mtime)
        return "".join(f"\n--- {path.relative_to(self.folder)}\n{path.read_text()[-1500:]}" for path in logs[-4:])

    def trials(self) -> pl.DataFrame:
        """All gathered trials without their volatile columns, and diagnostics without seconds."""
        tables = [self.folder / name for name in self.searches]
        found = pl.concat([pl.read_parquet(path, hive_partitioning=False) for path in tables]).drop(VOLATILE)
        steady = [text and json.dumps(json.loads(text) | {"predict_s": None}) for text in found["diagnostics"]]
        return found.with_columns(diagnostics=pl.Series(steady, dtype=pl.String))

    def predictions(self) -> dict[str, str]:
        """SHA-256 of each run's predictions."""
        return self.hashes("*/t*/i*/s*/predictions.parquet")

    def hashes(self, pattern: str) -> dict[str, str]:
        """SHA-256 of files of the study, by their names in it."""
        return {
            str(path.relative_to(self.study)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(self.study.glob(pattern))
            if path.is_file()
        }

    def journal(self) -> dict[str, str]:
        """The journal's entries: one per training that was paid for."""
        return self.hashes("journal/runs/*/*/run.json")

    def transcripts(self) -> dict[str, str]:
        """Records of LLM calls: one per call that was paid for, superseded and pending ones, too."""
        return self.hashes("*/t*/i*/llm/*.json")


def study_once(
    factory: pytest.TempPathFactory, name: str, config: Mapping[str, Any], make: Callable[[Workspace], object]
) -> Workspace:
    """A study that all of pytest's processes start from."""
    return Workspace(made_once(factory, name, lambda folder: make(Workspace(folder, config))), config)


def processes_in(folder: Path) -> list[int]:
    """Ids of living processes that work in `folder`: jobs of a run that was killed, for example."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                inside = (entry / "cwd").resolve(strict=True).is_relative_to(folder.resolve())
                dead = (entry / "stat").read_text().rpartition(")")[2].split()[0] == "Z"
            except OSError:
                continue
            if inside and not dead:
                found.append(int(entry.name))
    return found


def end_processes_in(folder: Path) -> None:
    """Kill what still works in `folder`."""
    for _ in range(50):
        left = processes_in(folder)
        if not left:
            return
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        time.sleep(0.1)


def wait_until(condition, timeout: float = 120, pause: float = 0.05) -> None:
    """Wait for a condition; AssertionError when it does not come true."""
    patience = Patience(timeout)
    while not condition():
        assert not patience.is_over(), "waited in vain"
        time.sleep(pause)
