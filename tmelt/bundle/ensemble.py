"""A bundle's script at work: `predict` with the checkpoint of each seed, in the sandbox that the study ran it in.

The script may be a model's, and may have been changed on the way. So it gets what it got in the study: the
features, its checkpoint, no network, no file of the user's, and the limits of its budget.
"""

import math
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from tmelt.bundle.embedding import write_pool
from tmelt.embed.view import View
from tmelt.errors import InfrastructureError, InputError
from tmelt.harness.clock import Clock
from tmelt.harness.confined import Sandbox
from tmelt.harness.predictions import Invalid, read_predictions
from tmelt.harness.run import PRELOAD
from tmelt.harness.sandbox import Limits, Phase
from tmelt.host.gpus import hold_a_gpu
from tmelt.study.config import Budget
from tmelt.text.safe import one_line


class Ensemble:
    """The models of a bundle, ready to predict.

    Args:
        script: source text of the candidate.
        seeds: whose checkpoints `place` writes, as checkpoints/s{seed}/.
        place: writes the checkpoints below the folder that it is called with.
        knobs: of the candidate.
        harness: the bundle's `harness` part: `budget`, `pool_residues`, which its seconds were meant for, and
            `sequences`, which phases of the script see them.
        sandbox: backend; `image` for Apptainer's.
        device: cpu or cuda.
        precision: fp32 or bf16, of the candidate's matrix products.
        threads: of torch.
        most_s: the most seconds of a pass, by the budget's clock; None for what the harness part says.
    """

    def __init__(
        self,
        *,
        script: str,
        seeds: Sequence[int],
        place: Callable[[Path], None],
        knobs: Mapping[str, Any],
        harness: Mapping[str, Any],
        sandbox: str,
        image: str | None,
        device: str,
        precision: str,
        threads: int,
        most_s: float | None = None,
    ):
        self.seeds, self.device, self.precision, self.threads = list(seeds), device, precision, threads
        self._script, self._place, self._knobs = script, place, dict(knobs)
        self._budget = Budget.model_validate(harness["budget"])
        self._most_s = math.inf if most_s is None else most_s
        self._pool_residues = harness["pool_residues"]
        self._sequences = harness["sequences"] == "all"
        if device == "cuda":
            hold_a_gpu()
        self._sandbox = Sandbox(sandbox, gpu=device == "cuda", image=image, preload=PRELOAD, threads=threads)

    def __enter__(self) -> "Ensemble":
        self._sandbox.__enter__()
        try:
            self.folder = self._sandbox.folder
            self._train = self.folder / "train.py"
            self._train.write_text(self._script, encoding="utf-8")
            self._train.chmod(0o644)
            self._place(self.folder)
        except BaseException:
            self._sandbox.close()
            raise
        return self

    def __exit__(self, kind: type | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self._sandbox.__exit__(kind, value, trace)

    def predict(self, residues: Sequence[np.ndarray], sequences: Sequence[str]) -> np.ndarray:
        """Predicted tm in target units of each protein by each seed, (seeds, proteins).

        Args:
            residues: embedding of each, float16 (L, D).
            sequences: amino acids of each.

        Raises:
            InputError: the script failed, or its answer is not one finite number per protein.
            InfrastructureError: the sandbox failed.
        """
        with tempfile.TemporaryDirectory(prefix="ask-", dir=self.folder) as name:
            asked = Path(name)
            asked.chmod(0o755)
            view = write_pool(asked / "pool", residues, sequences, with_sequences=self._sequences)
            return np.stack([self._answer(seed, asked, view, len(sequences)) for seed in self.seeds])

    def _answer(self, seed: int, asked: Path, view: Path, count: int) -> np.ndarray:
        answer = asked / f"s{seed}"
        answer.mkdir()
        answer.chmod(0o755)
        checkpoint = self.folder / "checkpoints" / f"s{seed}"
        residues = View.open(view).residues
        share = len(residues) / max(1, self._pool_residues)
        seconds = min(self._budget.predict_s * max(1.0, share), self._most_s)
        outcome = self._sandbox.run(
            Phase(
                spec={
                    "phase": "predict",
                    "script": str(self._train),
                    "view": str(view),
                    "sequences": self._sequences,
                    "rows": None,
                    "knobs": self._knobs,
                    "checkpoint": str(checkpoint),
                    "output": str(answer),
                    "seed": 0,
                    "seconds": seconds,
                    "budget_factor": 1.0,
                    "device": self.device,
                    "processes": 1,
                    "precision": self.precision,
                    "threads": self.threads,
                },
                read=(self._train, checkpoint, view),
                write=(answer,),
                limits=Limits(
                    **Clock(self.device, self.threads, self._budget.wall_factor).limits(seconds),
                    # The mapped view counts as resident; the study's pool was in its budget already.
                    memory_mb=self._budget.memory_mb + residues.nbytes // 2**20,
                    processes=self._budget.processes,
                    file_mb=2 * self._budget.disk_mb,
                    disk_mb=self._budget.disk_mb,
                ),
            )
        )
        if outcome.error:
            raise InfrastructureError(f"sandbox {outcome.backend}: {outcome.error}")
        try:
            if outcome.status != "ok":
                raise Invalid(f"ended as {outcome.status}")
            return read_predictions(answer / "predictions.f64", count)
        except Invalid as invalid:
            last = one_line(outcome.output.strip().rpartition("\n")[2], 200)  # the script's words
            raise InputError(
                f"the bundle's train.py made no predictions with seed {seed} ({invalid.reason}); it said {last}"
            ) from None
