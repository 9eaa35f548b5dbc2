"""From a confirmed study to its bundle: choose, take the kept checkpoints, check what they predict, pack."""

import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from tmelt.bundle.archive import CARD, REFERENCE, RESIDUALS, SCRIPT, SEQUENCES, write_archive
from tmelt.bundle.card import write_card
from tmelt.bundle.choose import Chosen, rank_winners
from tmelt.bundle.ensemble import Ensemble
from tmelt.bundle.facts import backbone_facts, labels_of, measured_facts, training_facts, winner_facts
from tmelt.bundle.reference import fit_reference
from tmelt.embed.view import View
from tmelt.errors import InputError
from tmelt.evidence.winners import Confirmed
from tmelt.harness.checkpoint import Unkeepable, copy_checkpoint
from tmelt.harness.journal import kept_checkpoint
from tmelt.harness.precision import precision_in_use
from tmelt.harness.run import ROW_WISE_TOLERANCE, Harness, run_key, seeds_at_once, train_runs
from tmelt.harness.variation import Variation
from tmelt.search.history import Proposal
from tmelt.storage.files import sha256_text, write_text
from tmelt.storage.records import to_json
from tmelt.storage.schema import POOL, PREDICTIONS, PROTEINS, read_table
from tmelt.study.config import Backbone
from tmelt.study.protocol_record import read_protocol

Checkpoints = dict[int, tuple[Path, dict[str, str]]]  # seed: folder, and SHA-256 of each file in it


def write_bundle(
    *,
    study: Path,
    protocol: Path,
    embedding: Path,
    proteins: Path,
    trials: pl.DataFrame,
    plan: pl.DataFrame,
    confirmed: Confirmed,
    floors: pl.DataFrame,
    endpoints: pl.DataFrame,
    backbone: Backbone,
    nonstandard: str,
    cores: int,
    bundle: Path,
    card: Path,
) -> Chosen:
    """Write the bundle of the study in folder `study`, and its card once more beside it.

    Args:
        embedding: results/embeddings/{dataset}/{backbone}.
        proteins: proteins.parquet.
        trials, plan, floors, endpoints: the tables of these names.
        backbone, nonstandard: as in the study's config.
        cores: for trainings, where the journal lacks a checkpoint.

    Raises:
        InputError: nothing was confirmed, no checkpoint can be kept, or one predicts otherwise than recorded.
        InfrastructureError: the sandbox failed.
    """
    fixed = read_protocol(protocol)
    harness = Harness.of(fixed, embedding, proteins)
    chosen, checkpoints, passed_over = _best_that_can_be_kept(rank_winners(plan, confirmed), study, harness, cores)
    folder = study / "confirm" / chosen.candidate
    proposal = Proposal.read(folder)
    about_harness = harness_facts(harness)
    _check(proposal, chosen, checkpoints, harness, about_harness, folder)
    residuals = sorted(residuals_of(chosen, confirmed))
    frame = read_table(proteins, PROTEINS)
    about: dict[str, Any] = {
        "study": fixed.study,
        "title": fixed.title,
        "protocol_sha256": fixed.sha256,
        "revisions": len(fixed.revisions),
        "labels": labels_of(fixed),
        "passed_over": passed_over,
        "winner": winner_facts(chosen, study, proposal, trials, fixed.reference_sha256),
        "knobs": dict(proposal.knobs),
        "seeds": list(chosen.seeds),
        "backbone": backbone_facts(backbone, fixed),
        "harness": about_harness,
        "target": asdict(fixed.design.target),
        "group": asdict(fixed.design.group),
        "training": training_facts(frame, nonstandard, fixed),
        "measured": measured_facts(chosen, plan, confirmed, floors, endpoints, residuals),
        "software": to_json(fixed.environment),
    }
    text = write_card(about)
    seen = frame.filter(pl.col("split").is_in(["fit", "stop"]))["sequence"]
    members: dict[str, bytes | Path] = {
        CARD: text.encode(),
        SCRIPT: proposal.script.encode(),
        RESIDUALS: (json.dumps(residuals) + "\n").encode(),
        REFERENCE: fit_reference(frame, floors, confirmed).to_json().encode(),
        SEQUENCES: "".join(f"{key}\n" for key in sorted(map(sha256_text, seen))).encode(),
    }
    for seed, (place, hashes) in checkpoints.items():
        members |= {f"checkpoints/s{seed}/{name}": place / name for name in hashes}
    write_archive(bundle, about, members)
    write_text(card, text)
    return chosen


def harness_facts(harness: Harness) -> dict[str, Any]:
    """What `predict` needs to run the script as the study did."""
    return {
        "device": harness.device,
        "precision": precision_in_use(harness.precision, harness.device),
        "threads": harness.threads,
        "budget": harness.budget.model_dump(mode="json"),
        "sequences": harness.sequences,
        "pool_residues": len(View.open(harness.embedding / "pool").residues),
    }


def confirmed_ensemble(proposal: Proposal, checkpoints: Checkpoints, harness: Harness) -> Ensemble:
    """Return the ensemble of these checkpoints, to predict in the study's own sandbox."""

    def place(target: Path) -> None:
        for seed, (source, _) in checkpoints.items():
            copy_checkpoint(source, target / "checkpoints" / f"s{seed}", most=harness.budget.disk_mb << 20)

    about = harness_facts(harness)
    return Ensemble(
        script=proposal.script,
        seeds=list(checkpoints),
        place=place,
        knobs=proposal.knobs,
        harness=about,
        sandbox=harness.sandbox,
        image=harness.sandbox_image,
        device=harness.device,
        precision=about["precision"],
        threads=harness.threads,
    )


def _best_that_can_be_kept(
    ranked: list[Chosen], study: Path, harness: Harness, cores: int
) -> tuple[Chosen, Checkpoints, list[dict[str, Any]]]:
    """The first candidate whose checkpoints are plain files, these, and which were passed over for theirs, and why.

    A script may leave links or pipes. That is no fault of the study, so the next best is taken, and the card says so.

    Raises:
        InputError: none can be kept.
    """
    passed_over: list[dict[str, Any]] = []
    for chosen in ranked:
        proposal = Proposal.read(study / "confirm" / chosen.candidate)
        try:
            kept = checkpoints_of(proposal, chosen.candidate, chosen.seeds, harness, study / "journal" / "runs", cores)
            return chosen, kept, passed_over
        except Unkeepable as fault:
            passed_over.append({"candidate": chosen.candidate, "select_mae": chosen.select_mae, "fault": str(fault)})
            about = f"{chosen.candidate}, MAE {chosen.select_mae:.2f} on select"
            print(f"warning: {about}, is passed over for its checkpoint: {fault}", file=sys.stderr)
    raise InputError(f"no bundle: no winner's checkpoint can be kept ({passed_over[0]['fault']}, and others)")


def checkpoints_of(
    proposal: Proposal, candidate: str, seeds: Sequence[int], harness: Harness, journal: Path, cores: int
) -> Checkpoints:
    """Return what the confirmed runs left: kept by the confirmation, or trained again in the harness if gone since.

    Args:
        proposal, candidate: what was trained, and the name of its folder under confirm/.
        seeds: of its runs that ended ok.
        harness, cores: for a training.
        journal: where checkpoints are kept.

    Raises:
        Unkeepable: a checkpoint has a file that cannot be kept.
        InputError: a checkpoint was gone, and the new training failed.
    """
    variation = proposal.variation or Variation()
    with tempfile.TemporaryDirectory(prefix="tmelt-bundle-") as name:
        folders = [Path(name, f"s{seed}") for seed in seeds]
        at_once = seeds_at_once(harness, seeds, cores)
        rows = train_runs(proposal, seeds, folders, harness, journal, at_once, variation, keep_checkpoints=True)
    for row in rows:
        if row["status"] != "ok":
            raise InputError(
                f"{journal}: the checkpoint of {candidate} was gone, and trained again with seed {row['seed']} "
                f"it ended as {row['status']}, although it was confirmed before; restore the journal"
            )
    return {seed: kept_checkpoint(journal, run_key(proposal, seed, harness, variation)) for seed in seeds}


def _check(
    proposal: Proposal,
    chosen: Chosen,
    checkpoints: Checkpoints,
    harness: Harness,
    about_harness: dict[str, Any],
    folder: Path,
) -> None:
    """Predict the validation proteins with the checkpoints, by the code that a bundle's user will run.

    Raises:
        InputError: a prediction is not the one that was recorded when the candidate was confirmed.
    """
    pool = read_table(harness.embedding / "pool.parquet", POOL)
    view = View.open(harness.embedding / "pool", sequences=True)
    rows = np.flatnonzero((pool["role"] == "val").to_numpy())
    with confirmed_ensemble(proposal, checkpoints, harness) as ensemble:
        found = ensemble.predict([view.protein(row) for row in rows], [view.letters(row) for row in rows])
    tolerance = ROW_WISE_TOLERANCE[about_harness["precision"]] * harness.target.scale
    for seed, values in zip(chosen.seeds, found, strict=True):
        recorded = read_table(folder / f"s{seed}" / "predictions.parquet", PREDICTIONS)
        expected = pl.DataFrame({"protein_id": pool["protein_id"][rows]}).join(
            recorded.filter(pl.col("split") == "val"), on="protein_id", how="left", maintain_order="left"
        )["prediction"]
        worst = float(np.abs(values - expected.to_numpy()).max())
        if not worst <= tolerance:  # nor NaN
            raise InputError(
                f"{folder}: the checkpoint of seed {seed} predicts validation proteins up to {worst:.3g} away from "
                f"what the confirmation recorded ({tolerance:g} allowed): it is not the model that was measured "
                "then; delete this folder's s*/, and run again"
            )


def residuals_of(chosen: Chosen, confirmed: Confirmed) -> list[float]:
    """Absolute errors in target units of the seeds' mean on select, which no search saw and no trial was scored by."""
    inside = confirmed.inside("select")
    mean = confirmed.predictions[chosen.candidate][:, inside].mean(axis=0)
    return [float(error) for error in np.abs(mean - confirmed.labels["tm"].to_numpy()[inside])]
