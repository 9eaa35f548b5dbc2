"""Let a confirmed candidate predict slightly changed proteins.

Reads   protocol.json, the embedding's views, proteins.parquet, confirm/{candidate}/ (its proposal and its runs' rows);
        the journal, which keeps its checkpoints
Writes  perturbed.parquet: a prediction per seed, protein and change; nothing of it reaches a search
"""

from pathlib import Path

from tmelt.bundle.perturbed import perturbed_predictions
from tmelt.command import run_command
from tmelt.evidence.schema import PERTURBED
from tmelt.harness.run import Harness
from tmelt.search.history import Proposal
from tmelt.storage.schema import RUN, read_table, write_table
from tmelt.study.protocol_record import read_protocol


def perturb_candidate(
    *,
    protocol: Path,
    embedding: Path,
    proteins: Path,
    candidate: Path,
    runs: Path,
    journal: Path,
    cores: int,
    perturbed: Path,
) -> None:
    """Predict with the checkpoint of each seed that ended ok; what fails is a note in the file."""
    harness = Harness.of(read_protocol(protocol), embedding.parent, proteins)
    seeds = [row["seed"] for row in read_table(runs, RUN).iter_rows(named=True) if row["status"] == "ok"]
    found = perturbed_predictions(Proposal.read(candidate), candidate.name, seeds, harness, journal, cores)
    write_table(perturbed, found, PERTURBED)


if __name__ == "__main__":
    run_command(perturb_candidate)
