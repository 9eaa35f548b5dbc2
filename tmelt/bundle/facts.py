"""What a bundle says about itself: where it comes from, what it was trained on, what was measured."""

from pathlib import Path
from typing import Any

import polars as pl

from tmelt.bundle.choose import Chosen
from tmelt.evidence.conformal import measured_coverage
from tmelt.evidence.winners import Confirmed, candidate_of
from tmelt.search.history import Proposal
from tmelt.storage.files import read_json
from tmelt.storage.schema import SPLITS
from tmelt.study.config import Backbone
from tmelt.study.protocol_record import Protocol

SYNTHETIC = (
    "SYNTHETIC DATA: the proteins and their melting temperatures were made by the project's generator, none was "
    "measured; these predictions say nothing about real proteins"
)
UNTRAINED = (
    "UNTRAINED BACKBONE: the embeddings come from random weights, not from a trained ESM-2; these predictions show the "
    "machinery"
)
SCRIPTED = "found by a scripted stand-in for an LLM (playbook)"


def labels_of(protocol: Protocol) -> list[str]:
    """What must be said before anything else."""
    synthetic, untrained = protocol.data.synthetic, protocol.measured.embedding.untrained
    return [text for text, holds in ((SYNTHETIC, synthetic), (UNTRAINED, untrained)) if holds]


def backbone_facts(backbone: Backbone, protocol: Protocol) -> dict[str, Any]:
    """How new sequences are to be embedded: the config's backbone, and what the study's embedding came out as."""
    embedding = protocol.measured.embedding
    from_file = backbone.weights not in ("download", "random")
    return {
        "name": backbone.name,
        # A path on this machine is of no use on another one.
        "weights": "imported" if backbone.path else "file" if from_file else backbone.weights,
        "file": Path(backbone.path or backbone.weights).name if from_file or backbone.path else None,
        "seed": backbone.seed,
        "torch": protocol.environment.packages["torch"],
        "weights_sha256": embedding.weights_sha256,
        "untrained": embedding.untrained,
        "released": embedding.released,
        "per_protein": embedding.per_protein,
        "layer": embedding.layer,
        "width": embedding.width,
        "precision": embedding.precision,
        "tokens": embedding.tokens,
    }


def training_facts(proteins: pl.DataFrame, nonstandard: str, protocol: Protocol) -> dict[str, Any]:
    """The proteins that the candidate learnt from, those of fit and stop, in numbers.

    Args:
        proteins: proteins.parquet.
        nonstandard: the study's policy for residues beyond the 20.
    """
    seen = proteins.filter(pl.col("split").is_in(["fit", "stop"]))
    lengths = seen["sequence"].str.len_chars()
    organisms = seen["organism"].fill_null("unknown").value_counts().sort("count", "organism", descending=[True, False])
    counts = dict(proteins["split"].value_counts().iter_rows())
    return {
        "data": protocol.data.name,
        "description": protocol.data.description,
        "dataset": protocol.design.dataset,
        "proteins": {split: counts.get(split, 0) for split in SPLITS},
        "length": [int(lengths.min()), int(lengths.max())],
        "tm": [float(seen["tm"].min()), float(seen["tm"].max())],
        "tm_median": float(seen["tm"].median()),
        "organisms": dict(organisms.iter_rows()),
        "nonstandard": nonstandard,
    }


def winner_facts(
    chosen: Chosen, study: Path, proposal: Proposal, trials: pl.DataFrame, reference: str
) -> dict[str, Any]:
    """Which candidate it is, who found it, and why they tried it, in their words."""
    searches = []
    for strategy, trajectory, iteration in chosen.found_by:
        settings = read_json(study / strategy / "strategy.json")
        row = trials.filter(
            (pl.col("strategy") == strategy) & (pl.col("trajectory") == trajectory) & (pl.col("iteration") == iteration)
        ).row(0, named=True)
        searches.append(
            {
                "strategy": strategy,
                "kind": settings["kind"],
                "model": settings["options"].get("model"),
                "trajectory": trajectory,
                "iteration": iteration,
                "origin": row["origin"],
                "proposal": row["proposal"],
                "parameter_count": row["parameter_count"],
            }
        )
    return {
        "candidate": chosen.candidate,
        "baseline": chosen.baseline,
        "searches": searches,
        "script_sha256": proposal.script_sha256,
        "reference_script": proposal.script_sha256 == reference,
    }


def measured_facts(
    chosen: Chosen,
    plan: pl.DataFrame,
    confirmed: Confirmed,
    floors: pl.DataFrame,
    endpoints: pl.DataFrame,
    residuals: list[float],
) -> dict[str, Any]:
    """Errors of the winner, the baseline and the reference predictors, and how intervals and ranking fared on test.

    Args:
        floors, endpoints: the tables of these names.
        residuals: of the winner on select, ascending.
    """
    baseline = candidate_of(plan, "baseline", None, None)
    test = confirmed.inside("test")
    ensemble = confirmed.predictions[chosen.candidate][:, test].mean(axis=0)
    errors = abs(ensemble - confirmed.labels["tm"].to_numpy()[test])
    return {
        "winner": _errors(confirmed, chosen.candidate) | {"test_ensemble_mae": float(errors.mean())},
        "baseline": _errors(confirmed, baseline) if baseline in confirmed else None,
        "floors": floors.select("label", "kind", "val_mae", "test_mae", "low", "high").to_dicts(),
        "test_proteins": len(test),
        "coverage": measured_coverage(residuals, errors),
        "endpoints": _endpoints(chosen, endpoints),
    }


def _endpoints(chosen: Chosen, endpoints: pl.DataFrame) -> list[dict[str, Any]]:
    """The winner's rows of the table `endpoints`."""
    role, strategy, trajectory = "baseline", None, None
    if not chosen.baseline:
        role, (strategy, trajectory, _) = "winner", chosen.found_by[0]
    own = endpoints.filter(
        (pl.col("role") == role)
        & pl.col("strategy").eq_missing(pl.lit(strategy, dtype=pl.String))
        & pl.col("trajectory").eq_missing(pl.lit(trajectory, dtype=pl.Int64))
    )
    return own.select("metric", "value", "low", "high", "proteins", "positives", "threshold", "top").to_dicts()


def _errors(confirmed: Confirmed, candidate: str) -> dict[str, Any]:
    """MAE per split, the mean over seeds, with the intervals that the table `winners` has."""
    found: dict[str, Any] = {"seeds": len(confirmed.seeds[candidate])}
    for split in ("val", "test"):
        level = confirmed.level(candidate, split)
        low, high = level.interval()
        found |= {f"{split}_mae": level.value, f"{split}_low": low, f"{split}_high": high}
    return found
