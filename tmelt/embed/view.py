"""A view: the folder of embeddings that a candidate reads, with its one writer and its one reader.

| file | holds |
|---|---|
| `residues.f16` | residues of all proteins one after another, little-endian float16 (ΣL, D) |
| `offsets.npy` | first row of each protein, and the number of rows, int64 (n + 1,) |
| `composition.npy` | counts of the 20 amino acids in the order ACDEFGHIKLMNPQRSTVWY, int32 (n, 20) |
| `sequences.txt` | amino acids, a line for each protein; a phase reads it where the study grants sequences |
| `tm.npy` | labels in target units, float64 (n,); in the view for fit alone |
| `is_stop.npy` | which proteins are for early stopping, bool (n,); likewise |
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tmelt.errors import InputError
from tmelt.storage.files import atomic_path

FLOAT16 = np.dtype("<f2")
RESIDUES, OFFSETS, COMPOSITION = "residues.f16", "offsets.npy", "composition.npy"
SEQUENCES, TM, IS_STOP = "sequences.txt", "tm.npy", "is_stop.npy"
LETTERS = 20


@dataclass(frozen=True)
class View:
    """Proteins of one view, in its order: n proteins, ΣL residues of width D.

    Attributes:
        residues: float16 (ΣL, D), mapped from the file, so that all processes of a machine share it; what is written to
            it stays in this process.
        offsets: int64 (n + 1,).
        composition: int32 (n, 20).
        sequences: amino acids of each protein; None if they were not asked for.
        tm: float64 (n,) in target units; None if labels were not asked for.
        is_stop: bool (n,); likewise.
    """

    residues: np.ndarray = field(repr=False)
    offsets: np.ndarray = field(repr=False)
    composition: np.ndarray = field(repr=False)
    sequences: list[str] | None = field(default=None, repr=False)
    tm: np.ndarray | None = field(default=None, repr=False)
    is_stop: np.ndarray | None = field(default=None, repr=False)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> np.ndarray:
        """Residues of each protein, int64 (n,)."""
        return np.diff(self.offsets)

    def protein(self, number: int) -> np.ndarray:
        """Embedding of one protein, float16 (L, D)."""
        return self.residues[self.offsets[number] : self.offsets[number + 1]]

    def letters(self, number: int) -> str:
        """Amino acids of one protein, of a view that was opened with its sequences."""
        assert self.sequences is not None
        return self.sequences[number]

    @classmethod
    def open(cls, folder: Path, *, sequences: bool = False, labels: bool = False) -> "View":
        """Open a view; its residues stay on disk until they are read.

        Args:
            folder: of the view.
            sequences: whether to read `sequences.txt`.
            labels: whether to read `tm.npy` and `is_stop.npy`.

        Raises:
            InputError: a file is missing or unreadable, or the files do not fit each other.
        """
        try:
            offsets = np.load(folder / OFFSETS)
            composition = np.load(folder / COMPOSITION)
            letters = (folder / SEQUENCES).read_text(encoding="ascii").splitlines() if sequences else None
            tm, is_stop = (np.load(folder / name) if labels else None for name in (TM, IS_STOP))
            flat = np.memmap(folder / RESIDUES, FLOAT16, "c")  # torch warns of memory that it cannot write
        except (OSError, ValueError, EOFError) as error:
            raise InputError(f"{folder}: not a readable view of embeddings ({error}); {_remedy(folder)}") from None
        rows, proteins = int(offsets[-1]), len(offsets) - 1
        counts = {proteins} | {len(part) for part in (letters, tm, is_stop) if part is not None}
        fits = rows > 0 and not flat.size % rows and len(counts) == 1 and composition.shape == (proteins, LETTERS)
        lengths = np.diff(offsets)
        single = bool((lengths == 1).all())  # imported embeddings may have one row per protein
        if not fits or (letters is not None and not single and lengths.tolist() != [len(one) for one in letters]):
            raise InputError(f"{folder}: its files do not fit each other; {_remedy(folder)}")
        return cls(flat.reshape(rows, -1), offsets, composition, letters, tm, is_stop)

    @staticmethod
    def write(
        folder: Path,
        residues: Iterable[np.ndarray],
        composition: np.ndarray,
        *,
        sequences: Sequence[str] | None = None,
        labels: Mapping[str, np.ndarray] | None = None,
        durable: bool = False,
    ) -> None:
        """Write a view into a folder, one protein at a time.

        Args:
            folder: of the view; it is made where it is missing.
            residues: embedding of each protein, float16 (L, D).
            composition: counts of amino acids, (n, 20).
            sequences: amino acids of each protein; None leaves the file out.
            labels: `tm` and `is_stop`, of fit.
            durable: True writes each file under a temporary name and flushes it to the disk, for views that stay.
        """
        folder.mkdir(parents=True, exist_ok=True)
        lengths = []
        with _opened(folder / RESIDUES, durable) as file:
            for protein in residues:
                file.write(np.ascontiguousarray(protein, dtype=FLOAT16).data)
                lengths.append(len(protein))
        arrays = {OFFSETS: np.cumsum([0, *lengths]).astype("<i8"), COMPOSITION: composition}
        for name, values in (labels or {}).items():
            arrays[f"{name}.npy"] = values
        for name, values in arrays.items():
            with _opened(folder / name, durable) as file:
                np.save(file, values, allow_pickle=False)
        if sequences is not None:
            with _opened(folder / SEQUENCES, durable) as file:
                file.write("".join(f"{sequence}\n" for sequence in sequences).encode("ascii"))


@contextmanager
def _opened(path: Path, durable: bool) -> Iterator[Any]:
    """The file for writing."""
    if not durable:
        with path.open("wb") as file:
            yield file
        return
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        yield file


def _remedy(folder: Path) -> str:
    return f"delete {folder.parent} and run again"
