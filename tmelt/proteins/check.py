"""What a study would make of a table, without a study: `tmelt check`.

All faults at once, with their rows; what is read, kept, averaged and dropped; and the `data:` part of a config.
"""

import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl
import yaml

from tmelt.errors import InputError
from tmelt.export.csv_tables import write_csv
from tmelt.proteins.allows import allows
from tmelt.proteins.audit import Audited, Subject, audit, stop_line
from tmelt.proteins.clean import DROPPED, Cleaning, Protein, clean_records
from tmelt.proteins.columns import with_names
from tmelt.proteins.faults import Faults
from tmelt.proteins.read import Reading, read_all
from tmelt.proteins.split import split_proteins, take_subset
from tmelt.storage.files import atomic_path
from tmelt.study.config import Columns, Data

ROWS_SHOWN = 12  # row numbers of a step or a fault
WIDTH = 62


@dataclass
class Checked:
    """What was found in a table."""

    data: Data
    reading: Reading
    faults: Faults
    proteins: list[Protein] = field(default_factory=list)
    cleaning: Cleaning = field(default_factory=Cleaning)
    audited: list[Audited] = field(default_factory=list)
    split: dict[str, Any] | None = None  # facts about the split, as in data.json; None where it cannot be made


def read_and_clean(data: Data) -> Checked:
    """Read and clean a table, and note every fault on the way.

    Raises:
        InputError: the file is no table.
    """
    reading, faults = read_all(data)
    data = with_names(data, reading.found)
    checked = Checked(data, reading, faults)
    if not reading.records:
        return checked
    checked.proteins, checked.cleaning = clean_records(
        reading.records, reading.table, data, set_aside=reading.set_aside, repairs=reading.repairs, faults=faults
    )
    return checked


def check_table(data: Data) -> Checked:
    """Read, clean, split and audit a table, and note every fault on the way.

    Raises:
        InputError: the file is no table.
    """
    checked = read_and_clean(data)
    data, reading, faults = checked.data, checked.reading, checked.faults
    if checked.proteins:
        proteins = take_subset(checked.proteins, data)
        labels = families = error = None
        try:
            labels, checked.split, families = split_proteins(proteins, data)
        except InputError as caught:
            error = caught
        given = checked.split is not None and checked.split["method"] == "given"
        checked.audited = audit(Subject(proteins, reading, checked.cleaning, data, labels, families, given))
        for result in checked.audited:
            if result.level == "stop":
                faults.add(stop_line(result))
        if error is not None and len(faults.rows) < len(reading.records) / 2:  # otherwise the rows explain it
            faults.add_error(error)
    return checked


def describe(checked: Checked) -> list[str]:
    """The lines that `tmelt check` prints."""
    table, found = checked.reading.table, checked.reading.found
    lines = [f"{table.path}: {table.kind}, {len(table.rows)} rows"]
    lines += [f"  {note}" for note in found.notes()]
    if checked.cleaning.steps:
        lines += ["", *_steps(checked)]
    if checked.proteins:
        lines += ["", *_summary(checked)]
    if checked.split is not None:
        said = allows(checked.proteins, checked.split, checked.data)
        lines += ["", "what this allows", *(f"  {sentence}" for sentence in said)]
    if cautions := [result for result in checked.audited if result.level in ("caution", "accepted")]:
        lines += ["", f"{len(cautions)} caution{'s' * (len(cautions) > 1)} of the label audit, for the report"]
        lines += [f"  {result.check}: {result.text}" for result in cautions]
    lines += ["", *_faults(checked.faults)]
    return lines


def _steps(checked: Checked) -> list[str]:
    unit = checked.reading.table.unit
    touched: dict[str, list[int]] = {}
    for row in checked.cleaning.rows:
        touched.setdefault(str(row["what"]), []).append(int(row["row"]))
    lines = [f"{'cleaning':<{WIDTH}} {'rows':>8} {'left':>8}"]
    for step in checked.cleaning.steps:
        if not step["rows"]:
            continue
        what = f"  {step['what']}: {step['decision']}"
        lines.append(f"{what:<{WIDTH}} {step['rows']:>8,} {step['left']:>8,}")
        if rows := touched.get(str(step["what"]), []):
            more = f", … ({len(rows)} in all)" if len(rows) > ROWS_SHOWN else ""
            lines.append(f"    {unit}s {', '.join(map(str, rows[:ROWS_SHOWN]))}{more}")
    return lines


def _summary(checked: Checked) -> list[str]:
    proteins, target, plural = checked.proteins, checked.data.target.record, checked.data.groups.plural
    tms, lengths = sorted(protein.tm for protein in proteins), [len(protein.sequence) for protein in proteins]
    organisms = Counter(protein.organism for protein in proteins)
    unknown = organisms.pop(None, 0)
    repeated = sum(len(protein.rows) > 1 for protein in proteins)
    lines = [
        f"{len(proteins)} proteins, {min(lengths)} to {max(lengths)} residues, {len(organisms)} {plural}"
        + (f" ({unknown} proteins without one)" if unknown and organisms else ""),
        f"{target.plural} {target.amount(f'{tms[0]:.1f} to {tms[-1]:.1f}')}, "
        f"median {target.amount(f'{tms[len(tms) // 2]:.1f}')}; "
        f"{repeated} proteins are means of several rows",
    ]
    if checked.split is not None:
        counts = ", ".join(f"{count} {name}" for name, count in checked.split["counts"].items())
        lines.append(f"split {checked.split['method']}: {counts}; {checked.split['clusters']['count']} clusters")
    return lines


def _faults(faults: Faults) -> list[str]:
    if not faults.found:
        return ["no faults"]
    count = len(faults.found)
    lines = [f"{count} fault{'s' * (count > 1)}, of which a study names the first and stops:"]
    for fault in faults.found:
        lines.append(f"  {fault.line()}")
        if others := fault.others(ROWS_SHOWN):
            lines.append(f"    {others}")
    return lines


def data_block(data: Data, reading: Reading) -> str:
    """The `data:` part of a config for this table, as YAML: what was recognised is named."""
    told = data.model_dump(mode="json", exclude_unset=True, exclude={"columns"})
    columns: dict[str, Any] = {}
    for key in Columns.model_fields:
        name = reading.found.names.get(key)
        if data.column_key(key) != f"design.data.columns.{key}":
            continue  # said by the target or the group
        if key == "mutation" and "position" in reading.found.names:
            continue  # three columns, which are only found by their names
        if name is not None:
            columns[key] = name
        elif key in data.columns.model_fields_set and getattr(data.columns, key) is None:
            columns[key] = None
    block = {"data": told | {"columns": columns}}
    return str(yaml.safe_dump(block, sort_keys=False, allow_unicode=True, width=1000)).rstrip()


def write_cleaned(checked: Checked, path: Path) -> str:
    """Write the proteins, each once, as a table that a study reads without further settings.

    Returns:
        One line that says what was written and what was left out.

    Raises:
        InputError: the path is that of the source, has another ending, or cannot be written.
    """
    if path.suffix not in (".csv", ".parquet"):
        raise InputError(f"--cleaned: {path}: the name should end in .csv or .parquet")
    sources = [checked.data.source, *([checked.data.fasta] if checked.data.fasta else [])]
    if path.resolve() in {Path(source).resolve() for source in sources}:
        raise InputError(f"--cleaned: {path}: is the table itself; choose another name")
    columns = ["protein_id", "sequence", "tm", "organism", "split"]
    rows = [tuple(getattr(protein, key) for key in columns) for protein in checked.proteins]
    schema = {key: pl.Float64 if key == "tm" else pl.String for key in columns}
    frame = pl.DataFrame(rows, schema=schema, orient="row")
    frame = frame.drop([key for key in ("organism", "split") if frame[key].null_count() == len(frame)])
    named = {"tm": checked.data.target.column, "organism": checked.data.group and checked.data.group.column}
    frame = frame.rename({key: name for key, name in named.items() if name and key in frame.columns})
    try:
        if path.suffix == ".csv":
            write_csv(frame, path)
        else:
            with atomic_path(path) as temporary:
                frame.write_parquet(temporary)
    except OSError as error:
        raise InputError(f"--cleaned: {path}: cannot be written ({error.strerror or error})") from None
    faulty = len(checked.faults.rows)
    dropped = sum(int(step["rows"]) for step in checked.cleaning.steps if step["decision"] == DROPPED)
    return f"{path}: {len(frame)} proteins; left out: {dropped} rows dropped by cleaning, {faulty} rows with faults"


def settings_for(table: Path, config: Path | None, fasta: Path | None, columns: list[str]) -> Data:
    """The `data` part to check a table with.

    Args:
        table: the table.
        config: a study's config, or a file with its `data:` part; its source is replaced by `table`.
        fasta: FASTA with the sequences.
        columns: `key=name` each, as in design.data.columns; `key=null` for a column not to look for.

    Raises:
        InputError: an unreadable config, or an unknown key.
    """
    from tmelt.proteins.prepare import parse_data_config

    raw: dict[str, Any] = {}
    if config is not None:
        try:
            whole = yaml.safe_load(config.read_text(encoding="utf-8")) or {}
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise InputError(f"{config}: {' '.join(str(error).split())}") from None
        part = whole.get("design", whole) if isinstance(whole, dict) else None
        raw = part.get("data", part) if isinstance(part, dict) else None  # type: ignore[assignment]
        if not isinstance(raw, dict):
            raise InputError(f"{config}: holds no `data:` part")
    raw = {"name": _name(table), **raw, "source": str(table)}
    raw.pop("synthetic", None)
    if fasta is not None:
        raw["fasta"] = str(fasta)
    for told in columns:
        key, sign, name = told.partition("=")
        if not sign or key not in Columns.model_fields:
            raise InputError(f"--columns: {told!r}: expected key=name, with a key of {', '.join(Columns.model_fields)}")
        raw["columns"] = {**(raw.get("columns") or {}), key: None if name == "null" else name}
    return parse_data_config(raw, "tmelt check")


def _name(table: Path) -> str:
    """A name for the data set, from the file's."""
    name = re.sub(r"[^a-z0-9]+", "_", table.stem.lower()).strip("_")
    return name if re.match(r"[a-z]", name) else f"data_{name}".rstrip("_")
