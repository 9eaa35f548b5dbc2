"""External test sets: scores of the winners on proteins from elsewhere, and how far these are from those of fit."""

from collections.abc import Iterator

import polars as pl

from tmelt.report.blocks import Block, Cell, Fold, Table, decimal, table_of
from tmelt.report.figures.external import figure_external
from tmelt.report.inputs import ReportStudy
from tmelt.report.sections.scores import MODELS, endpoint_words, scores_table
from tmelt.report.sections.section import Section
from tmelt.report.words import count, number, percent

RULE = "open_external_labels"


def content(study: ReportStudy) -> Iterator[Block | None]:
    """Every set: distance to fit, then all scores, also of its proteins without relatives in training."""
    sets = study["external_sets"]
    if not len(sets):
        return
    yield (
        "The winners predict these sets with the checkpoints of their fresh seeds, in the study's sandbox. No search "
        "saw the sets, and nothing was chosen on them. Labels are opened after those of test; every opening is listed "
        "with the data."
    )
    yield figure_external(study)
    yield sets_table(study).labelled(
        "External sets",
        heading="The sets and their distance to fit",
        below="Homologous: in one family with a protein of fit or stop. Identity: median of the best gapless segment "
        "with a homologue in fit or stop, 0 where none is found. Told apart: cross-validated AUROC of a logistic "
        "regression on composition and length between the set and fit; 0.50 is one domain, 1.00 another one.",
    )
    for name in sets["set"]:
        yield from _scores(study, str(name))


SECTION = Section("external", "External test sets", content, optional=True)


def _scores(study: ReportStudy, name: str) -> Iterator[Block | None]:
    """The tables of one set."""
    rows = study["external"].filter(pl.col("set") == name)
    whole, distant = rows.filter(pl.col("part") == "all"), rows.filter(pl.col("part") == "distant")
    families = "In brackets the 95 % interval over protein families, training seeds and, for a strategy, searches."
    yield scores_table(study, whole, MODELS, errors=True).labelled(
        f"Errors on {name}", heading=f"{name}: {count(_proteins(whole), 'protein')}", above=families
    )
    yield scores_table(study, whole, MODELS).labelled(
        f"Ranking and picking on {name}", above=endpoint_words(study, whole.drop_nulls("proteins"))
    )
    left = count(_proteins(distant), "protein")
    title = f"{name} without homologues of training proteins: {left}"
    yield Fold(
        title,
        [scores_table(study, distant, MODELS, errors=errors).labelled(title) for errors in (True, False)],
    )
    title = f"Winner of each search on {name}"
    yield Fold(
        title, [scores_table(study, whole, ("winner",), errors=errors).labelled(title) for errors in (True, False)]
    )


def _proteins(rows: pl.DataFrame) -> int:
    return int(rows["proteins"].max() or 0)


def sets_table(study: ReportStudy) -> Table:
    """One row per set: size, distance to fit, labels, openings."""
    opened = openings(study)

    def of_all(key: str) -> Cell:
        return lambda row: f"{row[key]:,} ({percent(row[key] / row['proteins'])})"

    target = study.target
    return table_of(
        study["external_sets"].to_dicts(),
        ("", "set"),
        ("proteins", lambda row: f"{row['proteins']:,}"),
        ("families", lambda row: f"{row['clusters']:,}"),
        ("in the study", of_all("in_study")),
        ("homologous", of_all("homologous")),
        ("identity", lambda row: percent(row["identity"])),
        ("told apart", decimal("domain_auroc")),
        (
            study.head(f"mean {target.symbol}"),
            lambda row: f"{number(row['tm_mean'], 1)} (SD {number(row['tm_sd'], 1)})",
        ),
        (study.head(f"mean {target.symbol} of fit"), decimal("fit_tm_mean", 1)),
        ("openings", lambda row: str(opened.get(row["set"], 0))),
    )


def openings(study: ReportStudy) -> dict[str, int]:
    """How often the labels of each external set were opened."""
    found: dict[str, int] = {}
    for entry in study.vault_log:
        if entry.get("rule") == RULE:
            for path in entry.get("labels", {}):
                name = set_of(path)
                found[name] = found.get(name, 0) + 1
    return found


def set_of(path: str) -> str:
    """The set whose vault a path leads to: …/external/{set}/vault/labels.parquet."""
    return path.split("/")[-3]
