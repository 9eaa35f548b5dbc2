"""What computing and tokens cost, by the price files `prices.yaml` here and in tmelt/llm."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import yaml

from tmelt.errors import InputError

COMPUTE_FILE = Path(__file__).with_name("prices.yaml")
TOKEN_FILE = COMPUTE_FILE.parents[1] / "llm" / "prices.yaml"


@dataclass(frozen=True)
class Prices:
    """USD per hour of a GPU by name, per CPU-core hour, per million tokens (in, out) by model; and their versions."""

    gpu_hour: Mapping[str, float]
    cpu_core_hour: float
    factors: tuple[float, ...]
    tokens: Mapping[str, tuple[float, float]]
    version: str

    def hour(self, device: str) -> float | None:
        """USD per hour of a run's device; None for a GPU that the file does not list."""
        if device == "cpu":
            return self.cpu_core_hour
        return next((price for name, price in self.gpu_hour.items() if _names(name, device)), None)


def _names(name: str, device: str) -> bool:
    """Whether a name of the price file is in a device's own as whole words: an L40 is no L4, an RTX A1000 no A100."""
    return re.search(rf"\b{re.escape(name)}\b", device, re.IGNORECASE) is not None


def read_prices(compute: Path = COMPUTE_FILE, tokens: Path = TOKEN_FILE) -> Prices:
    """Both price files.

    Raises:
        InputError: a file that does not have the expected keys.
    """
    files: dict[Path, Any] = {}
    for path in (compute, tokens):
        try:
            files[path] = yaml.safe_load(path.read_text(encoding="utf-8"))
        except (OSError, yaml.YAMLError) as error:
            raise InputError(f"{path}: {' '.join(str(error).split())}") from None
    try:
        return Prices(
            gpu_hour={str(name): float(price) for name, price in files[compute]["gpu_hour"].items()},
            cpu_core_hour=float(files[compute]["cpu_core_hour"]),
            factors=tuple(float(factor) for factor in files[compute]["factors"]),
            tokens={
                str(name): (float(price["input"]), float(price["output"]))
                for name, price in files[tokens]["models"].items()
            },
            version=f"compute {files[compute]['version']}, tokens {files[tokens]['version']}",
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"{compute}, {tokens}: not a price file ({error!r})") from None


def with_compute_usd(runs: pl.DataFrame, prices: Prices) -> pl.DataFrame:
    """Runs with columns `paid_s` (GPU seconds on a GPU, CPU-core seconds else) and `compute_usd` (null: no price)."""
    devices = runs["device"].unique().drop_nulls().to_list()
    per_hour = pl.DataFrame(
        {"device": devices, "usd_per_h": [prices.hour(device) for device in devices]},
        schema={"device": pl.String, "usd_per_h": pl.Float64},
    )
    paid = pl.when(pl.col("device") == "cpu").then(pl.col("cpu_s")).otherwise(pl.col("device_s")).fill_null(0.0)
    return (
        runs.with_columns(paid_s=paid)
        .join(per_hour, on="device", how="left", maintain_order="left")
        .with_columns(
            compute_usd=pl.when(pl.col("paid_s") == 0)
            .then(0.0)
            .otherwise(pl.col("paid_s") / 3600 * pl.col("usd_per_h"))
        )
    )
