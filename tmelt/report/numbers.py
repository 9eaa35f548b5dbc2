"""What the figures leave to be read off, in numbers: pairs, power, speed, price, attribution, behaviour."""

from collections.abc import Mapping
from typing import Any

import polars as pl

from tmelt.evidence.comparison import BASELINE, REFERENCE
from tmelt.evidence.crossovers import LEAST
from tmelt.evidence.power import MOST
from tmelt.evidence.spread import LEAST as TESTED
from tmelt.integrity import LABELS
from tmelt.report.figures.cost import cost_curves, token_name
from tmelt.report.inputs import Study
from tmelt.report.tables import Table, noted
from tmelt.report.words import (
    DASH,
    difference,
    dollars,
    interval,
    listing,
    number,
    pair_text,
    percent,
    seconds,
    tidied,
    value,
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


def _needed(row: dict[str, Any], searches: int | None) -> str:
    return f"> {MOST}" if searches is None and row["sd"] is not None else value(searches)


def power_table(study: Study) -> Table:
    """How many searches each difference would need."""
    rows = study["power"].to_dicts()
    columns = [
        "", "difference, °C", "SD between searches, °C", "searches now", "least adjusted p now", "needed, power 80 %",
        "needed, power 90 %", "detectable now, °C",
    ]  # fmt: skip
    return noted(
        columns,
        [
            [
                f"{row['a']} − {row['b']}",
                number(row["difference"], signed=True),
                number(row["sd"]) + (f" ({interval(row['sd_low'], row['sd_high'])})" if row["sd"] is not None else ""),
                str(row["trajectories"]),
                "–" if row["attainable"] is None else f"{row['attainable']:.2g}",
                _needed(row, row["needed_80"]) + (f" (to {_needed(row, row['needed_80_high'])})" if row["sd"] else ""),
                _needed(row, row["needed_90"]),
                number(row["detectable"]),
                "" if row["sd"] is not None else row["note"] or "",
            ]
            for row in rows
        ],
    )


def comparison_table(study: Study) -> Table:
    """Every pair of strategies: difference, probability of improvement, test, and the areas under the curves."""
    areas = {
        (row["a"], row["b"]): row for row in study["comparison"].filter(pl.col("metric") == "auc").iter_rows(named=True)
    }
    rows = []
    pairs = study["comparison"].filter((pl.col("metric") == "test_mae") & ~pl.col("b").is_in([BASELINE, REFERENCE]))
    for row in pairs.to_dicts():
        area = areas.get((row["a"], row["b"]), {})
        probability = DASH
        if row["probability"] is not None:
            low, high = (f"{100 * row[f'probability_{end}']:.0f}" for end in ("low", "high"))
            probability = f"{100 * row['probability']:.0f} % ({low} to {high})"
        rows.append(
            [
                f"{row['a']} − {row['b']}",
                f"{_searches(row, 'a')}, {_searches(row, 'b')}",
                difference(row),
                interval(row["low"], row["high"], signed=True),
                probability,
                f"{row['p_adjusted']:.2g}" if row["p_adjusted"] is not None else DASH,
                row["verdict"] or "not tested",
                number(area.get("difference"), signed=True) if area else "",
                interval(area.get("low"), area.get("high"), signed=True) if area else "",
                row["note"] or "",
            ]
        )
    columns = [
        "", "searches", "test MAE, °C", "95 % interval", "P(first better)", "adjusted p", "verdict",
        "area under the curve, °C", "95 % interval",
    ]  # fmt: skip
    return noted(columns, rows, texts=[6])


def _searches(row: dict[str, Any], side: str) -> str:
    """The searches of one side, and how many of them are distinct where some are copies."""
    number_of, distinct = row[f"n_{side}"], row[f"distinct_{side}"]
    return str(number_of) if distinct == number_of else f"{number_of} ({distinct} distinct)"


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
    horizons = rows.unique("axis", maintain_order=True).to_dicts()
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
    shares = study["attribution"].sort(study.place(), "trajectory")

    rows = []
    for row in shares.to_dicts():
        rows.append(
            [
                f"{row['strategy']}, search {row['trajectory']}",
                str(row["kept"]),
                number(row["search_gain"], signed=True),
                percent(row["in_space_share"]),
                number(row["hyperparameters"], signed=True),
                number(row["structure"], signed=True),
                number(row["confirmed_gain"], signed=True),
                number(row["projected_gain"], signed=True),
                row["source"],
                f"trial {row['switch']}" if row["switch"] is not None else "never",
                row["note"] or "",
            ]
        )
    columns = [
        "", "kept changes", "gain by the search, °C", "by knobs", "by other constants, °C",
        "by structure, °C", "gain confirmed, °C", "knobs alone, re-run, °C",
        "split by", "script first changed",
    ]  # fmt: skip
    return noted(columns, rows, texts=[8, 9])


def interactions_table(study: Study) -> Table:
    """Shapley value of each change of the winners, and the interaction of the two largest."""
    rows = [
        [
            f"{row['strategy']}, search {row['trajectory']}",
            pair_text(row["change"], 60) if row["term"] == "pair" else tidied(row["change"]),
            number(row["effect"], signed=True),
            interval(row["low"], row["high"], signed=True),
            orders_text(row),
            str(row["seeds"]),
            row["note"] or "",
        ]
        for row in study["interactions"].sort(study.place(), "trajectory", "term", "effect").to_dicts()
    ]
    columns = ["", "change", "effect on test MAE, °C", "95 % interval", "orders", "seeds"]
    return noted(columns, rows, texts=[1, 4])


def orders_text(row: Mapping[str, Any]) -> str:
    """How many orders a row of `interactions` is a mean of."""
    if row["orders"] is None:
        return "given all others"
    return f"{'all ' if row['complete'] else ''}{row['orders']:,}{'' if row['complete'] else ' sampled'}"


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
        changed = own["changed_knobs"].median()
        rows.append(
            [
                name,
                str(len(own)),
                DASH if changed is None else f"{changed:g}",
                number(own["step"].median()),
                f"{100 * len(edited) / len(own):.0f} %",
                str(own["duplicate_of"].drop_nulls().len()),
                f"{100 * (1 - len(scored) / len(own)):.0f} %",
                f"{100 * (own['decision'] == 'keep').sum() / len(own):.0f} %",
                f"{int(judged['came_true'].sum())} of {len(judged)}" if len(judged) else DASH,
            ]
        )
    columns = [
        "", "trials", "knobs changed (median)", "step (median)", "script edited", "repeats", "failed", "kept",
        "expectations come true",
    ]  # fmt: skip
    return Table(columns, rows)


def integrity_table(study: Study) -> Table:
    """Trials with each integrity label, and those that became an incumbent, by strategy."""
    rows = []
    for name in study.strategies:
        own = {row["label"]: row for row in study["integrity"].filter(pl.col("strategy") == name).to_dicts()}
        if own:
            cells = [f"{own[label]['trials']} ({percent(own[label]['rate'])})" for label in LABELS]
            kept = sum(own[label]["incumbents"] for label in LABELS if label != "clean")
            rows.append([name, str(own["clean"]["of"]), *cells, str(kept)])
    rows += [[f"{name} (not tried)", *[DASH] * (len(LABELS) + 2)] for name in study.not_tried]
    return Table(["", "trials", *(label.replace("_", " ") for label in LABELS), "not clean, yet an incumbent"], rows)


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
                dollars(mean("compute_usd")),
                number(mean("llm_calls"), 1),
                "unknown" if None in tokens else f"{tokens[0]:,.0f} / {tokens[1]:,.0f}",
                dollars(mean("llm_usd")),
                dollars(mean("total_usd")),
            ]
        )
    return Table(["", "training", "GPU held", "computing", "LLM calls", "tokens in / out", "LLM", "total"], rows)


def crossovers_table(study: Study) -> Table:
    """The supported crossovers at the drawn prices."""
    _, devices, levels = cost_curves(study)
    found = study["crossovers"].filter(pl.col("compute_usd_per_h").is_in(devices) & pl.col("token_price").is_in(levels))
    rows = [
        [
            token_name(row["token_price"]),
            f"{dollars(row['compute_usd_per_h'])}/h",
            f"{row['b']} overtakes {row['a']}",
            dollars(row["usd"]),
            f"{100 * row['support']:.0f} %",
        ]
        for row in found.sort("token_price", "compute_usd_per_h", "usd").to_dicts()
    ]
    return Table(["", "device", "crossover", "from", "resamples that show it"], rows, texts=[2])


def crossovers_text(study: Study) -> str:
    """The supported crossovers at the prices as listed and recorded, in a sentence; empty without curves."""
    shown, devices, levels = cost_curves(study)
    if not len(shown) or shown["strategy"].n_unique() < 2:
        return ""
    if study.trajectories < LEAST:
        return (
            f"With fewer than {LEAST} searches per strategy nothing can be said about which strategy is ahead at which "
            "cost."
        )
    price = devices[len(devices) // 2]
    own = study["crossovers"].filter((pl.col("compute_usd_per_h") == price) & (pl.col("token_price") == levels[0]))
    where = f"With the device at {dollars(price)} an hour and {token_name(levels[0])}"
    if not len(own):
        return f"{where} no change of the lead is supported (bootstrap over searches, at least 95 % of resamples)."
    said = [f"{row['b']} overtakes {row['a']} from {dollars(row['usd'])} on" for row in own.sort("usd").to_dicts()]
    return (
        f"{where}, {listing(said)} (spent per search; validation MAE; each in at least 95 % of bootstrap resamples of "
        "the searches, not adjusted for the number of pairs)."
    )


def spread_text(study: Study) -> str:
    """Whether the strategies differ in how far their searches end apart, in a sentence; empty with one search each."""
    rows = study["spread"]
    if not len(rows) or int(rows["searches"].max()) < 2:
        return ""
    known = rows.drop_nulls("test_sd").sort(study.place())
    said = listing([f"{row['strategy']} {number(row['test_sd'])}" for row in known.to_dicts()])
    text = f"Standard deviation of the confirmed test MAE between distinct searches, °C: {said}. " if said else ""
    tested = rows.drop_nulls("p_value")
    if not len(tested):
        return text + (
            "Whether the strategies differ in it is not tested: that takes two strategies with at least "
            f"{TESTED} distinct searches."
        )
    p = float(tested["p_value"][0])
    verdict = "differ" if p < 0.05 else "are not shown to differ"
    return text + (
        f"The spreads of {listing(tested.sort(study.place())['strategy'].to_list())} {verdict} (Brown and Forsythe's "
        f"test of equal variance, p = {p:.2g})."
    )


def horizons_table(study: Study) -> Table:
    """Differences in test MAE of the retrained winners to the same winners at the search's own budget and data."""
    rows = [
        [
            f"{row['strategy']}, {row['level']:g}× the budget"
            if row["kind"] == "budget"
            else f"{row['strategy']}, {100 * row['level']:.0f} % of fit",
            str(row["winners"]),
            number(row["test_mae"]),
            number(row["difference"], signed=True),
            interval(row["difference_low"], row["difference_high"], signed=True),
            DASH if row["p_value"] is None else f"{row['p_value']:.2g}",
            row["covers"] or "",
            row["note"] or "",
        ]
        for row in study["horizons"].filter(pl.col("level") != 1).sort("kind", study.place(), "level").to_dicts()
    ]
    columns = ["", "winners", "test MAE, °C", "difference, °C", "95 % interval", "p", "interval covers"]
    return noted(columns, rows, texts=[6])
