"""Let a confirmed candidate predict an external test set.

Reads   protocol.json, the study's embedding and proteins.parquet, the set's proteins and view, confirm/{candidate}/
        (its proposal and its runs' rows); the journal, which keeps its checkpoints
Writes  predicted: a prediction per seed and protein; nothing of it reaches a search
"""

from pathlib import Path

from tmelt.bundle.external import external_predictions
from tmelt.command import run_command
from tmelt.evidence.schema import EXTERNAL_PREDICTED, EXTERNAL_PROTEINS
from tmelt.harness.run import Harness
from tmelt.search.history import Proposal
from tmelt.storage.schema import RUN, read_table, write_table
from tmelt.study.protocol_record import read_protocol


def predict_external(
    *,
    protocol: Path,
    embedding: Path,
    proteins: Path,
    external: Path,
    candidate: Path,
    runs: Path,
    journal: Path,
    cores: int,
    predicted: Path,
) -> None:
    """Predict with the checkpoint of each seed that ended ok; what fails is a note in the file."""
    harness = Harness.of(read_protocol(protocol), embedding.parent, proteins)
    seeds = [row["seed"] for row in read_table(runs, RUN).iter_rows(named=True) if row["status"] == "ok"]
    names = read_table(external, EXTERNAL_PROTEINS)["protein_id"].to_list()
    found = external_predictions(
        Proposal.read(candidate), candidate.name, seeds, harness, journal, cores, external.parent, names
    )
    write_table(predicted, found, EXTERNAL_PREDICTED)


if __name__ == "__main__":
    run_command(predict_external)
