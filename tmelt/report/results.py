"""The tables of what was found and done: final, winners, their knobs and scripts, improvements, data, openings."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from tmelt.evidence.comparison import BASELINE
from tmelt.report.code import Diff, diff_scripts, shown_diff
from tmelt.report.inputs import Study
from tmelt.report.tables import Table, noted
from tmelt.report.trial_page import knob_changes, read_script
from tmelt.report.words import (
    DASH,
    anchor,
    count,
    difference,
    dollars,
    interval,
    number,
    seconds,
    shortened,
    tidied,
    value,
)

_WINNER_DIFF_ROWS = 400
_TOP = 12


_FINAL_COLUMNS = (
    "", "test MAE, °C", "95 % interval", "gain over baseline, °C", "95 % interval", "val MAE, °C",
    "ρ within organisms", "optimism, °C", "trials ok / failed", "training per search", "LLM cost per search",
)  # fmt: skip


def final_table(study: Study) -> Table:
    """What the study found: strategies, the baseline, reference predictors, oracles."""
    rows = [("strategy", row) for row in _strategy_rows(study)]
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
    filled = [[*cells, *[""] * (len(_FINAL_COLUMNS) - len(cells))] for _, cells in rows]
    return Table(_FINAL_COLUMNS, filled, [group for group, _ in rows])


def references_table(study: Study) -> Table:
    """External results from the config, with their sources."""
    rows = [
        [
            row["name"],
            number(row["mae"]),
            DASH if row["parameters"] is None else f"{row['parameters']:,}",
            row["source"],
        ]
        for row in study.references
    ]
    return Table(["", "test MAE, °C", "trainable parameters", "source"], rows, texts=[3])


def _strategy_rows(study: Study) -> list[list[str]]:
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


def winners_table(study: Study) -> Table:
    """One row per search: its winner and what the confirmation found."""
    won = study["winners"].sort(study.place(), "trajectory")
    rows = [
        [
            f"{row['strategy']}, search {row['trajectory']}",
            str(row["iteration"]),
            row["origin"],
            number(row["search_val_mae"]),
            number(row["select_mae"]),
            number(row["val_mae"]),
            number(row["test_mae"]),
            interval(row["test_low"], row["test_high"]),
            number(row["test_ensemble_mae"]),
            number(row["test_within_rho"]),
            number(row["optimism"], signed=True),
            interval(row["optimism_low"], row["optimism_high"], signed=True),
            f"{row['confirmed_seeds']} of {row['confirmed_seeds'] + row['failed_seeds']}",
            row["note"] or "",
        ]
        for row in won.to_dicts()
    ]
    columns = [
        "", "trial", "proposed by", "val MAE in the search", "select MAE in the search", "val MAE confirmed",
        "test MAE confirmed", "95 % interval", "test MAE of the ensemble", "ρ within organisms", "optimism",
        "95 % interval", "fresh seeds ok",
    ]  # fmt: skip
    return noted(columns, rows, texts=[2])


def choices_table(study: Study) -> Table:
    """The incumbents that each winner was chosen from."""
    rows = [
        [
            f"{row['strategy']}, search {row['trajectory']}",
            str(row["iteration"]),
            "last" if row["place"] == 1 else f"{row['place'] - 1} before",
            number(row["search_val_mae"]),
            number(row["select_mae"]),
            "winner" if row["chosen"] else "",
            number(row["test_mae"]),
            interval(row["test_low"], row["test_high"]),
            "" if row["chosen"] else number(row["difference"], signed=True),
            interval(row["low"], row["high"], signed=True),
        ]
        for row in study["choices"].sort(study.place(), "trajectory", "place").to_dicts()
    ]
    columns = [
        "", "trial", "incumbent", "val MAE in the search", "select MAE in the search", "chosen", "test MAE confirmed",
        "95 % interval", "against the winner, °C", "95 % interval",
    ]  # fmt: skip
    return Table(columns, rows, texts=[2, 5])


_CHANGES = {
    "noise": "noise on the embedding",
    "trimmed": "one residue missing",
    "swapped": "similar residues exchanged",
    "joined": "joined to another protein",
}


def robustness_table(study: Study) -> Table:
    """Error of each winner and the baseline on slightly changed proteins, one row per kind of change."""
    rows = [
        [
            "baseline (trial 0)" if row["role"] == "baseline" else f"{row['strategy']}, search {row['trajectory']}",
            _CHANGES.get(row["kind"], DASH),
            number(row["change"]),
            number(row["mae"]),
            number(row["mae_changed"]),
            DASH if row["lost"] is None else f"{number(row['lost'], signed=True)} (SE {number(row['lost_se'])})",
            DASH if row["flagged"] is None else "recognises proteins" if row["flagged"] else "no sign",
            tidied(row["note"] or ""),
        ]
        for row in study["robustness"].sort(study.place(), "trajectory", maintain_order=True).to_dicts()
    ]
    columns = [
        "", "change", "mean change of predictions, °C", "MAE before, °C", "MAE after, °C", "accuracy lost, °C",
        "verdict",
    ]  # fmt: skip
    return noted(columns, rows, texts=[1, 6])


@dataclass(frozen=True)
class WinnerScript:
    """The script of a winner against the reference."""

    title: str
    anchor: str
    diff: Diff | None
    note: str


def knob_table(study: Study) -> Table:
    """Knobs in which a shown winner differs from the baseline; a dot where it does not."""
    baseline = study["trials"].filter(pl.col("iteration") == 0)
    if not len(baseline) or not study.best:
        return Table([], [])
    start = baseline.row(0, named=True)
    names = [name for name in study.strategies if name in study.best]
    changed = {name: {knob: after for knob, _, after in knob_changes(start, study.best[name])} for name in names}
    known = json.loads(start["knobs"])
    ordered = [knob for knob in _knob_order(study) if any(knob in part for part in changed.values())]
    own = sorted({knob for part in changed.values() for knob in part} - set(ordered))
    rows = [
        [knob, value(known.get(knob)), *(changed[name].get(knob, "·") for name in names)] for knob in [*ordered, *own]
    ]
    heads = [
        f"{name} (search {study.best[name]['trajectory']}, trial {study.best[name]['iteration']})" for name in names
    ]
    return Table(["knob", "baseline", *heads], rows)


def _knob_order(study: Study) -> list[str]:
    return [knob.name for knob in study.protocol.space]


def winner_scripts(study: Study) -> list[WinnerScript]:
    """The shown winners that changed the script, each against the reference script."""
    found = []
    for name, row in ((name, study.best[name]) for name in study.strategies if name in study.best):
        if row["script"] == study.reference:
            continue
        folder = study.folder / name / f"t{row['trajectory']}"
        paths = [folder / "i0" / "train.py", folder / f"i{row['iteration']}" / "train.py"]
        title = f"{name}, search {row['trajectory']}, trial {row['iteration']}"
        link = anchor(name, row["trajectory"], row["iteration"])
        missing = [path for path in paths if not path.is_file()]
        if missing:
            found.append(WinnerScript(title, link, None, f"{missing[0].relative_to(study.folder)} is not there"))
            continue
        diff = diff_scripts(read_script(paths[0]), read_script(paths[1]), _WINNER_DIFF_ROWS)
        found.append(WinnerScript(title, link, diff, f"{diff.added} lines added, {diff.removed} removed"))
    return found


def improvements_table(study: Study) -> Table:
    """The first changes by the cautious end of their interval."""
    rows = study["improvements"].sort("rank").head(_TOP)
    columns = [
        "", "found by", "effect on test MAE, °C", "95 % interval", "evidence", "seeds", "winners with it",
        "training it adds per run",
    ]  # fmt: skip
    return Table(
        columns,
        [
            [
                shortened(tidied(row["change"]), 60),
                f"{row['strategy']}, search {row['trajectory']}, trial {row['iteration']}",
                number(row["effect"], signed=True),
                interval(row["low"], row["high"], signed=True),
                row["evidence"] or "",
                str(row["seeds"] or 0),
                str(row["found_in"]),
                f"{number(row['cost_fit_s'], 1, signed=True)} s",
            ]
            for row in rows.to_dicts()
        ],
        texts=[1, 4],
    )


@dataclass(frozen=True)
class ChangeDiff:
    """What a change of the script that was left out alone consists of."""

    title: str
    anchor: str
    diff: Diff
    note: str


def improvement_diffs(study: Study) -> list[ChangeDiff]:
    """The changes of scripts among the first improvements, with their lines."""
    rows = study["improvements"].sort("rank").filter(pl.col("part") == "script").head(_TOP)
    found = []
    for row in rows.to_dicts():
        diff = shown_diff(row["diff"], _WINNER_DIFF_ROWS)
        where = f"{row['strategy']}, search {row['trajectory']}, trial {row['iteration']}"
        effect = (
            f"{number(row['effect'], signed=True)} °C, {row['evidence']}" if row["effect"] is not None else "not run"
        )
        note = f"{where}; {effect}; {diff.added} lines added, {diff.removed} removed"
        link = anchor(row["strategy"], row["trajectory"], row["iteration"])
        found.append(ChangeDiff(f"{row['rank']}. {tidied(row['change'])}", link, diff, note))
    return found


def cleaning_table(study: Study) -> Table:
    """What was done to the data before the split."""
    rows = [
        [row["what"], row["decision"], f"{row['rows']:,}", f"{row['left']:,}"]
        for row in study.cleaning.sort("step").to_dicts()
    ]
    return Table(["looked for", "done", "rows affected", "rows left"], rows)


def audit_table(study: Study) -> Table:
    """The label audit: what was measured of the table, and against which threshold."""
    rows = [
        [row["check"], row["level"], number(row["measured"]), number(row["threshold"]), row["text"]]
        for row in study.audit.to_dicts()
    ]
    return Table(["check", "result", "measured", "threshold", "found"], rows)


def organism_table(study: Study) -> Table:
    """Proteins per organism and split."""
    organisms = study.facts.organisms
    splits = list(study.splits)
    rows = [[name, *(f"{counts.get(split, 0):,}" for split in splits)] for name, counts in organisms.items()]
    rows.append(["all", *(f"{study.splits[split]:,}" for split in splits)])
    return Table(["organism", *splits], rows)


def vault_table(study: Study) -> Table:
    """Each opening of the hidden labels."""
    rows = [
        [
            str(entry.get("opening", "")),
            entry.get("at", ""),
            entry.get("rule", ""),
            entry.get("why", ""),
            count(len(entry.get("searches", {})), "search", "searches"),
            count(entry.get("runs", 0), "run"),
        ]
        for entry in study.vault_log
    ]
    return Table(["opening", "when", "by", "why", "after", "scored"], rows)


def search_space_table(study: Study) -> Table:
    """The knobs of the reference candidate."""
    rows: list[list[Any]] = []
    for knob in study.protocol.space:
        condition = f"; only if {knob.when[0]} is {' or '.join(map(str, knob.when[1]))}" if knob.when else ""
        rows.append([knob.name, knob.range_text(), value(knob.default), knob.unit, knob.meaning + condition])
    return Table(["knob", "range", "default", "unit", "meaning"], rows)
