"""Open the labels of an external test set, log it, and score every winner with them. Nothing else ever opens them.

Reads   trials (for the log), plan, what each candidate predicted, the set's proteins and labels (its vault), and
        proteins.parquet of the study
Writes  scores, facts, predictions of the set (evidence/external/); appends to {study}/vault_log.json
"""

from pathlib import Path

import polars as pl

from tmelt.command import run_command
from tmelt.errors import InputError
from tmelt.evidence import external as sets
from tmelt.evidence.schema import (
    EXTERNAL,
    EXTERNAL_PREDICTED,
    EXTERNAL_PREDICTIONS,
    EXTERNAL_PROTEINS,
    EXTERNAL_SETS,
    PLAN,
    TRIALS,
)
from tmelt.evidence.tables import table, write
from tmelt.evidence.vault import record_opening
from tmelt.storage.files import sha256_file
from tmelt.storage.schema import LABELS, PROTEINS, read_table
from tmelt.study.config import Endpoints
from tmelt.study.external import read_external


def open_external_labels(
    *,
    called: str,
    study: Path,
    asked: str,
    trials: Path,
    plan: Path,
    proteins: Path,
    external: Path,
    vault: Path,
    predicted: list[Path],
    scores: Path,
    facts: Path,
    predictions: Path,
) -> None:
    """Write what the winners score on the set `called`; where nothing was predicted, its labels stay sealed."""
    ours, planned = read_table(external, EXTERNAL_PROTEINS), read_table(plan, PLAN)
    frames = [read_table(path, EXTERNAL_PREDICTED) for path in predicted]
    if all(frame["seed"].null_count() == len(frame) for frame in frames):
        for path, schema in ((scores, EXTERNAL), (facts, EXTERNAL_SETS), (predictions, EXTERNAL_PREDICTIONS)):
            write(path, table([], schema), schema)
        return
    if sha256_file(vault) != read_external(external.parent).labels:
        raise InputError(f"{vault}: not the labels that this set was made with; restore the file")
    record_opening(
        study / "vault_log.json",
        rule="open_external_labels",
        why=f"the searches are over: score their winners on the external set {called}",
        labels=[vault],
        trials=read_table(trials, TRIALS),
        fresh_seeds=int(planned["seeds"].list.len().max() or 0),
        runs=sum(frame["seed"].drop_nulls().n_unique() for frame in frames),
    )
    opened = sets.opened_labels(ours, read_table(vault, LABELS))
    known = read_table(proteins, PROTEINS)
    asked_for = Endpoints.model_validate_json(asked)
    write(scores, sets.external_scores(called, ours, opened, frames, planned, known, asked_for), EXTERNAL)
    write(facts, sets.external_facts(called, ours, opened, known), EXTERNAL_SETS)
    found = sets.external_winner_predictions(frames, planned, opened).with_columns(set=pl.lit(called))
    write(predictions, found, EXTERNAL_PREDICTIONS)


if __name__ == "__main__":
    run_command(open_external_labels)
