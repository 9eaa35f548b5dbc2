"""The groups of proteins within which predictions are ranked, and which are left out of training one by one."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Group:
    """What the proteins are grouped by, in words; every text of a study takes them from here.

    The column of groups is called `organism` in the files of a study, whatever the groups are.

    Attributes:
        name: of one group, such as `organism`.
        plural: of several.
    """

    name: str = "organism"
    plural: str = "organisms"

    @property
    def is_organism(self) -> bool:
        """Whether they are organisms, whose names have spellings and abbreviations."""
        return self.name == Group.name

    @property
    def one(self) -> str:
        """The name with its article: `an organism`, `a family`."""
        return f"{'an' if self.name[0].lower() in 'aeiou' else 'a'} {self.name}"

    @property
    def others(self) -> str:
        """What small groups are called together: `other organisms`."""
        return f"other {self.plural}"


ORGANISMS = Group()
