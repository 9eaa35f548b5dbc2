"""The page of a study: sections of figures, tables and text, written as one file that needs nothing else."""

import base64
import hashlib
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from markupsafe import Markup

from tmelt.report.blocks import Block, Fold, Heading, Table, Tabs, Terms, Text, present
from tmelt.report.cautions import grouped
from tmelt.report.code import Diff, syntax_css
from tmelt.report.figures.theme import Figure
from tmelt.report.finding import finding
from tmelt.report.inputs import ReportStudy, read_report_study
from tmelt.report.render import inline, svg_of, write_files
from tmelt.report.sections import SECTIONS
from tmelt.report.sections.section import Section
from tmelt.report.templates import page_environment
from tmelt.report.trial_page import chosen_trials, trial_sections, validation_drawings
from tmelt.report.words import shortened
from tmelt.storage.files import write_text

_HERE = Path(__file__).parent


@dataclass(frozen=True)
class Drawing:
    """A figure on the page."""

    figure: Figure
    number: str  # as the caption says it: 2, or 2a where one of several is shown
    svg: Markup
    tab: str = ""  # title of its tab


@dataclass(frozen=True)
class Part:
    """A section of one study: its blocks, figures drawn."""

    anchor: str
    title: str
    blocks: Sequence["Block | Drawing | list[Drawing]"]


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
        references: external results to show beside the study's (tmelt.study.config.Reference as dictionaries).

    Raises:
        InputError: a table or file that is missing or damaged.
    """
    read = read_report_study(
        study=study, tables=tables, protocol=protocol, data=data, configs=configs, references=references
    )
    parts = draw(read, folder / "figures")
    page = folder / "report.html"
    write_text(page, render_page(read, parts))
    return page


def draw(study: ReportStudy, folder: Path) -> list[Part]:
    """All sections with their figures; writes the figures' files into `folder`."""
    numbers = itertools.count(1)
    parts = [
        (section, Part(section.anchor, section.title, list(_drawn(_blocks(study, section), folder, numbers))))
        for section in SECTIONS
    ]
    return [part for section, part in parts if part.blocks or not section.optional]


def _blocks(study: ReportStudy, section: Section) -> Iterator[Block]:
    """The blocks of a section, and the reason where figures are missing."""
    blocks = present(section.content(study))
    yield from blocks
    if section.missing and not any(isinstance(block, Figure | Tabs) for block in blocks):
        yield f"There is nothing to show: {section.missing}"


def _drawn(
    blocks: Iterator[Block], folder: Path, numbers: Iterator[int]
) -> Iterator["Block | Drawing | list[Drawing]"]:
    """The blocks with each figure drawn and numbered."""
    for block in blocks:
        if isinstance(block, Figure):
            yield draw_figure(block, folder, str(next(numbers)))
        elif isinstance(block, Tabs):
            number = next(numbers)
            letters = "abcdefgh" if len(block.figures) > 1 else [""]
            yield [
                draw_figure(figure, folder, f"{number}{letter}", title)
                for figure, title, letter in zip(block.figures, block.titles, letters, strict=False)
            ]
        else:
            yield block


def draw_figure(figure: Figure, folder: Path, number: str = "", tab: str = "") -> Drawing:
    """Draw a figure, write its files into `folder`."""
    svg = svg_of(figure)
    write_files(figure, svg, folder)
    return Drawing(figure, number, inline(svg, figure), tab)


def render_page(study: ReportStudy, parts: Sequence[Part]) -> str:
    """The page's HTML."""
    environment = page_environment(_HERE)
    kinds = {"text": Text, "heading": Heading, "table": Table, "terms": Terms, "diff": Diff, "fold": Fold}
    for name, kind in (kinds | {"drawing": Drawing, "tabs": list}).items():
        environment.tests[name] = partial(_is, kind)
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
        title=title,
        short_title=shortened(title, 90),
        style=Markup(style),
        script=Markup(script),
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        cautions=grouped(study),
        finding=finding(study),
        parts=parts,
        searches=searches,
        trials_told=" ".join(filter(None, [told, drawn])),
    )


def _is(kind: type, block: object) -> bool:
    return isinstance(block, kind)
