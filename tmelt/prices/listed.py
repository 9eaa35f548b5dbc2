"""The prices that are listed in `compute.yaml` and `tokens.yaml`; what is not listed stays unknown."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from tmelt.errors import InputError

COMPUTE_FILE = Path(__file__).with_name("compute.yaml")
TOKEN_FILE = Path(__file__).with_name("tokens.yaml")


class TokenPrice(NamedTuple):
    """USD per million tokens; `cached_input` is None where cached tokens cost as much as others."""

    input: float
    output: float
    cached_input: float | None = None


@dataclass(frozen=True)
class Prices:
    """USD per hour of a GPU by name, per CPU-core hour, per million tokens by model; and the versions of the files."""

    gpu_hour: Mapping[str, float]
    cpu_core_hour: float
    factors: tuple[float, ...]
    tokens: Mapping[str, TokenPrice]
    compute_version: str
    token_version: str

    @property
    def version(self) -> str:
        """Both versions in words."""
        return f"compute {self.compute_version}, tokens {self.token_version}"

    def hour(self, device: str) -> float | None:
        """USD per hour of a run's device; None for a GPU that the file does not list."""
        if device == "cpu":
            return self.cpu_core_hour
        return next((price for name, price in self.gpu_hour.items() if _names(name, device)), None)


def _names(name: str, device: str) -> bool:
    """Whether a name of the price file is in a device's own as whole words: an L40 is no L4, an RTX A1000 no A100."""
    return re.search(rf"\b{re.escape(name)}\b", device, re.IGNORECASE) is not None


@cache
def read_prices(compute: Path = COMPUTE_FILE, tokens: Path = TOKEN_FILE) -> Prices:
    """Both price files.

    Raises:
        InputError: a file that does not have the expected keys.
    """
    import yaml  # here: most jobs read no price

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
            tokens={str(name): _token_price(row) for name, row in files[tokens]["models"].items()},
            compute_version=str(files[compute]["version"]),
            token_version=str(files[tokens]["version"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"{compute}, {tokens}: not a price file ({error!r})") from None


def _token_price(row: Mapping[str, Any]) -> TokenPrice:
    cached = row.get("cached_input")
    return TokenPrice(float(row["input"]), float(row["output"]), None if cached is None else float(cached))
