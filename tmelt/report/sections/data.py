"""The data: splits, cleaning, label audit, and openings of the hidden labels."""

from collections.abc import Iterator

from tmelt.report.blocks import Block, Heading, Table, Text, decimal, table_of
from tmelt.report.inputs import ReportStudy
from tmelt.report.sections.section import Section
from tmelt.report.words import count


def content(study: ReportStudy) -> Iterator[Block | None]:
    """What the study was made with."""
    yield Text(f"{study.facts.description}.", small=False)
    yield organism_table(study).labelled(f"Proteins per {study.group.name} and split", heading="Splits")
    yield cleaning_table(study).labelled("Cleaning", kind="words", heading="Cleaning")
    if not study.cleaning.height:
        yield "No cleaning table was written."
    yield audit_table(study).labelled("Label audit", kind="words", heading="Label audit")
    yield Heading("Vault")
    if not study.vault_log:
        yield Text("The test labels have not been opened.", small=False)
    yield vault_table(study).labelled(
        "Openings of the hidden labels",
        kind="words",
        above="Labels of validation, select, test and external sets are never in a process that runs a candidate. "
        "Those of test and of external sets were opened only as listed.",
    )


SECTION = Section("data", "Data", content)


def cleaning_table(study: ReportStudy) -> Table:
    """What was done to the data before the split."""
    return table_of(
        study.cleaning.sort("step").to_dicts(),
        ("check", "what"),
        ("action", "decision"),
        ("rows affected", lambda row: f"{row['rows']:,}"),
        ("rows left", lambda row: f"{row['left']:,}"),
    )


def audit_table(study: ReportStudy) -> Table:
    """The label audit: what was measured of the table, and against which threshold."""
    return table_of(
        study.audit.to_dicts(),
        ("check", "check"),
        ("result", "level"),
        ("finding", "text"),
        ("measured", decimal("measured")),
        ("threshold", decimal("threshold")),
    )


def organism_table(study: ReportStudy) -> Table:
    """Proteins per organism and split."""
    organisms = study.facts.organisms
    splits = list(study.splits)
    rows = [[name, *(f"{counts.get(split, 0):,}" for split in splits)] for name, counts in organisms.items()]
    rows.append(["all", *(f"{study.splits[split]:,}" for split in splits)])
    return Table([study.group.name, *splits], rows)


def vault_table(study: ReportStudy) -> Table:
    """Each opening of the hidden labels."""
    return table_of(
        study.vault_log,
        ("opening", lambda entry: str(entry.get("opening", ""))),
        ("time", lambda entry: entry.get("at", "")),
        ("rule", lambda entry: entry.get("rule", "")),
        ("reason", lambda entry: entry.get("why", "")),
        ("after", lambda entry: count(len(entry.get("searches", {})), "search", "searches")),
        ("scored", lambda entry: count(entry.get("runs", 0), "run")),
    )
