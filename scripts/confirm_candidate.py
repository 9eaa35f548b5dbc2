"""Train one candidate after the search, on fresh seeds.

Reads   protocol.json, the embedding's views, proteins.parquet, plan (why it is trained), and
        confirm/{candidate}/proposal.json with train.py; its `variation` says what differs from a run of the search
        (budget, share of fit, an organism left out)
Writes  s{seed}/: run.parquet, curve.parquet, predictions.parquet, log.txt; runs: the rows of all seeds, last; keeps
        finished runs in the journal, those of winners and baseline with their checkpoints, of which the bundle is made
"""

from pathlib import Path

import polars as pl

from tmelt.bundle import BUNDLED
from tmelt.command import run_command
from tmelt.evidence.schema import PLAN
from tmelt.harness.run import Harness, seeds_at_once, train_runs
from tmelt.harness.variation import Variation
from tmelt.search.history import Proposal
from tmelt.storage.schema import RUN, read_table, write_table
from tmelt.study.protocol_record import read_protocol


def confirm_candidate(
    *,
    protocol: Path,
    embedding: Path,
    proteins: Path,
    plan: Path,
    candidate: Path,
    seeds: list[int],
    journal: Path,
    cores: int,
    runs: Path,
) -> None:
    """Train; what fails is a result, with a status."""
    harness = Harness.of(read_protocol(protocol), embedding.parent, proteins)
    proposal = Proposal.read(candidate)
    variation = proposal.variation or Variation()
    reasons = read_table(plan, PLAN).filter(pl.col("candidate") == candidate.name)["purpose"]
    at_once = seeds_at_once(harness, seeds, cores)
    folders = [candidate / f"s{seed}" for seed in seeds]
    rows = train_runs(
        proposal, seeds, folders, harness, journal, at_once, variation, keep_checkpoints=bool(set(reasons) & BUNDLED)
    )
    write_table(runs, rows, RUN)


if __name__ == "__main__":
    run_command(confirm_candidate)
