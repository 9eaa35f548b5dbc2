"""Score one trial: its runs' predictions against the validation labels, and keep or discard it.

Reads   protocol.json, vault/val.parquet, proposal.json, the runs' folders, the history before, and in the search's
        folder the predictions of the trials that this one is compared with. Which ones they are stands in the history,
        so the rule cannot name them; they exist, because the history was made from them.
Writes  trial.parquet (one row, failed trials included), history.parquet (all trials up to this one)
"""

from pathlib import Path

from tmelt.command import run_command
from tmelt.history import History, Proposal
from tmelt.protocol import check_integrity
from tmelt.protocol_record import read_protocol
from tmelt.schema import TRIAL, write_table
from tmelt.scoring import score


def score_trial(
    *,
    protocol: Path,
    labels: Path,
    proposal: Path,
    strategy: str,
    trajectory: int,
    iteration: int,
    runs: list[Path],
    history_before: list[Path],
    trial: Path,
    history: Path,
) -> None:
    """Mean over seeds of the validation MAE in °C; null, with a status, where a run failed."""
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
    )
    write_table(trial, [row], TRIAL)
    rows = [dict(earlier.row) for earlier in past] + [row]
    write_table(history, rows, TRIAL)
    print(_progress(row, rows), flush=True)


def _progress(row: dict, rows: list[dict]) -> str:
    """One line for the person who watches."""
    found = f"val MAE {row['val_mae']:.2f} °C" if row["val_mae"] is not None else row["status"]
    best = rows[row["incumbent"]]["val_mae"] if row["incumbent"] is not None else None
    so_far = f"incumbent {best:.2f} °C (trial {row['incumbent']})" if best is not None else "no incumbent yet"
    return f"{row['strategy']} t{row['trajectory']} trial {row['iteration']}: {found}, {row['decision']}; {so_far}"


if __name__ == "__main__":
    run_command(score_trial)
