"""The page of a study: sections of figures, tables and text, written as one file that needs nothing else."""

import base64
import hashlib
import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from tmelt.evidence.verdict import FEW
from tmelt.files import write_text
from tmelt.report import numbers, results
from tmelt.report.cautions import grouped
from tmelt.report.code import syntax_css
from tmelt.report.figures import (
    agreement,
    attribution,
    behaviour,
    comparison,
    confirmation,
    cost,
    generalisation,
    search,
    winners,
)
from tmelt.report.figures.theme import NARROW, WIDE, Figure
from tmelt.report.finding import finding, power
from tmelt.report.inputs import Study, read_study
from tmelt.report.methods import methods, methods_paragraph
from tmelt.report.render import inline, svg_of, write_files
from tmelt.report.trial_page import chosen_trials, trial_sections, validation_drawings
from tmelt.report.words import shortened
from tmelt.safe_text import for_html

_HERE = Path(__file__).parent
Drawer = Callable[[Study, int], Figure | None]


@dataclass(frozen=True)
class Drawing:
    """A figure on the page, drawn for wide and for narrow screens."""

    figure: Figure
    number: str  # as the caption says it: 2, or 2a where one of several is shown
    wide: Markup
    narrow: Markup


@dataclass
class Section:
    """A part of the page."""

    anchor: str
    title: str
    drawings: list[Drawing] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)  # why something is left out


# anchor, title, figures, why the section has none; in the order of the questions: who, by how much, at what price, why
SECTIONS: tuple[tuple[str, str, Sequence[Drawer], str], ...] = (
    ("result", "Result", (winners.figure_ranking,), "no winner was confirmed and no reference predictor measured."),
    (
        "comparison",
        "Strategies compared",
        (comparison.figure_comparison,),
        "no pair of strategies has confirmed winners.",
    ),
    (
        "search",
        "The searches",
        (search.figure_trials, confirmation.figure_optimism, agreement.figure_agreement, agreement.figure_gap),
        "no trial was scored.",
    ),
    (
        "winners",
        "The winners",
        (winners.figure_predicted, winners.figure_within, winners.figure_errors),
        "no winner was confirmed on fresh seeds.",
    ),
    ("cost", "What it cost", (cost.figure_cost,), "nothing was spent that has a known price."),
    (
        "attribution",
        "Why they won",
        (
            attribution.figure_attribution,
            attribution.figure_kinds,
            attribution.figure_changes,
            attribution.figure_improvements,
            attribution.figure_interactions,
            attribution.figure_importance,
        ),
        "no change was kept.",
    ),
    (
        "generalisation",
        "Generalisation and calibration",
        (
            generalisation.figure_levels,
            generalisation.figure_left_out,
            generalisation.figure_calibration,
            generalisation.figure_coverage,
        ),
        "the winners were not retrained with other budgets or data.",
    ),
    (
        "behaviour",
        "How they searched",
        (
            behaviour.figure_steps,
            behaviour.figure_categories,
            behaviour.figure_complexity,
            behaviour.figure_failures,
            behaviour.figure_expectations,
            behaviour.figure_pareto,
        ),
        "no trial followed the baseline.",
    ),
)


def write_report(
    *,
    study: Path,
    tables: Path,
    protocol: Path,
    data: Path,
    folder: Path,
    configs: Sequence[str] = (),
    references: Sequence[Mapping[str, Any]] = (),
) -> Path:
    """Write report.html and figures/ into `folder`; returns the page's path.

    Args:
        study: results/{study}: trials' folders, strategies' settings, the vault's log.
        tables: the folder of tmelt.evidence.make.TABLES as Parquet.
        protocol: the study's protocol.json.
        data: results/data/{dataset}: data.json, cleaning.parquet.
        configs: names of the config files that the study is run with, for the methods.
        references: external results to show beside the study's (tmelt.config.Reference as dictionaries).

    Raises:
        InputError: a table or file that is missing or damaged.
    """
    read = read_study(study=study, tables=tables, protocol=protocol, data=data, configs=configs, references=references)
    sections, tabs = draw(read, folder / "figures")
    page = folder / "report.html"
    write_text(page, render_page(read, sections, tabs))
    return page


def draw(study: Study, folder: Path) -> tuple[list[Section], list[Drawing]]:
    """All sections with their figures, and the incumbent curves along each axis; files into `folder`."""
    places = itertools.count(1)

    def drawn(function: Drawer, number: str) -> Drawing | None:
        wide, narrow = function(study, WIDE), function(study, NARROW)
        if wide is None or narrow is None:
            return None
        svg = svg_of(wide)
        write_files(wide, svg, folder)
        return Drawing(wide, number, inline(svg, wide, "wide"), inline(svg_of(narrow), narrow, "narrow"))

    sections: list[Section] = []
    tabs: list[Drawing] = []
    for anchor, title, functions, why in SECTIONS:
        section = Section(anchor, title)
        if anchor == "search" and (axes := search.axes_of(study)):
            number = next(places)
            for axis, letter in zip(axes, "abcd", strict=False):
                along = partial(search.figure_incumbents, axis=axis)
                tabs += filter(None, [drawn(along, f"{number}{letter}" if len(axes) > 1 else str(number))])
        for function in functions:
            drawing = drawn(function, "")
            if drawing:
                section.drawings.append(replace(drawing, number=str(next(places))))
        if not section.drawings and not (anchor == "search" and tabs):
            section.missing.append(f"There is nothing to show: {why}")
        sections.append(section)
    return sections, tabs


def render_page(study: Study, sections: Sequence[Section], tabs: Sequence[Drawing]) -> str:
    """The page's HTML."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE),
        autoescape=True,
        finalize=lambda value: for_html(value) if isinstance(value, str) else value,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    script = (_HERE / "script.js").read_text(encoding="utf-8")
    style = (_HERE / "style.css").read_text(encoding="utf-8") + syntax_css()
    shown, told = chosen_trials(study)
    drawings, drawn = validation_drawings(study, shown)
    trials = trial_sections(study, shown, drawings)
    searches: dict[tuple[str, int], list[Any]] = {}
    for trial in trials:
        searches.setdefault((trial.strategy, trial.trajectory), []).append(trial)
    title = study.protocol.title or study.protocol.study
    return environment.get_template("page.html.j2").render(
        study=study,
        few=FEW,
        title=title,
        short_title=shortened(title, 90),
        style=Markup(style),
        script=Markup(script),
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        cautions=grouped(study),
        finding=finding(study),
        methods=methods(study),
        methods_paragraph=methods_paragraph(study),
        power=power(study),
        sections=sections,
        tabs=tabs,
        results=results,
        numbers=numbers,
        searches=searches,
        trials_told=" ".join(filter(None, [told, drawn])),
    )
