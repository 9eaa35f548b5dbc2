"""From a chart to files and to a drawing inside the page."""

import re
from pathlib import Path

import altair as alt
import polars as pl
import vl_convert as vlc
from markupsafe import Markup

from tmelt.export.csv_tables import write_csv
from tmelt.report.figures.theme import COLOURS, PAPER, Figure, styled
from tmelt.storage.files import atomic_path, write_text

_VL_VERSION = ".".join(alt.SCHEMA_VERSION.lstrip("v").split(".")[:2])
# vl-convert completes relative links with its own address; they mean places of the page.
_LINK = re.compile(r'xlink:href="[^"#]*#')
_GEOMETRY = re.compile(r'(?<= )(?:d|transform|x2?|y2?|x1|y1|width|height|r)="[^"]*"')
_FONT = re.compile(r' font-family="[^"]*"')
_LONG_NUMBER = re.compile(r"-?\d+\.\d{3,}(?:e-?\d+)?")
_IDENTIFIER = re.compile(r'(?:(?<=\bid=")|(?<=url\(#))(clip|gradient_)(\d+)')
_VARIABLES = {re.compile(re.escape(colour), re.IGNORECASE): f"var(--{name})" for name, colour in COLOURS.items()}
PNG_SCALE = 2
_STRETCH = 1.12  # at most, of a drawing on the page


def svg_of(figure: Figure) -> str:
    """The figure as SVG, places rounded to 0.01 px; texts stay as they are."""
    with alt.data_transformers.enable("default", max_rows=None):
        specification = styled(figure.chart).to_dict()
    svg = vlc.vegalite_to_svg(specification, vl_version=_VL_VERSION)
    svg = _GEOMETRY.sub(lambda places: _LONG_NUMBER.sub(_rounded, places[0]), svg)
    # vl-convert numbers clip paths on through a process; the same figure has to give the same bytes.
    numbers: dict[str, int] = {}
    return _IDENTIFIER.sub(lambda name: f"{name[1]}{numbers.setdefault(name[0], len(numbers) + 1)}", svg)


def _rounded(match: re.Match[str]) -> str:
    return f"{float(match[0]):.2f}".rstrip("0").rstrip(".")


def inline(svg: str, figure: Figure) -> Markup:
    """An SVG for the page: its colours follow light and dark, its links lead to the page's sections.

    Args:
        svg: from `svg_of`; every text in it is already escaped.
    """
    svg = _LINK.sub('tabindex="-1" href="#', svg)
    svg = _IDENTIFIER.sub(rf"{figure.name}-\1\2", svg)
    for pattern, variable in _VARIABLES.items():
        svg = pattern.sub(variable, svg)
    svg = _FONT.sub("", svg)  # the style sheet names it once
    head, body = svg.split(">", 1)
    size = re.search(r'viewBox="[^"]*"', head)
    width = re.search(r'\bwidth="(\d+)', head)
    label = Markup.escape(figure.title)
    return Markup(
        f'<svg xmlns="http://www.w3.org/2000/svg" class="chart" role="group" aria-label="{label}" {size[0]}'
        f' style="max-width:{_STRETCH * int(width[1]):.0f}px">{body}'
    )


def write_files(figure: Figure, svg: str, folder: Path) -> None:
    """{name}.svg, {name}.png, and the data behind them as .parquet and .csv."""
    svg = _LINK.sub('xlink:href="../report.html#', svg).replace(PAPER, "#ffffff")
    write_text(folder / f"{figure.name}.svg", svg)
    unlinked = re.sub(r"</?a\b[^>]*>", "", svg)
    with atomic_path(folder / f"{figure.name}.png") as temporary:
        temporary.write_bytes(vlc.svg_to_png(unlinked, scale=PNG_SCALE))
    for name, frame in figure.data.items():
        with atomic_path(folder / f"{name}.parquet") as temporary:
            frame.write_parquet(temporary, compression="zstd")
        write_csv(_flat(frame), folder / f"{name}.csv")


def _flat(frame: pl.DataFrame) -> pl.DataFrame:
    """Lists as text: CSV has none."""
    lists = [name for name, kind in frame.schema.items() if isinstance(kind, pl.List)]
    return frame.with_columns(pl.col(name).cast(pl.List(pl.String)).list.join(", ") for name in lists)
