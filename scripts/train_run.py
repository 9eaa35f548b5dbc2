"""Train one candidate with one seed, or with several side by side, inside the harness.

Reads   protocol.json, the embedding's views, proteins.parquet (labels of fit and stop), proposal.json with train.py
Writes  per seed: run.parquet, curve.parquet, predictions.parquet, log.txt; keeps finished runs in the journal
"""

from pathlib import Path

from tmelt.command import run_command
from tmelt.harness.run import Harness, seeds_at_once, train_runs
from tmelt.harness.variation import Variation
from tmelt.strategies.guidance import proposal_to_train
from tmelt.study.protocol_record import read_protocol


def train_run(
    *,
    protocol: Path,
    embedding: Path,
    proteins: Path,
    proposal: Path,
    seeds: list[int],
    folders: list[Path],
    journal: Path,
    cores: int,
) -> None:
    """Train; a candidate that fails is a result, with a status. A baseline that fails stops the study."""
    harness = Harness.of(read_protocol(protocol), embedding.parent, proteins)
    at_once = seeds_at_once(harness, seeds, cores)
    chosen = proposal_to_train(proposal.parent)
    baseline = chosen.origin == "baseline"
    variation = chosen.variation or Variation()
    train_runs(chosen, seeds, folders, harness, journal, at_once, variation, must_work=baseline)


if __name__ == "__main__":
    run_command(train_run)
