"""The outcome of a trial: its runs' predictions against the validation labels, and what that means for the search."""

import json
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from tmelt.errors import InputError
from tmelt.search.decision import Rule, Validation, decide
from tmelt.search.diagnostics import diagnostics_of
from tmelt.search.families import Families
from tmelt.search.history import History, Proposal, chain_of
from tmelt.search.integrity import integrity_of
from tmelt.search.notes import notes_to_json
from tmelt.storage.schema import LABELS, PREDICTIONS, RUN, TRIAL, as_arrow, read_run_table, read_table
from tmelt.study.target import TM

# What goes back to a strategy is rounded: fine steps of the validation error would let it feel its way to the labels.
MAE_DIGITS = 2
LOG_TAIL = 2000


def validation_errors(predictions: Path, labels: pl.DataFrame) -> np.ndarray:
    """(proteins,) absolute errors in target units over the validation proteins, in the order of `labels`.

    Raises:
        InputError: the predictions are missing, or are not exactly the validation proteins'.
    """
    found = read_run_table(predictions, PREDICTIONS).filter(pl.col("split") == "val")
    joined = labels.join(found, on="protein_id", how="inner", maintain_order="left")
    if len(joined) != len(labels) or len(found) != len(labels):
        raise InputError(f"{predictions}: {len(found)} validation proteins instead of {len(labels)}; delete its folder")
    return (joined["tm"] - joined["prediction"]).abs().to_numpy()


def validation_of(search: Path, history: History, labels: Path) -> Validation:
    """The validation errors of a search by protein, from the predictions of its runs.

    Args:
        search: the search's folder, with i{iteration}/s{seed}/predictions.parquet of every trial.
        history: the trials before the one to decide; their predictions have to give the errors in it.
        labels: the vault's validation part.

    Raises:
        InputError: (when errors are asked for) predictions that are missing or not those that the trial was scored by.
    """
    truth = read_table(labels, LABELS)
    if truth["family"].n_unique() < 2:
        raise InputError(
            f"{labels}: all validation proteins are of one family, so their noise cannot be known; use more data"
        )

    def errors(iteration: int, seeds: Sequence[int]) -> np.ndarray:
        known = {}
        if iteration < len(history):
            row = history[iteration].row
            known = dict(zip(row["seeds"], row["val_mae_by_seed"], strict=True))
        found = []
        for seed in seeds:
            path = search / f"i{iteration}" / f"s{seed}" / "predictions.parquet"
            if not path.is_file():
                raise InputError(
                    f"{path}: no such file, but trial {iteration} was scored by it; restore it, or delete the trial and"
                    " what follows"
                )
            found.append(validation_errors(path, truth))
            mae = float(found[-1].mean())
            if seed in known and round(mae, MAE_DIGITS) != known[seed]:
                raise InputError(
                    f"{path}: validation MAE {mae:.2f}, but trial {iteration} was scored with {known[seed]:.2f};"
                    " restore the file, or delete the trial and what follows"
                )
        return np.stack(found)

    return Validation(errors, Families.of(truth["family"].to_numpy()))


def score(
    *,
    proposal: Proposal,
    strategy: str,
    trajectory: int,
    iteration: int,
    runs: Sequence[Path],
    labels: Path,
    history: History,
    rule: Rule,
    proteins: Path,
    unit: str = TM.unit,
) -> dict[str, Any]:
    """The trial's row (TRIAL of the schema): mean over seeds of the validation MAE; null, with a status, on failure.

    Args:
        runs: the folder of each seed, i{iteration}/s{seed} of the search's folder: the runs of earlier trials are
            looked for beside them.
        proteins: proteins.parquet, which has the labels of stop.
        unit: of the target.
    """
    tried = [read_table(folder / "run.parquet", RUN).row(0, named=True) for folder in runs]
    truth = read_table(labels, LABELS)
    failed = next((run for run in tried if run["status"] != "ok"), None)
    status = failed["status"] if failed else "ok"
    maes = []
    if not failed:
        errors = [validation_errors(folder / "predictions.parquet", truth) for folder in runs]
        maes = [round(float(each.mean()), MAE_DIGITS) for each in errors]
    error = None
    if failed:
        log = (runs[tried.index(failed)] / "log.txt").read_text(encoding="utf-8", errors="replace")
        reason = f"[{failed['reason']}] " if failed["reason"] else ""
        error = (reason + log[-LOG_TAIL:]).strip() or None
    return trial_row(
        proposal=proposal,
        strategy=strategy,
        trajectory=trajectory,
        iteration=iteration,
        history=history,
        rule=rule,
        validation=validation_of(runs[0].parents[1], history, labels),
        status=status,
        seeds=[run["seed"] for run in tried],
        maes=maes,
        error=error,
        reason=failed["reason"] if failed else None,
        measured={
            "fit_mae": _mean(run["fit_mae"] for run in tried),
            "stop_mae": _mean(run["stop_mae"] for run in tried),
            "parameter_count": tried[0]["parameter_count"],
            "checkpoint_mb": _mean(run["checkpoint_mb"] for run in tried),
            "fit_s": _sum(run["fit_s"] for run in tried),
            "cut_by_clock": sum(bool(run["cut_by_clock"]) for run in tried),
            "cpu_s": _sum(run["cpu_s"] for run in tried),
            "device_s": _sum(run["device_s"] for run in tried),
            "memory_mb": max((run["memory_mb"] for run in tried if run["memory_mb"] is not None), default=None),
            "diagnostics": json.dumps(diagnostics_of(runs, tried, proteins, unit), ensure_ascii=False),
        },
    )


def trial_row(
    *,
    proposal: Proposal,
    strategy: str,
    trajectory: int,
    iteration: int,
    history: History,
    rule: Rule,
    validation: Validation,
    status: str,
    seeds: Sequence[int],
    maes: Sequence[float],
    error: str | None,
    measured: Mapping[str, Any],
    reason: str | None = None,
) -> dict[str, Any]:
    """The row (tmelt.storage.schema.TRIAL) of a trial whose runs are known: decided, and chained to the history.

    Args:
        proposal: what was tried.
        rule, validation: as `decide` takes them.
        seeds, maes: training seeds, and their validation MAE in target units, rounded; none unless all ended ok.
        measured: fit_mae, stop_mae, parameter_count, checkpoint_mb, fit_s, cut_by_clock, cpu_s, device_s,
            memory_mb and, where known, diagnostics.
        reason: the harness's word for why a run failed.
    """
    row: dict[str, Any] = {
        "strategy": strategy,
        "trajectory": trajectory,
        "iteration": iteration,
        "status": status,
        "integrity": integrity_of(status, reason, proposal.script),
        "origin": proposal.origin,
        "parent": proposal.parent,
        "script": proposal.script_sha256,
        "script_lines": proposal.script.count("\n"),
        "knobs": json.dumps(dict(proposal.knobs)),
        "proposal": json.dumps(
            {
                "rationale": proposal.rationale,
                "hypothesis": proposal.hypothesis,
                "expected_effect": proposal.expected_effect,
                "subspace": proposal.subspace,
                "declared_knobs": list(proposal.declared_knobs),
                "state": notes_to_json(proposal.state),
                "transcripts": list(proposal.transcripts),
            },
            ensure_ascii=False,
        ),
        "fidelity": proposal.fidelity,
        "seeds": list(seeds),
        "val_mae_by_seed": list(maes),
        "val_mae": round(statistics.fmean(maes), MAE_DIGITS) if maes else None,
        "val_mae_sd": round(statistics.stdev(maes), 4) if len(maes) > 1 else None,
        "diagnostics": None,
        **measured,
        "cost_usd": proposal.cost_usd,
        "llm_calls": proposal.llm_calls,
        "prompt_tokens": proposal.prompt_tokens,
        "completion_tokens": proposal.completion_tokens,
        "tool_calls": proposal.tool_calls,
        "tool_s": proposal.tool_s,
        "tool_cpu_s": proposal.tool_cpu_s,
        "tool_device_s": proposal.tool_device_s,
        "error": error,
    }
    row |= decide(history, row, rule, validation)._asdict()
    # Through the schema's types first, so that the hash is of what will be read back.
    row = as_arrow([row], TRIAL).to_pylist()[0]
    return row | {"chain": chain_of(history.head, row)}


def _mean(values) -> float | None:
    known = [value for value in values if value is not None]
    return round(statistics.fmean(known), 4) if known else None


def _sum(values) -> float:
    return round(sum((value for value in values if value is not None), 0.0), 3)
