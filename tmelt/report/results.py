"""The page's tables as rows of cells."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from tmelt.knobs import knobs_from_table
from tmelt.report.code import Diff, diff_scripts, shown_diff
from tmelt.report.figures.cost import cost_curves, leaders, token_name
from tmelt.report.figures.winners import BASELINE
from tmelt.report.inputs import Study
from tmelt.report.trial_page import knob_changes, read_script
from tmelt.report.words import DASH, anchor, count, dollars, interval, number, seconds, tidied, value

_WINNER_DIFF_ROWS = 400
_TOP = 12


def noted(columns: Sequence[str], rows: list[list[str]], texts: Sequence[int] = ()) -> "Table":
    """A table whose last column holds notes: said once below where all rows say the same, left out where none does."""
    notes = {row[-1] for row in rows}
    if len(notes) > 1:
        return Table([*columns, "note"], rows, texts=[*texts, len(columns)])
    (note,) = notes or {""}
    return Table(columns, [row[:-1] for row in rows], texts=texts, note=note)


@dataclass(frozen=True)
class Table:
    """Column names and rows of cells; the first cell of a row is its name."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    groups: Sequence[str] = ()  # a class per row
    texts: Sequence[int] = ()  # columns of words, which read from the left
    note: str = ""  # what holds for every row


def final_table(study: Study) -> Table:
    """What the study found: strategies, the baseline, trivial predictors, limits."""
    by_name = {row["strategy"]: row for row in study["strategies"].to_dicts()}
    gains = {
        row["a"]: interval(row["low"], row["high"], signed=True)
        for row in study["comparison"].filter((pl.col("b") == BASELINE) & (pl.col("metric") == "test_mae")).to_dicts()
    }
    rows, groups = [], []
    for name in study.strategies:
        row = by_name.get(name)
        if row is None:
            continue
        label = f"{name} (scripted)" if name in study.scripted else name
        rows.append(
            [
                label,
                number(row["test_mae"]),
                interval(row["test_low"], row["test_high"]),
                number(row["gain"], signed=True),
                gains.get(name, ""),
                number(row["val_mae"]),
                number(row["test_within_rho"]),
                number(row["optimism"], signed=True),
                f"{row['ok']} / {row['failed']}",
                seconds(row["fit_s"]),
                dollars(row["cost_usd"]),
            ]
        )
        groups.append("strategy")
    held = study.baseline
    mae = held["test_mae"]
    if mae is not None:
        rows.append(
            [
                "baseline (trial 0)",
                number(mae),
                interval(held["low"], held["high"]),
                "0",
                "",
                number(held["val_mae"]),
                number(held["test_within_rho"]),
                *[""] * 4,
            ]
        )
        groups.append("baseline")
    for row in study["floors"].to_dicts():
        rows.append(
            [
                row["label"],
                number(row["test_mae"]),
                interval(row["low"], row["high"]),
                number(row["test_mae"] - mae, signed=True) if None not in (mae, row["test_mae"]) else "",
                "",
                number(row["val_mae"]),
                number(row["test_within_rho"]) if row["kind"] != "bound" else "",
                *[""] * 4,
            ]
        )
        groups.append(row["kind"])
    columns = [
        "",
        "test MAE, °C",
        "95 % interval",
        "gain over baseline, °C",
        "95 % interval",
        "val MAE, °C",
        "ρ within organisms",
        "optimism, °C",
        "trials ok / failed",
        "training per search",
        "LLM cost per search",
    ]
    return Table(columns, rows, groups)


def winners_table(study: Study) -> Table:
    """One row per search: its winner and what the confirmation found."""
    place = {name: i for i, name in enumerate(study.strategies)}
    won = study["winners"].sort(pl.col("strategy").replace_strict(place, default=99), "trajectory")
    rows = [
        [
            f"{row['strategy']}, search {row['trajectory']}",
            str(row["iteration"]),
            row["origin"],
            number(row["search_val_mae"]),
            number(row["val_mae"]),
            number(row["test_mae"]),
            interval(row["test_low"], row["test_high"]),
            number(row["test_ensemble_mae"]),
            number(row["test_within_rho"]),
            number(row["overtuning"]),
            f"{row['confirmed_seeds']} of {row['confirmed_seeds'] + row['failed_seeds']}",
            row["note"] or "",
        ]
        for row in won.to_dicts()
    ]
    return noted(
        [
            "",
            "trial",
            "proposed by",
            "val MAE in the search",
            "val MAE confirmed",
            "test MAE confirmed",
            "95 % interval",
            "test MAE of the ensemble",
            "ρ within organisms",
            "overtuning",
            "fresh seeds ok",
        ],
        rows,
        texts=[2],
    )


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
    return [knob["name"] for knob in study.protocol["design"].get("knobs", [])]


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
    return Table(
        [
            "",
            "found by",
            "effect on test MAE, °C",
            "95 % interval",
            "evidence",
            "seeds",
            "winners with it",
            "training it adds per run",
        ],
        [
            [
                tidied(row["change"]),
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


def power_table(study: Study) -> Table:
    """How many searches each difference would need."""
    rows = study["power"].to_dicts()
    return noted(
        [
            "",
            "difference, °C",
            "SD between searches, °C",
            "searches now",
            "needed, power 80 %",
            "needed, power 90 %",
            "detectable now, °C",
        ],
        [
            [
                f"{row['a']} − {row['b']}",
                number(row["difference"], signed=True),
                number(row["sd"]),
                str(row["trajectories"]),
                value(row["needed_80"]),
                value(row["needed_90"]),
                number(row["detectable"]),
                row["note"] or "",
            ]
            for row in rows
        ],
    )


def comparison_table(study: Study) -> Table:
    """Every pair: difference, probability of improvement, test, and the areas under the curves."""
    areas = {
        (row["a"], row["b"]): row for row in study["comparison"].filter(pl.col("metric") == "auc").iter_rows(named=True)
    }
    rows = []
    for row in study["comparison"].filter(pl.col("metric") == "test_mae").to_dicts():
        area = areas.get((row["a"], row["b"]), {})
        chance = ""
        if row["b"] != BASELINE:
            low, high = (f"{100 * row[f'probability_{end}']:.0f}" for end in ("low", "high"))
            chance = f"{100 * row['probability']:.0f} % ({low} to {high})"
        rows.append(
            [
                f"{row['a']} − {row['b']}",
                f"{row['n_a']}, {row['n_b']}" if row["b"] != BASELINE else str(row["n_a"]),
                number(row["difference"], signed=True),
                interval(row["low"], row["high"], signed=True),
                chance,
                f"{row['p_holm']:.2g}" if row["p_holm"] is not None else DASH,
                row["verdict"] or "not tested",
                number(area.get("difference"), signed=True) if area else "",
                interval(area.get("low"), area.get("high"), signed=True) if area else "",
                row["note"] or "",
            ]
        )
    return noted(
        [
            "",
            "searches",
            "test MAE, °C",
            "95 % interval",
            "P(first better)",
            "p (Holm)",
            "verdict",
            "area under the curve, °C",
            "95 % interval",
        ],
        rows,
        texts=[6],
    )


_PLACE = {
    "trials": lambda value: f"trial {value:.0f}",
    "fit_s": seconds,
    "device_s": seconds,
    "total_usd": dollars,
}
_AXES = {
    "trials": "over trials",
    "fit_s": "over training time",
    "device_s": "over GPU time",
    "total_usd": "over dollars",
}


def efficiency_table(study: Study) -> Table:
    """How fast the searches of each strategy descend: mean incumbent error, and when the common target is reached."""
    rows = pl.concat([study["efficiency"], study["dollar_efficiency"]])
    axes = [axis for axis in _AXES if rows.filter(pl.col("axis") == axis)["auc"].drop_nulls().len()]
    cells = []
    for name in study.strategies:
        row = [name]
        for axis in axes:
            own = rows.filter((pl.col("strategy") == name) & (pl.col("axis") == axis))
            reached = own["time_to_target"].drop_nulls().sort()
            row.append(number(own["auc"].mean()))
            text = f"{len(reached)} of {len(own)}"
            if 2 * len(reached) > len(own):  # searches that never get there count as later than all
                text += f", {_PLACE[axis](reached[(len(own) - 1) // 2])}"
            row.append(text)
        cells.append(row)
    columns = [""]
    for axis in axes:
        columns += [f"mean error {_AXES[axis]}, °C", "reached target"]
    return Table(columns, cells)


def target_text(study: Study) -> str:
    """What the columns of `efficiency_table` mean."""
    rows = pl.concat([study["efficiency"], study["dollar_efficiency"]]).drop_nulls("auc")
    if not len(rows):
        return ""
    horizons = rows.unique("axis").to_dicts()
    ends = {row["axis"]: _PLACE[row["axis"]](row["horizon"]) for row in horizons}
    said = ", ".join(ends[axis] for axis in _AXES if axis in ends)
    return (
        "Area under the curve: the incumbent's validation MAE averaged from the start to where the shortest search "
        f"ended ({said}); mean over the searches of a strategy. Target: {number(rows['target'][0])} °C in validation, "
        "the median over all searches of where they ended; in how many searches it was reached, and the median search's"
        " time (of an even number the earlier of the two; searches that never got there count as later than all)."
    )


def attribution_table(study: Study) -> Table:
    """Each search's gain, its in-space share, and what re-running the winner's knobs in the baseline's script gave."""
    place = {name: i for i, name in enumerate(study.strategies)}
    shares = study["attribution"].sort(pl.col("strategy").replace_strict(place, default=99), "trajectory")

    def percent(share: float | None) -> str:
        return DASH if share is None else f"{100 * share:.0f} %"

    rows = []
    for row in shares.to_dicts():
        confirmed, projected = row["confirmed_gain"], row["projected_gain"]
        again = projected / confirmed if confirmed and projected is not None and confirmed < 0 else None
        rows.append(
            [
                f"{row['strategy']}, search {row['trajectory']}",
                str(row["kept"]),
                number(row["gain"], signed=True),
                percent(row["in_space_share"]),
                number(confirmed, signed=True),
                number(projected, signed=True),
                percent(again),
                f"trial {row['switch']}" if row["switch"] is not None else "never",
                row["note"] or "",
            ]
        )
    return noted(
        [
            "",
            "kept changes",
            "gain in validation, °C",
            "by knobs",
            "gain confirmed, °C",
            "knobs alone, re-run, °C",
            "by knobs, re-run",
            "script first changed",
        ],
        rows,
        texts=[7],
    )


def behaviour_table(study: Study) -> Table:
    """How each strategy proposes: step sizes, changes per trial, repeats, failures, foresight."""
    rows = []
    for name in study.strategies:
        own = study["behaviour"].filter((pl.col("strategy") == name) & (pl.col("iteration") > 0))
        judged = own.drop_nulls("came_true")
        if not len(own):
            continue
        edited = own.filter(pl.col("script_change").fill_null(0) > 0)
        scored = own.filter(pl.col("status") == "ok")
        rows.append(
            [
                name,
                str(len(own)),
                f"{own['changed_knobs'].drop_nulls().median() or 0:g}",
                number(own["step"].drop_nulls().median()),
                f"{100 * len(edited) / len(own):.0f} %",
                str(own["duplicate_of"].drop_nulls().len()),
                f"{100 * (1 - len(scored) / len(own)):.0f} %",
                f"{100 * (own['decision'] == 'keep').sum() / len(own):.0f} %",
                f"{int(judged['came_true'].sum())} of {len(judged)}" if len(judged) else DASH,
            ]
        )
    return Table(
        [
            "",
            "trials",
            "knobs changed (median)",
            "step (median)",
            "script edited",
            "repeats",
            "failed",
            "kept",
            "expectations come true",
        ],
        rows,
    )


def leaders_table(study: Study) -> Table:
    """Which strategy has the lowest median error for the money, at each drawn price, and where the lead changes."""
    shown, devices, levels = cost_curves(study)
    rows = []
    for level in levels:
        for price in devices:
            own = shown.filter((pl.col("compute_usd_per_h") == price) & (pl.col("token_price") == level))
            if not len(own):
                continue
            steps = leaders(own, study.strategies)
            words = steps[0][0]
            for strategy, usd in steps[1:]:
                words += f", from {dollars(usd)} on {strategy}"
            rows.append([token_name(level), f"{dollars(price)}/h", words, str(len(steps) - 1)])
    return Table(
        ["", "device", "lowest median validation MAE when little is spent, then", "crossovers"], rows, texts=[2]
    )


def cost_table(study: Study) -> Table:
    """Means over the searches of a strategy."""
    rows = []
    for name in study.strategies:
        own = study["cost"].filter(pl.col("strategy") == name)
        if not len(own):
            continue

        def mean(column: str, own: pl.DataFrame = own) -> float | None:
            return None if own[column].null_count() else own[column].mean()

        tokens = [mean("prompt_tokens"), mean("completion_tokens")]
        rows.append(
            [
                name,
                seconds(mean("fit_s")),
                seconds(mean("device_s")),
                dollars(mean("gpu_usd")),
                number(mean("llm_calls"), 1),
                "unknown" if None in tokens else f"{tokens[0]:,.0f} / {tokens[1]:,.0f}",
                dollars(mean("llm_usd")),
                dollars(mean("total_usd")),
            ]
        )
    return Table(["", "training", "GPU held", "computing", "LLM calls", "tokens in / out", "LLM", "total"], rows)


def cleaning_table(study: Study) -> Table:
    """What was done to the data before the split."""
    rows = [
        [row["what"], row["decision"], f"{row['rows']:,}", f"{row['left']:,}"]
        for row in study.cleaning.sort("step").to_dicts()
    ]
    return Table(["looked for", "done", "rows affected", "rows left"], rows)


def organism_table(study: Study) -> Table:
    """Proteins per organism and split."""
    organisms = study.facts.get("organisms") or {}
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
    for knob in knobs_from_table(study.protocol["design"].get("knobs", [])):
        condition = f"; only if {knob.when[0]} is {' or '.join(map(str, knob.when[1]))}" if knob.when else ""
        rows.append([knob.name, knob.range_text(), value(knob.default), knob.unit, knob.meaning + condition])
    return Table(["knob", "range", "default", "unit", "meaning"], rows)
