"""Cost against error."""

from collections.abc import Iterator

import polars as pl

from tmelt.evidence.crossovers import LEAST
from tmelt.report.blocks import Block, Table, Text, table_of
from tmelt.report.figures.cost import cost_curves, figure_cost, token_name
from tmelt.report.inputs import ReportStudy
from tmelt.report.sections.section import Section
from tmelt.report.words import dollars, listing, number, percent, seconds


def content(study: ReportStudy) -> Iterator[Block | None]:
    """Curves along dollars, means per search, and crossovers."""
    yield figure_cost(study)
    yield cost_table(study).labelled(
        "Cost per search",
        below="Means over the searches of a strategy; “unknown” where the price of a call or device is not known.",
    )
    yield Text(crossovers_text(study), lead="Crossovers.")
    yield crossovers_table(study).labelled("Crossovers at each price").folded()


SECTION = Section("cost", "Cost against error", content, "nothing was spent that has a known price.")


def cost_table(study: ReportStudy) -> Table:
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


def crossovers_table(study: ReportStudy) -> Table:
    """The supported crossovers at the drawn prices."""
    _, devices, levels = cost_curves(study)
    found = study["crossovers"].filter(pl.col("compute_usd_per_h").is_in(devices) & pl.col("token_price").is_in(levels))
    return table_of(
        found.sort("token_price", "compute_usd_per_h", "usd").to_dicts(),
        ("", lambda row: token_name(row["token_price"])),
        ("device", lambda row: f"{dollars(row['compute_usd_per_h'])}/h"),
        ("crossover", lambda row: f"{row['b']} overtakes {row['a']}"),
        ("from", lambda row: dollars(row["usd"])),
        ("resamples that show it", lambda row: percent(row["support"])),
        words=["crossover"],
    )


def crossovers_text(study: ReportStudy) -> str:
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
