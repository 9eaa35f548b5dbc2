"""A caution and a group of cautions."""

from dataclasses import dataclass

LEVELS = ("danger", "warning", "note")  # heaviest first


@dataclass(frozen=True)
class Caution:
    """Something a reader must know before any number."""

    level: str  # one of LEVELS
    group: str  # integrity, data, controls, replication or searches
    title: str
    text: str


@dataclass(frozen=True)
class Group:
    """Cautions of one kind, shown as one line whose details unfold."""

    title: str
    cautions: list[Caution]

    @property
    def level(self) -> str:
        """The heaviest level in the group."""
        return min((caution.level for caution in self.cautions), key=LEVELS.index)

    @property
    def summary(self) -> str:
        """The titles of its cautions in one line."""
        return " · ".join(caution.title.rstrip(".") for caution in self.cautions) + "."
