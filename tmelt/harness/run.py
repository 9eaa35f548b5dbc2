"""Train one candidate with one or more seeds and bring home its predictions: fit → predict → predict again.

The candidate runs in a sandbox, twice fresh: *fit* sees the features and labels of fit and stop; *predict* sees the
checkpoint and a pool of proteins without labels, shuffled anew for every run. This process handles no validation and
no test label; it reads raw numbers only. Whatever the candidate does ends in a row with a status.
"""

import json
import os
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tmelt.embed.view import SEQUENCES, View
from tmelt.embed.views import check_views
from tmelt.errors import InfrastructureError, InputError
from tmelt.harness import journal
from tmelt.harness.clock import NEARLY_OVER_NOTE, USED_UP, Clock
from tmelt.harness.confined import Sandbox, refuse_exposed
from tmelt.harness.machine import blame, remedy
from tmelt.harness.precision import ask_gpu, precision_in_use
from tmelt.harness.predictions import Invalid, folder_size, read_curve, read_parameter_count, read_predictions
from tmelt.harness.sandbox import Limits, Outcome, Phase
from tmelt.harness.variation import Variation
from tmelt.host.cores import granted_cores
from tmelt.host.gpus import hold_a_gpu
from tmelt.search.history import Proposal
from tmelt.search.knobs import Space, knobs_from_table
from tmelt.storage.files import write_text
from tmelt.storage.full_disk import full_temporary, machine_to_blame
from tmelt.storage.schema import CURVE, HIDDEN, POOL, PREDICTIONS, PROTEINS, RUN, read_table, write_table
from tmelt.study.config import Budget
from tmelt.study.protocol import REFERENCE, check_inputs, processor
from tmelt.study.protocol_record import Protocol
from tmelt.study.target import TM, Target

LOG_CHARACTERS = 4000
REHEARSAL_PROTEINS = 64
REHEARSAL_S = 60.0
# Largest change of a prediction in °C when its companions change, scaled for other targets (Target.scale). In bf16 a
# value may fall to either side of a rounding step: 2⁻⁸ relative, a few tenths of a degree at most.
ROW_WISE_TOLERANCE = {"fp32": 1e-2, "bf16": 0.5}
# Largest mean change. It bounds what chance or companions can do to an MAE, and is well below a gain that is kept. A
# head that answers in bf16 degrees changes by 0.02 on average if one in twenty of its values rounds the other way.
ROW_WISE_MEAN = {"fp32": 1e-2, "bf16": 0.05}
CHECK_SHARE, CHECK_LEAST = 0.1, 64  # of the pool, for the second pass; of a small pool half, so that others are missing
# Imported once per job, before the phases are forked off. Optimisers import torch._dynamo.
PRELOAD = ("torch", "torch._dynamo", "numpy", "tmelt.harness.inside")


@dataclass(frozen=True)
class Harness:
    """What is the same for every run of a study."""

    embedding: Path  # results/embeddings/{dataset}/{backbone}
    proteins: Path  # proteins.parquet: the labels of fit and stop, for the record's fit and stop errors
    protocol_sha256: str
    budget: Budget
    precision: str
    device: str
    sandbox: str
    sandbox_image: str | None  # for Apptainer
    sequences: str  # which phases see them: none, fit or all
    threads: int
    reference_sha256: str  # scripts other than the reference are rehearsed first
    knobs: Sequence[Mapping[str, Any]] = ()  # of the study (Space.table); none: those of tmelt.search.knobs
    target: Target = TM

    @classmethod
    def of(cls, protocol: Protocol, embedding: Path, proteins: Path) -> "Harness":
        """The harness that a study's protocol describes.

        Raises:
            InputError: the embedding or the proteins are not those that the study was started with.
        """
        check_inputs(protocol, embedding, proteins)
        design = protocol.design
        return cls(
            embedding=embedding.resolve(),  # the sandbox has another working folder
            proteins=proteins,
            protocol_sha256=protocol.sha256,
            budget=Budget.model_validate(design.budget),
            precision=design.precision,
            device=design.device,
            sandbox=design.sandbox,
            sandbox_image=design.sandbox_image,
            sequences=design.sequences,
            threads=design.threads,
            reference_sha256=protocol.reference_sha256,
            knobs=design.knobs,
            target=design.target,
        )

    @property
    def reference(self) -> Proposal:
        """The reference script with the defaults of the study's knobs, as trial 0 has them."""
        space = Space(knobs_from_table(self.knobs)) if self.knobs else Space()
        return Proposal(space.defaults(), REFERENCE.read_text(encoding="utf-8"), origin="baseline")

    @property
    def clock(self) -> Clock:
        """The clock of each run's budget."""
        return Clock(self.device, self.threads, self.budget.wall_factor)

    def sandbox_for(self) -> Sandbox:
        """A sandbox for one job of this study.

        Raises:
            InfrastructureError: the folder of temporary files has no room.
        """
        if said := full_temporary():
            raise InfrastructureError(f"sandbox: {said}")
        if self.device == "cuda":
            hold_a_gpu()
        return Sandbox(
            self.sandbox,
            gpu=self.device == "cuda",
            image=self.sandbox_image,
            preload=PRELOAD,
            read=(self.embedding / "fit", self.embedding / "pool"),
            threads=self.threads,
        )

    def limits(self, seconds: float) -> Limits:
        """The budget as the sandbox enforces it, for a phase of so many seconds by the budget's clock."""
        return Limits(
            **self.clock.limits(seconds),
            memory_mb=self.budget.memory_mb,
            processes=self.budget.processes,
            file_mb=2 * self.budget.disk_mb,  # the watchdog is to speak first, by name
            disk_mb=self.budget.disk_mb,
        )


def train_runs(
    proposal: Proposal,
    seeds: Sequence[int],
    folders: Sequence[Path],
    harness: Harness,
    kept: Path,
    side_by_side: int,
    variation: Variation,
    keep_checkpoints: bool = False,
    must_work: bool = False,
) -> list[dict[str, Any]]:
    """Train `proposal` once per seed; write run, curve, predictions and log into that seed's folder.

    A run that the journal `kept` holds is not trained again. With `keep_checkpoints` it holds the checkpoints as well.
    With `must_work` a run that fails is no result: it is not kept. Returns the rows (RUN), in order.

    Raises:
        InfrastructureError: the sandbox or the machine failed; nothing is known about the candidate.
        InputError: with `must_work`, a run that failed, with the cause.
    """
    if proposal.status != "proposed":
        rows = [_blank_row(seed, proposal.status, None, harness) for seed in seeds]
        for row, folder in zip(rows, folders, strict=True):
            _write_parts(folder, [], [], proposal.error or "")
            write_table(folder / "run.parquet", [row], RUN)
        return rows
    keys = [run_key(proposal, seed, harness, variation) for seed in seeds]
    rows = [journal.recall(kept, key, folder, keep_checkpoints) for key, folder in zip(keys, folders, strict=True)]
    todo = [position for position, row in enumerate(rows) if row is None]
    if todo:
        # The inner one looks at the disk while the sandbox's folder is still there.
        with machine_to_blame(), open_sandbox(harness) as sandbox, machine_to_blame():
            runner = Runner(proposal, harness, sandbox, variation, min(max(1, side_by_side), len(todo)))
            failed = runner.rehearse() if proposal.script_sha256 != harness.reference_sha256 else None
            if failed is not None:
                runner.blame_machine(failed.status)

            def train(position: int) -> dict[str, Any]:
                seed, folder, key = seeds[position], folders[position], keys[position]
                with journal.only_one(kept, key):
                    row = journal.recall(kept, key, folder, keep_checkpoints)  # meanwhile finished by the other one
                    if row is None:
                        row = failed.write(seed, folder, harness) if failed else runner.run(seed, folder)
                        runner.blame_machine(row["status"])
                        if must_work and row["status"] != "ok":
                            raise _baseline_failed(row, folder)
                        checkpoint = runner.checkpoint(seed) if keep_checkpoints and row["status"] == "ok" else None
                        journal.keep(kept, key, folder, row, checkpoint, harness.budget.disk_mb)
                return row

            with ThreadPoolExecutor(runner.side_by_side) as pool:
                for position, row in zip(todo, pool.map(train, todo), strict=True):
                    rows[position] = row
    for row, folder in zip(rows, folders, strict=True):
        write_table(folder / "run.parquet", [row], RUN)
    return rows


def open_sandbox(harness: Harness) -> Sandbox:
    """A warm sandbox for candidates of a study, to be used as a context manager.

    Raises:
        InputError: the views of the embedding are damaged, or candidates could read the vault.
        InfrastructureError: the folder of temporary files has no room.
    """
    check_views(harness.embedding)
    if harness.sandbox != "none":
        refuse_exposed(harness.proteins.parent / "vault")
    else:
        print("warning: `sandbox: none`: the candidate runs with all of this user's rights", file=sys.stderr)
    return harness.sandbox_for()


def run_key(proposal: Proposal, seed: int, harness: Harness, variation: Variation) -> str:
    """The identity of one run, by which the journal finds it."""
    return journal.run_key(
        harness.protocol_sha256, proposal.script_sha256, proposal.knobs, seed, harness.threads, variation.key()
    )


def seeds_at_once(harness: Harness, seeds: Sequence[int], cores: int) -> int:
    """How many of a candidate's seeds train side by side; on a GPU, each wants a core that feeds it."""
    return min(len(seeds), max(1, cores // harness.threads))


def rehearse_reference(harness: Harness) -> str:
    """Try the sandbox with the reference script: its imports, and a real training on a few proteins.

    Returns:
        The sandbox's backend.

    Raises:
        InfrastructureError: the script fails there, with the cause and what to do.
    """
    check_views(harness.embedding)
    with machine_to_blame(), harness.sandbox_for() as sandbox, machine_to_blame():
        Runner(harness.reference, harness, sandbox, Variation(), 1).refuse_broken_machine()
        return sandbox.backend


def _baseline_failed(row: Mapping[str, Any], folder: Path) -> InputError:
    log = (folder / "log.txt").read_text(encoding="utf-8")
    return InputError(
        f"the baseline fails with seed {row['seed']}, so no search can begin: "
        f"{blame(row['status'], row['reason'], log)}; change design.budget or the baseline's knobs (design.space), and"
        " start again"
    )


@dataclass(frozen=True)
class _Failure:
    """An outcome that all seeds of a candidate share: its rehearsal failed."""

    status: str
    reason: str | None
    log: str
    seconds: float

    def write(self, seed: int, folder: Path, harness: Harness) -> dict[str, Any]:
        row = _blank_row(seed, self.status, self.reason, harness) | {"fit_s": self.seconds, "ended_at": _now()}
        _write_parts(folder, [], [], self.log)
        return row


@dataclass(frozen=True)
class ShortRun:
    """A fit of an agent's that is no trial, and what it predicts for early-stopping proteins.

    Attributes:
        status: as of a run.
        reason: one word from the harness's closed list, or None.
        log: the end of what the script printed in fit; nothing of predict.
        curve: rows of tmelt.storage.schema.CURVE.
        reports: numbers by name.
        predictions: (n,) for the early-stopping proteins in the pool's order; None unless `status` is ok.
    """

    status: str
    reason: str | None
    log: str
    curve: list[dict[str, Any]]
    reports: dict[str, float]
    predictions: np.ndarray | None


class Runner:
    """The runs of one candidate, in one warm sandbox.

    Attributes:
        outcomes: of every phase that ran, in order.
    """

    def __init__(
        self,
        proposal: Proposal,
        harness: Harness,
        sandbox: Sandbox,
        variation: Variation,
        side_by_side: int,
        place: str = "candidate",
    ):
        self.proposal, self.harness, self.sandbox, self.side_by_side = proposal, harness, sandbox, side_by_side
        self.place = sandbox.folder / place
        self._suspected = threading.Lock()
        self._machine: str | None = None  # why the reference script fails here; "": it works; None: not tried
        self.outcomes: list[Outcome] = []
        self.budget_factor = variation.budget_factor
        self.fit_s = harness.budget.fit_s * self.budget_factor * variation.seconds_factor
        self.fit_rows = variation.fit_rows(harness.embedding, harness.proteins)
        self._folder("")
        self.script = self.place / "train.py"
        write_text(self.script, proposal.script)
        self.script.chmod(0o644)
        self.pool = read_table(harness.embedding / "pool.parquet", POOL)
        self.pool_labels = self.pool.join(
            read_table(harness.proteins, PROTEINS).select("protein_id", "tm"), on="protein_id", how="left"
        )["tm"].to_numpy()  # NaN for val, select and test: proteins.parquet does not have them

    def rehearse(self) -> _Failure | None:
        """Fit and predict on a few proteins: a broken contract shows in seconds. A slow script is no failure here."""
        folder = self._folder("rehearsal")
        fit = self._fit(folder, seed=0, seconds=self.rehearsal_s, rows=self.few_rows())
        if fit.status != "ok":
            used = self.harness.clock.used(fit)
            return None if fit.status == "timeout" else _Failure(fit.status, "rehearsal", _tail(fit), used)
        try:
            self._predict(
                folder, "a", np.arange(min(REHEARSAL_PROTEINS, len(self.pool))), self.harness.embedding / "pool"
            )
        except Invalid as invalid:
            return _Failure(invalid.status, invalid.reason, _tail(fit), self.harness.clock.used(fit))
        return None

    def refuse_broken_machine(self) -> None:
        """Rehearse this runner's script, which is the reference.

        Raises:
            InfrastructureError: it fails, so that no candidate could do better here.
        """
        if fault := self._fault():
            raise InfrastructureError(fault)

    def _fault(self) -> str:
        failed = self.rehearse()
        if failed is None:
            return ""
        return (
            f"the reference script fails in the sandbox ({self.sandbox.backend}) on this machine: "
            f"{blame(failed.status, None, failed.log)}; {remedy(failed.status, failed.log)}"
        )

    def blame_machine(self, status: str) -> None:
        """After a candidate that crashed: see whether the reference script does here what it did before.

        Raises:
            InfrastructureError: it does not, so that nothing is known about the candidate.
        """
        if status != "crash":
            return
        with self._suspected:
            if self._machine is None:
                reference = self.harness.reference
                self._machine = Runner(reference, self.harness, self.sandbox, Variation(), 1, "reference")._fault()
        if self._machine:
            raise InfrastructureError(self._machine)

    @property
    def rehearsal_s(self) -> float:
        """Seconds that a rehearsal's fit has."""
        return min(REHEARSAL_S, self.harness.budget.fit_s)

    def few_rows(self) -> np.ndarray:
        """The proteins of fit and stop that a rehearsal trains on, as rows of the view."""
        is_stop = np.load(self.harness.embedding / "fit" / "is_stop.npy")
        fit, stop = np.flatnonzero(~is_stop), np.flatnonzero(is_stop)
        return np.concatenate([fit[: REHEARSAL_PROTEINS * 3 // 4], stop[: REHEARSAL_PROTEINS // 4]])

    def short_run(self, name: str, rows: np.ndarray, seconds: float) -> ShortRun:
        """Fit on these proteins for so many seconds and predict early-stopping proteins.

        Predict gets a view that holds early-stopping proteins alone, which fit saw as well. So nothing that depends on
        a protein of val, select or test can come back.

        Args:
            name: of a new folder in the sandbox.
            rows: of the view of fit and stop.
            seconds: of fit by the budget's clock.
        """
        folder = self._folder(name)
        fit = self._fit(folder, seed=0, seconds=seconds, rows=rows)
        curve, reports = read_curve(folder / "notes" / "curve.jsonl")
        if fit.status != "ok":
            return ShortRun(fit.status, None, _tail(fit), curve, reports, None)
        stop = np.flatnonzero((self.pool["role"] == "stop").to_numpy())
        view = self._folder(f"{name}/stop")
        _write_small_pool(self.harness.embedding / "pool", stop, view)
        try:
            values, _ = self._predict(folder, "a", np.arange(len(stop)), view)
        except Invalid as invalid:
            return ShortRun(invalid.status, invalid.reason, _tail(fit), curve, reports, None)
        return ShortRun("ok", None, _tail(fit), curve, reports, values)

    def checkpoint(self, seed: int) -> Path:
        """Where the candidate left what it learnt with this seed, until the sandbox closes."""
        return self.place / f"s{seed}" / "checkpoint"

    def run(self, seed: int, out: Path) -> dict[str, Any]:
        """One run: trains, predicts twice, writes everything but run.parquet; returns the row."""
        folder = self._folder(f"s{seed}")
        fit = self._fit(folder, seed=seed, seconds=self.fit_s, rows=self.fit_rows)
        clock = self.harness.clock
        reason = "wall_clock" if clock.ended_by_wall(fit, self.fit_s) else None
        row = _blank_row(seed, fit.status, reason, self.harness) | {
            "fit_s": clock.used(fit),
            "cut_by_clock": fit.status == "timeout"
            or clock.used(fit) >= USED_UP * self.fit_s
            or os.path.lexists(folder / "notes" / NEARLY_OVER_NOTE),
            "cpu_s": fit.cpu_s,
            "wall_s": fit.wall_s,
            "memory_mb": fit.memory_mb,
            "sandbox": fit.backend,
            "checkpoint_mb": folder_size(folder / "checkpoint") / 2**20,
            "parameter_count": read_parameter_count(folder / "notes" / "model.json"),
        }
        curve, reports = read_curve(folder / "notes" / "curve.jsonl")
        row["epochs"] = curve[-1]["epoch"] if curve else None
        row["reports"] = json.dumps(reports) if reports else None
        predictions: list[dict[str, Any]] = []
        if clock.is_overdrawn(fit, self.fit_s):
            row |= {"status": "tamper", "reason": "cpu_time"}
        elif fit.status == "ok":
            try:
                values, first, second = self._judge(folder)
                predictions = self._recorded_predictions(values)
                row |= self._open_errors(values) | {"predict_s": clock.used(first)}
                row["cpu_s"] += first.cpu_s + second.cpu_s
                row["wall_s"] += first.wall_s + second.wall_s
            except Invalid as invalid:
                row |= {"status": invalid.status, "reason": invalid.reason}
        row["ended_at"] = _now()
        if self.harness.device == "cuda":
            row["device_s"] = row["wall_s"] / self.side_by_side  # those side by side hold one GPU together
        _write_parts(out, curve, predictions, _tail(fit))
        return row

    def _judge(self, folder: Path) -> tuple[np.ndarray, Outcome, Outcome]:
        """Predictions for the pool in pool order, and how both phases that predicted went.

        The rows come in an order drawn for this run, and some of them a second time with a pool file of their own: a
        prediction that depends on companions, order or chance shows.

        Raises:
            Invalid: with the reason.
        """
        count = len(self.pool)
        draw = np.random.default_rng()  # unpredictable on purpose: no result depends on it
        order = draw.permutation(count)
        answer, first = self._predict(folder, "a", order, self.harness.embedding / "pool")
        values = np.empty(count)
        values[order] = answer
        few = draw.permutation(count)[: max(8, min(CHECK_LEAST, count // 2), round(CHECK_SHARE * count))]
        small = self._folder(folder.name + "/few")
        _write_small_pool(self.harness.embedding / "pool", few, small)
        again, second = self._predict(folder, "b", np.arange(len(few)), small)
        precision = precision_in_use(self.harness.precision, self.harness.device)
        change = np.abs(values[few] - again)
        change /= self.harness.target.scale
        if change.max() > ROW_WISE_TOLERANCE[precision] or change.mean() > ROW_WISE_MEAN[precision]:
            raise Invalid("not_row_wise")
        return values, first, second

    def _fit(self, folder: Path, *, seed: int, seconds: float, rows: np.ndarray | None) -> Outcome:
        for name in ("checkpoint", "notes"):
            self._folder(f"{folder.name}/{name}")
        read = [self.script]
        if rows is not None:
            np.save(folder / "fit_rows.npy", rows)
            read.append(folder / "fit_rows.npy")
        return self._launch(
            {
                "phase": "fit",
                "view": str(self.harness.embedding / "fit"),
                "sequences": self.harness.sequences != "none",
                "rows": str(folder / "fit_rows.npy") if rows is not None else None,
                "checkpoint": str(folder / "checkpoint"),
                "output": str(folder / "notes"),
                "seed": seed,
                "seconds": seconds,
            },
            read=(*read, *readable(self.harness.embedding / "fit", sequences=self.harness.sequences != "none")),
            write=(folder / "checkpoint", folder / "notes"),
        )

    def _predict(self, folder: Path, name: str, rows: np.ndarray, view: Path) -> tuple[np.ndarray, Outcome]:
        answer = self._folder(f"{folder.name}/{name}")
        np.save(folder / f"{name}_rows.npy", rows)
        outcome = self._launch(
            {
                "phase": "predict",
                "view": str(view),
                "sequences": self.harness.sequences == "all",
                "rows": str(folder / f"{name}_rows.npy"),
                "checkpoint": str(folder / "checkpoint"),
                "output": str(answer),
                "seed": 0,
                "seconds": self.harness.budget.predict_s,
            },
            read=(
                self.script,
                folder / "checkpoint",
                folder / f"{name}_rows.npy",
                *readable(view, sequences=self.harness.sequences == "all"),
            ),
            write=(answer,),
        )
        if self.harness.clock.is_overdrawn(outcome, self.harness.budget.predict_s):
            raise Invalid("cpu_time", "tamper")
        if outcome.status != "ok":
            raise Invalid(f"predict_{outcome.status}", outcome.status)
        return read_predictions(answer / "predictions.f64", len(rows)), outcome

    def _launch(self, spec: dict[str, Any], *, read: Sequence[Path], write: Sequence[Path]) -> Outcome:
        harness = self.harness
        with granted_cores(harness.threads) if harness.device == "cpu" else nullcontext(()) as cores:
            outcome = self.sandbox.run(
                Phase(
                    spec={
                        "script": str(self.script),
                        "knobs": dict(self.proposal.knobs),
                        "device": harness.device,
                        "processes": self.side_by_side,
                        "precision": harness.precision,
                        "threads": harness.threads,
                        "budget_factor": self.budget_factor,
                        **spec,
                    },
                    read=tuple(read),
                    write=tuple(write),
                    limits=harness.limits(spec["seconds"]),
                    cores=cores,
                )
            )
        self.outcomes.append(outcome)
        if outcome.error:
            raise InfrastructureError(f"sandbox {outcome.backend}: {outcome.error}")
        return outcome

    def _folder(self, name: str) -> Path:
        folder = self.place / name
        folder.mkdir(parents=True)
        folder.chmod(0o755)  # the sandbox may run as another user
        return folder

    def _recorded_predictions(self, values: np.ndarray) -> list[dict[str, Any]]:
        """Rows for predictions.parquet: val, select, test and stop, by protein."""
        return [
            {"protein_id": protein, "split": role, "prediction": float(value)}
            for protein, role, value in zip(self.pool["protein_id"], self.pool["role"], values, strict=True)
            if role in (*HIDDEN, "stop")
        ]

    def _open_errors(self, values: np.ndarray) -> dict[str, float | None]:
        """MAE in target units on the pool's proteins whose labels the candidate was given."""
        errors = {}
        for column, role in (("fit_mae", "decoy"), ("stop_mae", "stop")):
            chosen = (self.pool["role"] == role).to_numpy()
            errors[column] = float(np.abs(values - self.pool_labels)[chosen].mean()) if chosen.any() else None
        return errors


def readable(view: Path, *, sequences: bool) -> list[Path]:
    """The files of a view that a phase may read."""
    return [path for path in sorted(view.iterdir()) if sequences or path.name != SEQUENCES]


def _write_small_pool(pool: Path, rows: np.ndarray, folder: Path) -> None:
    """A view of its own with only `rows`, so that nothing about the others is in reach."""
    whole = View.open(pool, sequences=True)
    sequences = [whole.letters(row) for row in rows]
    View.write(folder, map(whole.protein, rows), whole.composition[rows], sequences=sequences)


def _blank_row(seed: int, status: str, reason: str | None, harness: Harness) -> dict[str, Any]:
    row = dict.fromkeys(RUN.names)
    return row | {
        "seed": seed,
        "status": status,
        "reason": reason,
        "cut_by_clock": False,
        "device_s": 0.0,
        "device": _device_name(harness.device),
        "host_cpu": processor(),
    }


def _now() -> float:
    return round(time.time(), 3)


def _write_parts(folder: Path, curve: list[dict], predictions: list[dict], log: str) -> None:
    """Everything of a run but run.parquet, which comes last and stands for the whole."""
    write_table(folder / "curve.parquet", curve, CURVE)
    write_table(folder / "predictions.parquet", predictions, PREDICTIONS)
    write_text(folder / "log.txt", log)


def _tail(outcome: Outcome) -> str:
    """The end of what the candidate printed in fit; never of predict, which could smuggle out features."""
    return outcome.output[-LOG_CHARACTERS:]


def _device_name(device: str) -> str:
    """The name that nvidia-smi gives the GPU; `cuda` where it gives none."""
    return (ask_gpu("name") if device == "cuda" else None) or device
