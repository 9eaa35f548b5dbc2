"""A finished study's answer as text for a terminal: the sentences at the top of its page."""

import textwrap
from collections.abc import Iterator
from pathlib import Path

from tmelt.errors import InputError
from tmelt.study.protocol_record import read_protocol

WIDTH = 100


def answer(folder: Path) -> Iterator[str]:
    """Yield the finding, what qualifies it, and where the page, the model and the exports are.

    Args:
        folder: results/{study}.

    Raises:
        InputError: not a study's folder, or a study without a report yet.
    """
    page = folder / "report" / "report.html"
    if not (folder / "protocol.json").is_file():
        raise InputError(f"{folder}: not a study's folder (no protocol.json); give results/<study>")
    if not page.is_file():
        raise InputError(f"{folder}: no report yet; `tmelt status CONFIG` says what is being made")
    from tmelt.report.finding import finding
    from tmelt.report.inputs import read_report_study

    protocol = read_protocol(folder / "protocol.json")
    data = folder.parent / "data" / protocol.design.dataset
    study = read_report_study(study=folder, tables=folder / "tables", protocol=folder / "protocol.json", data=data)
    yield protocol.title or protocol.study
    for paragraph in finding(study):
        if paragraph:
            yield ""
            yield from textwrap.wrap(paragraph, WIDTH)
    yield ""
    for what, path in (
        ("report", page),
        ("model", folder / "bundle" / f"{protocol.study}.zip"),
        ("tables", folder / "export"),
    ):
        if path.exists():
            yield f"{what:<7} {path}"
