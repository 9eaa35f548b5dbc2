"""Variation of the book between searches: order of its lines and sizes of its steps, from the seed of the search.

Without it all searches of a playbook arm would be copies of one another, and no replicates.
"""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any, TypeVar

JITTER = 4.0  # places by which a line may fall back behind those after it
FACTORS = (2, 3, 5)
SIZES = (0.7, 0.85, 1.0, 1.2, 1.4)
# Knobs whose numbers are a matter of taste; a step to them is scaled by one of SIZES.
SIZED = frozenset({"patience", "epochs", "warmup", "dropout", "embedding_dropout", "head_dropout"})

Line = TypeVar("Line")


@dataclass(frozen=True)
class Variation:
    """The variation of one search. The same seed gives the same order and sizes for every prompt."""

    seed: int

    def share(self, *words: Any) -> float:
        """A number in [0, 1) that depends on the seed and the words alone."""
        digest = hashlib.sha256("/".join(map(str, (self.seed, *words))).encode()).digest()
        return int.from_bytes(digest[:6], "big") / 2**48

    def order(self, lines: Iterable[Line], name: Callable[[Line], str]) -> list[Line]:
        """The lines roughly in their own order: each falls back by up to JITTER places."""
        numbered = list(enumerate(lines))
        return [
            line for _, line in sorted(numbered, key=lambda item: item[0] + JITTER * self.share("order", name(item[1])))
        ]

    def sized(self, step: Any) -> Any:
        """The step (a dataclass with `title` and `knobs`) with the sizes of this search."""
        return replace(step, knobs={name: self._size(step.title, name, wish) for name, wish in step.knobs.items()})

    def _size(self, title: str, name: str, wish: Any) -> Any:
        share = self.share("size", title, name)
        if isinstance(wish, str) and wish[0] in "*/" and wish[1:].isdigit():
            return f"{wish[0]}{FACTORS[int(share * len(FACTORS))]}"
        if name in SIZED and isinstance(wish, int | float):
            return wish * SIZES[int(share * len(SIZES))]
        return wish
