"""The sections of the page, each a module with its title and its content in the order in which it is read.

The order of SECTIONS is that of the questions: who, by how much, at what price, why; then what it takes to judge.
"""

from tmelt.report.sections import (
    attribution,
    behaviour,
    coders,
    comparison,
    cost,
    data,
    external,
    generalisation,
    methods,
    result,
    searches,
    winners,
)
from tmelt.report.sections.section import Section

SECTIONS: tuple[Section, ...] = (
    result.SECTION,
    comparison.SECTION,
    searches.SECTION,
    winners.SECTION,
    external.SECTION,
    cost.SECTION,
    attribution.SECTION,
    generalisation.SECTION,
    behaviour.SECTION,
    coders.SECTION,
    data.SECTION,
    methods.SECTION,
)
