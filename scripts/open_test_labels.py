"""Open the hidden labels after the search, log it, and score every run with them. Nothing else ever opens them.

Reads   trials, plan (what was trained after the search), proteins, val, select and test (vault), the runs' files and
        protocol.json (the labels' hashes) in `study`
Writes  runs, confirmed_runs (tables/), labels, confirmed_predictions (evidence/); appends to {study}/vault_log.json
"""

from pathlib import Path

from tmelt.command import run_command
from tmelt.evidence.reading import search_runs
from tmelt.evidence.schema import CONFIRMED_PREDICTIONS, CONFIRMED_RUNS, OPENED_LABELS, PLAN, RUNS, TRIALS
from tmelt.evidence.tables import write
from tmelt.evidence.vault import read_labels, record_opening, score_confirmation, score_search
from tmelt.storage.schema import read_table
from tmelt.study.protocol import check_labels
from tmelt.study.protocol_record import read_protocol


def open_test_labels(
    *,
    study: Path,
    seeds: list[int],
    trials: Path,
    plan: Path,
    proteins: Path,
    val: Path,
    select: Path,
    test: Path,
    runs: Path,
    confirmed_runs: Path,
    confirmed_predictions: Path,
    labels: Path,
    why: str = "the searches are over: score their runs and the confirmation on test",
) -> None:
    """Write exact validation and test scores of all runs, and the labels that later tables use."""
    check_labels(read_protocol(study / "protocol.json"), val=val, select=select, test=test)
    tried, planned = read_table(trials, TRIALS), read_table(plan, PLAN)
    listed = search_runs(tried, study, seeds)
    record_opening(
        study / "vault_log.json",
        rule="open_test_labels",
        why=why,
        labels=[val, select, test],
        trials=tried,
        fresh_seeds=int(planned["seeds"].list.len().max() or 0),
        runs=len(listed) + int(planned.unique("candidate")["seeds"].list.len().sum()),
    )
    opened = read_labels(proteins, val, select, test)
    scored = score_search(listed, opened)
    confirmed, predictions = score_confirmation(planned, study / "confirm", opened)
    write(runs, scored, RUNS)
    write(confirmed_runs, confirmed, CONFIRMED_RUNS)
    write(confirmed_predictions, predictions, CONFIRMED_PREDICTIONS)
    write(labels, opened, OPENED_LABELS)


if __name__ == "__main__":
    run_command(open_test_labels)
