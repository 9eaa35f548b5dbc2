"""Runs that differ from a full one of the search: more or less time, fewer proteins, an organism never seen.

The evidence asks *what if*; a search trains its cheap trials so (tmelt.search.fidelity).
"""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from tmelt.errors import InputError
from tmelt.storage.schema import EMBEDDING_INDEX, PROTEINS, read_table


@dataclass(frozen=True)
class Variation:
    """How a run differs from a full one of the search."""

    budget_factor: float = 1.0  # on the seconds of fit; the script is told, and scales its epochs
    fit_fraction: float = 1.0  # share of the fit proteins; stop stays whole
    without_organism: str | None = None  # absent from fit and stop
    seconds_factor: float = 1.0  # on the seconds of fit; the script is not told: the clock ends it

    def key(self) -> dict[str, Any]:
        """What tells its runs apart in the journal."""
        return asdict(self)

    def fit_rows(self, embedding: Path, proteins: Path) -> np.ndarray | None:
        """Rows of the fit view to train on; None for all.

        Raises:
            InputError: nothing is left to train on, or to stop on.
        """
        if self.fit_fraction == 1.0 and self.without_organism is None:
            return None
        organisms = (
            read_table(embedding / "index.parquet", EMBEDDING_INDEX)
            .filter(pl.col("view") == "fit")
            .sort("offset")
            .join(read_table(proteins, PROTEINS).select("protein_id", "organism"), on="protein_id", how="left")[
                "organism"
            ]
        )
        is_stop = np.load(embedding / "fit" / "is_stop.npy")
        chosen = np.ones(len(is_stop), dtype=bool)
        if self.without_organism is not None:
            chosen &= ~(organisms == self.without_organism).fill_null(False).to_numpy()
        if self.fit_fraction < 1.0:
            candidates = np.flatnonzero(chosen & ~is_stop)
            # The same draw whatever the fraction: a smaller part lies inside a larger one.
            kept = np.random.default_rng(0).permutation(candidates)[: round(self.fit_fraction * len(candidates))]
            chosen &= is_stop
            chosen[kept] = True
        if not (chosen & ~is_stop).any() or not (chosen & is_stop).any():
            without = "" if self.without_organism is None else f", without {self.without_organism}"
            raise InputError(
                f"{proteins}: with {self.fit_fraction:g} of fit{without}, no protein of fit, or none of stop, is left;"
                " use more data, more of it per trial, or take `fraction` or `organism` out of evidence.purposes"
            )
        return np.flatnonzero(chosen)
