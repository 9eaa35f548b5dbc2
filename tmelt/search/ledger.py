"""The search as a results.tsv in the columns of karpathy/autoresearch, for people and tools that know that file.

Its columns: commit, val_bpb, memory_gb, status (keep, discard or crash), description. Here the metric is `val_mae`.
"""

from collections.abc import Iterable
from pathlib import Path

from tmelt.search.fidelity import in_words
from tmelt.search.history import Trial
from tmelt.storage.files import write_text

COLUMNS = ("commit", "val_mae", "memory_gb", "status", "description")
DESCRIPTION = 200  # characters


def write_ledger(path: Path | str, trials: Iterable[Trial]) -> None:
    """Write one line per trial, tab-separated, atomically.

    - commit: the first 7 characters of the trial's `chain` in history.parquet; what a commit is there, a trial is here.
    - val_mae: mean over seeds; empty for a crash (autoresearch writes 0.000000, which would be a perfect score).
    - memory_gb: peak resident memory; empty where unknown.
    - status: `keep` if the trial became the incumbent (as the baseline does), else `discard`; `crash` if a run failed
      or no legal proposal came about.
    - description: the proposer's words on one line; the kind of failure, or that it was inconclusive, in brackets.
    """
    lines = ["\t".join(COLUMNS), *("\t".join(_line(trial)) for trial in trials)]
    write_text(path, "\n".join(lines) + "\n")


def _line(trial: Trial) -> tuple[str, ...]:
    memory = "" if trial.memory_mb is None else f"{trial.memory_mb / 1024:.1f}"
    if not trial.ok:
        return trial.chain[:7], "", memory, "crash", _description(trial, trial.status)
    status = "keep" if trial.incumbent == trial.iteration else "discard"
    note = trial.decision if trial.decision == "inconclusive" else None
    if not trial.full:
        note = f"cheap, {in_words(trial.fidelity)} of a full trial"
    return trial.chain[:7], f"{trial.val_mae:.2f}", memory, status, _description(trial, note)


def _description(trial: Trial, note: str | None) -> str:
    words = " ".join(str(trial.proposal.get("rationale") or trial.origin).split())
    if len(words) > DESCRIPTION:
        words = words[: DESCRIPTION - 1] + "…"
    return f"{words} ({note})" if note else words
