"""A section of the page, as its module declares it."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from tmelt.report.blocks import Block
from tmelt.report.inputs import ReportStudy


@dataclass(frozen=True)
class Section:
    """Title and content.

    Attributes:
        anchor: id on the page.
        content: the blocks for a study; None and empty tables are left out.
        missing: why the section has no figure, where it should have one.
        optional: whether the section is left out where it shows nothing.
    """

    anchor: str
    title: str
    content: Callable[[ReportStudy], Iterable[Block | None]]
    missing: str = ""
    optional: bool = False
