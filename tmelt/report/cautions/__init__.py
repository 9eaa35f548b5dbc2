"""What a reader must know before any number, computed from what was recorded: one module per kind of caution."""

from tmelt.report.cautions.caution import LEVELS, Caution, Group
from tmelt.report.cautions.data import data
from tmelt.report.cautions.external import external
from tmelt.report.cautions.integrity import integrity
from tmelt.report.cautions.replication import replication
from tmelt.report.cautions.searches import searches
from tmelt.report.controls import control_notes
from tmelt.report.inputs import ReportStudy

_TITLES = {
    "integrity": "Integrity",
    "data": "Simulated parts and data",
    "controls": "Controls",
    "replication": "What the intervals do not cover",
    "searches": "How the searches ran",
}


def cautions(study: ReportStudy) -> list[Caution]:
    """All cautions, by group and within a group in order of weight."""
    controls = (Caution(level, "controls", title, text) for level, title, text in control_notes(study))
    return [*integrity(study), *data(study), *external(study), *controls, *replication(study), *searches(study)]


def grouped(study: ReportStudy) -> list[Group]:
    """The lines of the first screen: cautions of one kind together, the heaviest first."""
    found = cautions(study)
    groups = [
        Group(title, [caution for caution in found if caution.group == name])
        for name, title in _TITLES.items()
        if any(caution.group == name for caution in found)
    ]
    return sorted(groups, key=lambda group: LEVELS.index(group.level))


__all__ = ["Caution", "Group", "cautions", "grouped"]
