"""The result: test error of the winners, the baseline, reference predictors and external results."""

from collections.abc import Iterator, Mapping
from typing import Any

import polars as pl

from tmelt.evidence.comparison import BASELINE
from tmelt.report.blocks import Block, Table, decimal, table_of
from tmelt.report.figures.winners import figure_ranking
from tmelt.report.inputs import ReportStudy
from tmelt.report.sections.section import Section
from tmelt.report.words import DASH, difference, dollars, interval, number, seconds


def content(study: ReportStudy) -> Iterator[Block | None]:
    """The final table, external references, and all of them on one axis."""
    notes = study["strategies"].drop_nulls("note")["note"].unique(maintain_order=True).to_list()
    yield final_table(study).labelled(
        "Final table",
        kind="numbers final",
        below="Test MAE: mean over searches of the winners, retrained on fresh seeds. Gain: against the retrained "
        "baseline, negative is better. Optimism: the gain in validation that did not carry over to proteins which no "
        "search saw. – means not measured." + "".join(f" {note[0].upper()}{note[1:]}." for note in notes if note),
    )
    yield references_table(study).labelled(
        "External references",
        heading="External references",
        below="As reported by their sources, on other data or another split: an orientation, not a comparison.",
    )
    yield figure_ranking(study)


SECTION = Section("result", "Result", content, "no winner was confirmed and no reference predictor measured.")


def _final_columns(study: ReportStudy) -> list[str]:
    return [
        "", study.head("test MAE"), "95 % interval", study.head("gain over baseline"), "95 % interval",
        study.head("val MAE"), f"ρ within {study.group.plural}", study.head("optimism"), "trials ok / failed",
        "training per search", "LLM cost per search",
    ]  # fmt: skip


def final_table(study: ReportStudy) -> Table:
    """What the study found: strategies, the baseline, reference predictors, oracles."""
    rows = [("strategy", row) for row in _strategy_rows(study)]
    rows += [("strategy", [f"{name} (not tried)", DASH]) for name in study.not_tried]
    held = study.baseline
    if held["test_mae"] is not None:
        cells = [
            "baseline (trial 0)",
            number(held["test_mae"]),
            interval(held["low"], held["high"]),
            "0",
            "",
            number(held["val_mae"]),
            number(held["test_within_rho"]),
        ]
        rows.append(("baseline", cells))
    rows += [(row["kind"], _floor_cells(row, held["test_mae"])) for row in study["floors"].to_dicts()]
    columns = _final_columns(study)
    filled = [[*cells, *[""] * (len(columns) - len(cells))] for _, cells in rows]
    return Table(columns, filled, [group for group, _ in rows])


def references_table(study: ReportStudy) -> Table:
    """External results from the config, with their sources."""
    return table_of(
        study.references,
        ("", "name"),
        (study.head("test MAE"), decimal("mae")),
        ("trainable parameters", lambda row: DASH if row["parameters"] is None else f"{row['parameters']:,}"),
        ("source", "source"),
        words=["source"],
    )


def _strategy_rows(study: ReportStudy) -> list[list[str]]:
    """The cells of each strategy."""
    against = study["comparison"].filter((pl.col("b") == BASELINE) & (pl.col("metric") == "test_mae"))
    gains = {row["a"]: (difference(row), interval(row["low"], row["high"], signed=True)) for row in against.to_dicts()}
    return [
        [
            f"{row['strategy']} (scripted)" if row["strategy"] in study.scripted else row["strategy"],
            number(row["test_mae"]),
            interval(row["test_low"], row["test_high"]),
            *gains.get(row["strategy"], (DASH, "")),
            number(row["val_mae"]),
            number(row["test_within_rho"]),
            number(row["optimism"], signed=True),
            f"{row['ok']} / {row['failed']}",
            seconds(row["fit_s"]),
            dollars(row["cost_usd"]),
        ]
        for row in study["strategies"].sort(study.place()).to_dicts()
    ]


def _floor_cells(row: Mapping[str, Any], baseline: float | None) -> list[str]:
    """The cells of a reference predictor or an oracle; `baseline`: test MAE of the confirmed baseline."""
    gain = None if None in (baseline, row["test_mae"]) else row["test_mae"] - baseline
    return [
        row["label"],
        number(row["test_mae"]),
        interval(row["low"], row["high"]),
        "" if gain is None else number(gain, signed=True),
        "",
        number(row["val_mae"]),
        number(row["test_within_rho"]) if row["kind"] != "bound" else "",
    ]
