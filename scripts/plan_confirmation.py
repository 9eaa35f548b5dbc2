"""Decide what is trained after the search, from validation and select alone.

Reads   trials, last_incumbents (evidence/), protocol (the study's knobs), the trials' scripts in `study`; proteins for
        leaving organisms out
Writes  plan (confirm/plan_*.parquet); {study}/confirm/{candidate}/proposal.json and train.py per candidate
"""

from pathlib import Path

from tmelt.command import run_command
from tmelt.evidence import confirmation
from tmelt.evidence.schema import LAST_INCUMBENTS, PLAN, TRIALS
from tmelt.evidence.tables import write
from tmelt.storage.schema import read_table
from tmelt.study.protocol_record import read_protocol


def plan_confirmation(
    *,
    study: Path,
    trials: Path,
    last_incumbents: Path,
    protocol: Path,
    seeds: list[int],
    purposes: list[str],
    plan: Path,
    proteins: Path | None = None,
    every_search: bool = False,
    interaction_runs: int = 12,
) -> None:
    """Write the plan and a proposal for each candidate to train."""
    organisms = []
    if "organism" in purposes and proteins is not None:
        organisms = confirmation.organisms_to_leave_out(read_table(proteins))
    planned, candidates = confirmation.plan_confirmation(
        read_table(trials, TRIALS),
        read_table(last_incumbents, LAST_INCUMBENTS),
        study,
        read_protocol(protocol).space,
        seeds,
        purposes=purposes,
        every_search=every_search,
        organisms=organisms,
        interaction_runs=interaction_runs,
    )
    confirmation.write_candidates(plan.parent, planned, candidates)
    write(plan, planned, PLAN)


if __name__ == "__main__":
    run_command(plan_confirmation)
