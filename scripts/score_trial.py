"""Score one trial: its runs' predictions against the validation labels, and keep or discard it.

Reads   protocol.json, vault/val.parquet, proteins.parquet (labels of stop), proposal.json, the runs' folders, the
        history before, and in the search's folder the predictions of the trials that this one is compared with. Which
        ones they are stands in the history, so the rule cannot name them; they exist, because the history was made from
        them.
Writes  trial.parquet (one row, failed trials included), history.parquet (all trials up to this one)
"""

from pathlib import Path

from tmelt.command import run_command
from tmelt.search.history import History, Proposal
from tmelt.search.scoring import score
from tmelt.storage.schema import TRIAL, write_table
from tmelt.study.protocol import check_integrity
from tmelt.study.protocol_record import read_protocol
from tmelt.study.target import Target


def score_trial(
    *,
    protocol: Path,
    labels: Path,
    proteins: Path,
    proposal: Path,
    strategy: str,
    trajectory: int,
    iteration: int,
    runs: list[Path],
    history_before: list[Path],
    trial: Path,
    history: Path,
) -> None:
    """Mean over seeds of the validation MAE; null, with a status, where a run failed."""
    fixed = read_protocol(protocol)
    check_integrity(fixed, val_labels=labels)
    past = History.read(history_before[0] if history_before else None)
    row = score(
        proposal=Proposal.read(proposal.parent),
        strategy=strategy,
        trajectory=trajectory,
        iteration=iteration,
        runs=runs,
        labels=labels,
        history=past,
        rule=fixed.design.decision,
        proteins=proteins,
        unit=fixed.design.target.unit,
    )
    write_table(trial, [row], TRIAL)
    rows = [dict(earlier.row) for earlier in past] + [row]
    write_table(history, rows, TRIAL)
    print(_progress(row, rows, fixed.design.target), flush=True)


def _progress(row: dict, rows: list[dict], target: Target) -> str:
    """One line for the user who watches."""
    found = f"val MAE {target.amount(f'{mae:.2f}')}" if (mae := row["val_mae"]) is not None else row["status"]
    best = rows[row["incumbent"]]["val_mae"] if row["incumbent"] is not None else None
    so_far = "no incumbent yet"
    if best is not None:
        so_far = f"incumbent {target.amount(f'{best:.2f}')} (trial {row['incumbent']})"
    return f"{row['strategy']} t{row['trajectory']} trial {row['iteration']}: {found}, {row['decision']}; {so_far}"


if __name__ == "__main__":
    run_command(score_trial)
