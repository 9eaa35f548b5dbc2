"""The winners on fresh seeds: where they err, what they are, and how they were chosen."""

import json
from collections.abc import Iterator

import polars as pl

from tmelt.report.blocks import Block, Fold, Row, Table, decimal, ends, of_search, own_note, table_of
from tmelt.report.code import diff_scripts
from tmelt.report.figures.winners import figure_errors, figure_predicted, figure_within
from tmelt.report.inputs import ReportStudy
from tmelt.report.sections.scores import MODELS, endpoint_words, scores_table
from tmelt.report.sections.section import Section
from tmelt.report.trial_page import knob_changes, read_script
from tmelt.report.words import DASH, number, tidied, value


def content(study: ReportStudy) -> Iterator[Block | None]:
    """Predictions and errors of the winners, their knobs and scripts, and checks of them."""
    yield figure_predicted(study)
    yield figure_within(study)
    yield figure_errors(study)
    yield scores_table(study, study["endpoints"], MODELS).labelled(
        "Endpoints on test",
        heading="Ranking and picking on test",
        above=f"{endpoint_words(study, study['endpoints'])} In brackets the 95 % interval over protein families, "
        "training seeds and, for a strategy, searches, by jackknife over groups of families.",
    )
    yield (
        scores_table(study, study["endpoints"], ("winner",))
        .labelled("Endpoints of each search's winner")
        .folded("Ranking and picking by the winner of each search")
    )
    yield knob_table(study).labelled(
        "Knobs of the winners",
        kind="knobs",
        heading="Knobs of the winners against the baseline",
        above="Only knobs in which a winner differs; · means as in the baseline. Of each strategy the winner with the "
        "lowest error on select.",
    )
    yield from winner_scripts(study)
    yield (
        robustness_table(study)
        .labelled(
            "Errors on slightly changed proteins",
            above="Each winner's checkpoints predicted some val, select and test proteins again, slightly changed. "
            "A model loses little accuracy; a table of labels loses what it knew. Joined proteins are compared "
            "with the mean of both, by length. Flagged: more than a quarter of the error after the change is "
            "absent before it, by more than three standard errors over protein families. A lookup "
            "table for few proteins, or one that tolerates large changes, passes the check.",
        )
        .folded("Memorisation check of the winners")
    )
    yield winners_table(study).labelled("Winner of each search").folded()
    yield (
        choices_table(study)
        .labelled(
            "Last incumbents",
            below="The winner has the lowest error on select, by the search's own runs; no search saw these "
            "proteins. Test: on fresh seeds, which had no part in the choice. Against the winner: positive means "
            "that the choice on select was better than this incumbent (of the last incumbent: overtuning that was "
            "taken back).",
        )
        .folded("Last incumbents of each search and the choice among them")
    )


SECTION = Section("winners", "The winners", content, "no winner was confirmed on fresh seeds.")


_CHANGES = {
    "noise": "noise on the embedding",
    "trimmed": "one residue missing",
    "swapped": "similar residues exchanged",
    "joined": "joined to another protein",
}


def winners_table(study: ReportStudy) -> Table:
    """One row per search: its winner and what the confirmation found."""
    return table_of(
        study["winners"].sort(study.place(), "trajectory").to_dicts(),
        ("", of_search),
        ("trial", "iteration"),
        ("proposed by", "origin"),
        ("val MAE in the search", decimal("search_val_mae")),
        ("select MAE in the search", decimal("select_mae")),
        ("val MAE confirmed", decimal("val_mae")),
        ("test MAE confirmed", decimal("test_mae")),
        ("95 % interval", ends("test_low", "test_high")),
        ("test MAE of the ensemble", decimal("test_ensemble_mae")),
        (f"ρ within {study.group.plural}", decimal("test_within_rho")),
        ("optimism", decimal("optimism", signed=True)),
        ("95 % interval", ends("optimism_low", "optimism_high", signed=True)),
        ("fresh seeds ok", lambda row: f"{row['confirmed_seeds']} of {row['confirmed_seeds'] + row['failed_seeds']}"),
        words=["proposed by"],
        note=own_note,
    )


def choices_table(study: ReportStudy) -> Table:
    """The incumbents that each winner was chosen from."""
    return table_of(
        study["choices"].sort(study.place(), "trajectory", "place").to_dicts(),
        ("", of_search),
        ("trial", "iteration"),
        ("incumbent", lambda row: "last" if row["place"] == 1 else f"{row['place'] - 1} before"),
        ("val MAE in the search", decimal("search_val_mae")),
        ("select MAE in the search", decimal("select_mae")),
        ("chosen", lambda row: "winner" if row["chosen"] else ""),
        ("test MAE confirmed", decimal("test_mae")),
        ("95 % interval", ends("test_low", "test_high")),
        (study.head("against the winner"), lambda row: "" if row["chosen"] else number(row["difference"], signed=True)),
        ("95 % interval", ends(signed=True)),
        words=["incumbent", "chosen"],
    )


def robustness_table(study: ReportStudy) -> Table:
    """Error of each winner and the baseline on slightly changed proteins, one row per kind of change."""
    verdicts = {None: DASH, True: "recognises proteins", False: "no sign"}

    def lost(row: Row) -> str:
        return DASH if row["lost"] is None else f"{number(row['lost'], signed=True)} (SE {number(row['lost_se'])})"

    return table_of(
        study["robustness"].sort(study.place(), "trajectory", maintain_order=True).to_dicts(),
        ("", lambda row: "baseline (trial 0)" if row["role"] == "baseline" else of_search(row)),
        ("change", lambda row: _CHANGES.get(row["kind"], DASH)),
        (study.head("mean change of predictions"), decimal("change")),
        (study.head("MAE before"), decimal("mae")),
        (study.head("MAE after"), decimal("mae_changed")),
        (study.head("accuracy lost"), lost),
        ("verdict", lambda row: verdicts[row["flagged"]]),
        words=["change", "verdict"],
        note=lambda row: tidied(own_note(row)),
    )


_DIFF_ROWS = 400


def knob_table(study: ReportStudy) -> Table:
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


def _knob_order(study: ReportStudy) -> list[str]:
    return [knob.name for knob in study.protocol.space]


def winner_scripts(study: ReportStudy) -> list[Fold]:
    """The shown winners that changed the script, each against the reference script."""
    found = []
    for name, row in ((name, study.best[name]) for name in study.strategies if name in study.best):
        if row["script"] == study.reference:
            continue
        folder = study.folder / name / f"t{row['trajectory']}"
        paths = [folder / "i0" / "train.py", folder / f"i{row['iteration']}" / "train.py"]
        title = f"Script of {name}, search {row['trajectory']}, trial {row['iteration']} against the reference"
        missing = [path for path in paths if not path.is_file()]
        if missing:
            found.append(Fold(title, [], note=f"{missing[0].relative_to(study.folder)} is not there"))
            continue
        diff = diff_scripts(read_script(paths[0]), read_script(paths[1]), _DIFF_ROWS)
        found.append(Fold(title, [diff], note=f"{diff.added} lines added, {diff.removed} removed"))
    return found
