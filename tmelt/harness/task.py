"""What a training script sees of the world: proteins, their batches, and its task (see candidate/CONTRACT.md)."""

import json
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tmelt.embed.view import View
from tmelt.harness.clock import NEARLY_OVER, NEARLY_OVER_NOTE
from tmelt.harness.predictions import REPORT_NAME, REPORTS_MAX
from tmelt.packed import segment_mean, tokens_per_pass


@dataclass(frozen=True)
class Batch:
    """Some proteins, packed: their residues one after another, without padding.

    Attributes:
        x: residues, float32 (T, D).
        lengths: residues per protein; sums to T.
        rows: which proteins of the set, int64 (n,), on the CPU.
        tm: labels in target units, float32 (n,), or None.
    """

    x: Tensor
    lengths: list[int]
    rows: Tensor
    tm: Tensor | None = None

    def __len__(self) -> int:
        return len(self.lengths)

    @cached_property
    def segment(self) -> Tensor:
        """Protein number of each residue, int64 (T,)."""
        lengths = torch.tensor(self.lengths)
        return torch.repeat_interleave(torch.arange(len(self)), lengths).to(self.x.device)

    def padded(self) -> tuple[Tensor, Tensor]:
        """The residues as (n, L, D), zero beyond a protein's end, and the mask (n, L): True on real residues."""
        lengths = torch.tensor(self.lengths)
        mask = (torch.arange(max(self.lengths)) < lengths.unsqueeze(1)).to(self.x.device)
        x = self.x.new_zeros(*mask.shape, self.x.shape[1])
        x[mask] = self.x
        return x, mask

    def split(self, max_tokens: int | None = None) -> list["Batch"]:
        """The same proteins as smaller batches of at most `max_tokens` residues; a longer protein is one by itself.

        Without a number, as many residues as the device handles best at a time.
        """
        groups = _groups(self.lengths, len(self), max_tokens or tokens_per_pass(self.x.device))
        if len(groups) <= 1:
            return [self]
        tokens = self.x.split([sum(self.lengths[group]) for group in groups])
        return [
            Batch(x, self.lengths[group], self.rows[group], None if self.tm is None else self.tm[group])
            for x, group in zip(tokens, groups, strict=True)
        ]


def _groups(lengths: Sequence[int], size: int, max_tokens: float) -> list[slice]:
    """Cut a sequence of proteins, in order, into groups of at most `size` proteins and `max_tokens` residues."""
    groups, start, tokens = [], 0, 0
    for position, length in enumerate(lengths):
        if position > start and (position - start == size or tokens + length > max_tokens):
            groups.append(slice(start, position))
            start, tokens = position, 0
        tokens += length
    return [*groups, slice(start, len(lengths))] if len(lengths) else []


@dataclass(frozen=True)
class Proteins:
    """A set of proteins with their frozen embeddings.

    Attributes:
        store: residues of these and perhaps other proteins, float16 (Σ L, D): mapped from the file, so that all runs
            on a machine share it, or resident on the GPU.
        starts: first row of each protein in `store`, int64 (n,).
        lengths: residues per protein, int64 (n,).
        composition: how often each of the 20 amino acids occurs (ACDEFGHIKLMNPQRSTVWY), int64 (n, 20).
        letters: amino acids, one letter each; None where the study does not grant them to this phase.
        device: where batches go.
        tm: labels in target units, float32 (n,), or None.
    """

    store: Tensor
    starts: np.ndarray
    lengths: Tensor
    composition: Tensor
    letters: list[str] | None
    device: torch.device
    tm: Tensor | None = None

    @classmethod
    def open(
        cls,
        view: Path,
        rows: np.ndarray | None = None,
        labels: bool = False,
        device: torch.device | str = "cpu",
        processes: int = 1,
        sequences: bool = False,
    ) -> "Proteins":
        """Open a view (tmelt.embed.view).

        Args:
            view: the folder.
            rows: only these proteins, in this order.
            labels: whether to read labels.
            device: where batches go; a GPU takes all residues into its memory if they fit.
            processes: how many share that device, all of the same size.
            sequences: whether to read amino-acid sequences.

        Raises:
            InputError: files that are missing or do not fit each other.
        """
        device, opened = torch.device(device), View.open(Path(view), sequences=sequences, labels=labels)
        proteins = cls(
            torch.from_numpy(opened.residues),
            opened.offsets[:-1],
            torch.from_numpy(opened.lengths),
            torch.from_numpy(opened.composition).long(),
            opened.sequences,
            device,
            None if opened.tm is None else torch.from_numpy(opened.tm).to(device, torch.float32),
        )
        if rows is not None:
            proteins = proteins.select(rows)
        return proteins._resident(processes) if device.type == "cuda" else proteins

    def _resident(self, processes: int) -> "Proteins":
        """With the residues in the GPU's memory, if that leaves a third of what is free there and of one's share."""
        free, total = torch.cuda.mem_get_info(self.device)
        needed = self.store.element_size() * self.width * int(self.lengths.sum())
        if needed > 2 / 3 * min(free, total / processes):
            return self
        return self._moved_to(self.device)

    def _moved_to(self, device: torch.device) -> "Proteins":
        """With these proteins' residues, and no others, on a device."""
        tokens, lengths = int(self.lengths.sum()), self.lengths.numpy()
        if tokens == len(self.store):
            return replace(self, store=self.store.to(device))
        store = self.store.new_empty(tokens, self.width, device=device)
        # One after another: a copy of all on the way would count as the script's memory.
        for part, start in zip(store.split(lengths.tolist()), self.starts, strict=True):
            part.copy_(self.store[start : start + len(part)])
        return replace(self, store=store, starts=np.cumsum(lengths) - lengths)

    def select(self, rows: np.ndarray) -> "Proteins":
        """The proteins `rows` (numbers or a mask), in that order; nothing is copied but the labels."""
        rows = np.arange(len(self))[np.asarray(rows)]
        return Proteins(
            self.store,
            self.starts[rows],
            self.lengths[torch.from_numpy(rows)],
            self.composition[torch.from_numpy(rows)],
            None if self.letters is None else [self.letters[row] for row in rows],
            self.device,
            None if self.tm is None else self.tm[torch.from_numpy(rows).to(self.device)],
        )

    def __len__(self) -> int:
        return len(self.lengths)

    @property
    def sequences(self) -> list[str]:
        """Amino acids, one letter each.

        Raises:
            AttributeError: the study does not grant them to this phase.
        """
        if self.letters is None:
            raise AttributeError(
                "this study grants no sequences here (design.sequences); proteins.composition has counts of amino acids"
            )
        return self.letters

    @property
    def width(self) -> int:
        """Features per residue, D."""
        return self.store.shape[1]

    def residues(self, protein: int) -> Tensor:
        """Embedding of one protein, float16 (L, D)."""
        start = int(self.starts[protein])
        return self.store[start : start + int(self.lengths[protein])].to(self.device)

    def mean(self) -> Tensor:
        """Mean embedding per protein, float32 (n, D)."""
        if not len(self):
            return torch.zeros(0, self.width, device=self.device)
        batches = self.batches(len(self), max_tokens=tokens_per_pass(self.device))
        return torch.cat([segment_mean(batch.x, batch.lengths) for batch in batches])

    def batches(
        self,
        size: int,
        generator: torch.Generator | None = None,
        crop: int | None = None,
        max_tokens: int | None = None,
    ) -> Iterator[Batch]:
        """Go through all proteins once.

        Args:
            size: proteins per batch.
            generator: shuffles the proteins and places the windows; without it they come in order.
            crop: a random window of at most so many residues of each protein; needs the generator.
            max_tokens: a batch also ends before it has more residues than this; a longer protein is one by itself.

        Raises:
            ValueError: a size below 1, or a crop without a generator.
        """
        if size < 1 or (crop is not None and (crop < 1 or generator is None)):
            raise ValueError(f"batches: size={size}, crop={crop}: from 1, and a crop needs a torch.Generator")
        order = torch.arange(len(self)) if generator is None else torch.randperm(len(self), generator=generator)
        starts, lengths = self.starts[order.numpy()], self.lengths[order].numpy()
        if crop is not None:
            room = np.maximum(lengths - crop, 0)
            starts = starts + (torch.rand(len(self), generator=generator).double().numpy() * (room + 1)).astype(int)
            lengths = lengths - room
        for group in _groups(lengths.tolist(), size, max_tokens or math.inf):
            yield self._gather(order[group], starts[group], lengths[group])

    def _gather(self, rows: Tensor, starts: np.ndarray, lengths: np.ndarray) -> Batch:
        first, tokens = np.cumsum(lengths) - lengths, int(lengths.sum())  # where each protein begins in the batch
        place = self.store.device
        shift, sizes = torch.from_numpy(np.stack([starts - first, lengths])).to(place, non_blocking=True)
        index = torch.repeat_interleave(shift, sizes, output_size=tokens) + torch.arange(tokens, device=place)
        x = self.store.index_select(0, index).to(self.device).float()  # (T, D)
        tm = None if self.tm is None else self.tm[rows.to(self.device, non_blocking=True)]
        return Batch(x, lengths.tolist(), rows, tm)


class Task:
    """What `fit` and `predict` are called with; candidate/CONTRACT.md describes it.

    Args:
        seed: training seed.
        device: where to train.
        precision: `fp32`, `bf16`, or `auto` for bf16 where the device multiplies it faster.
        seconds: time budget, counted from here.
        output: folder for the record of epochs and the model's facts.
        clock: what counts the time budget's seconds (tmelt.harness.clock).
        budget_factor: how many times the search's time budget this run has.
        sets: `fit` and `stop`, or `pool`.
    """

    def __init__(
        self,
        *,
        seed: int,
        device: torch.device,
        precision: str,
        seconds: float,
        output: Path,
        clock: Callable[[], float] = time.monotonic,
        budget_factor: float = 1.0,
        **sets: Proteins,
    ):
        self.seed = seed
        self.device = device
        self.budget_factor = budget_factor
        self._bf16 = precision == "bf16" or (precision == "auto" and has_fast_bf16(device))
        self._clock = clock
        self._end, self._nearly_over = clock() + seconds, NEARLY_OVER * seconds
        self._output = output
        self._sets = sets
        self._reported: set[str] = set()

    def __getattr__(self, name: str) -> Any:
        sets = self.__dict__.get("_sets", {})
        if name in sets:
            return sets[name]
        raise AttributeError(f"task has no {name!r} here; its proteins are: {', '.join(sets)}")

    def autocast(self) -> AbstractContextManager:
        """Matrix products in bf16 where this machine is faster with it, else in fp32."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self._bf16)

    def seconds_left(self) -> float:
        """What remains of the time budget; that little of it is left is noted once for the harness."""
        left = self._end - self._clock()
        if left < self._nearly_over:
            (self._output / NEARLY_OVER_NOTE).touch()
            self._nearly_over = -math.inf
        return left

    def log_model(self, *, parameter_count: int) -> None:
        """Record the number of trainable parameters."""
        (self._output / "model.json").write_text(json.dumps({"parameter_count": int(parameter_count)}))

    def log_epoch(
        self,
        *,
        epoch: int,
        fit_loss: float | None = None,
        stop_mae: float | None = None,
        learning_rate: float | None = None,
    ) -> None:
        """Record an epoch: the training loss, the MAE in target units on stop and the learning rate."""
        values = {"fit_loss": fit_loss, "stop_mae": stop_mae, "learning_rate": learning_rate}
        numbers = {name: float(value) for name, value in values.items() if value is not None}
        self._note({"epoch": int(epoch)} | {name: value for name, value in numbers.items() if math.isfinite(value)})

    def report(self, **numbers: float) -> None:
        """Record diagnostics of the run, in `fit` only; the last value of each name counts.

        The harness keeps the first REPORTS_MAX names. In `predict` the call has no effect: what predict chooses does
        not leave the harness.

        Args:
            numbers: finite numbers by name; a value that is not finite is left out.

        Raises:
            ValueError: a name that is not made of at most 40 letters, digits and underscores.
        """
        for name in numbers:
            if not REPORT_NAME.fullmatch(name):
                raise ValueError(f"task.report: {name!r}: a name has at most 40 letters, digits and underscores")
        if "pool" in self._sets:
            return
        values = {name: float(value) for name, value in numbers.items()}
        new = [name for name in values if name not in self._reported]
        self._reported.update(new[: REPORTS_MAX - len(self._reported)])
        finite = {name: value for name, value in values.items() if name in self._reported and math.isfinite(value)}
        if finite:
            self._note({"report": finite})

    def _note(self, line: dict[str, Any]) -> None:
        with (self._output / "curve.jsonl").open("a") as file:
            file.write(json.dumps(line) + "\n")


def has_fast_bf16(device: torch.device) -> bool:
    """Whether bf16 matrix products are faster than fp32: on GPUs with tensor cores for it, on CPUs with AMX only."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    return torch.cpu._is_amx_tile_supported()  # there is no public way to ask
