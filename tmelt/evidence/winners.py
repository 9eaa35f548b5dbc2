"""The winners on fresh seeds: how good they are, and the optimism of their search scores."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from tmelt.evidence.error_model import Arm, Estimate, estimate
from tmelt.evidence.incumbents import SEARCH_KEY, trial_scores
from tmelt.evidence.metrics import none_if_nan, score
from tmelt.evidence.optimism import Optimism
from tmelt.evidence.replicates import outcome_label
from tmelt.evidence.schema import (
    BASELINE,
    CONFIRMED_PREDICTIONS,
    OPENED_LABELS,
    STRATEGIES,
    WINNER_PREDICTIONS,
    WINNERS,
)
from tmelt.evidence.selection import winners_of
from tmelt.evidence.tables import table
from tmelt.evidence.verdict import FEW
from tmelt.search.decision import seed_noise
from tmelt.storage.schema import read_table

_SHOWN_SCORES = ("rmse", "r2", "spearman", "within_rho")
_FEW_NOTE = f"fewer than {FEW} distinct searches: intervals only, no significance"


@dataclass(frozen=True)
class Confirmed:
    """Predictions of what was trained after the search, by candidate and fresh seed, for all val and test proteins."""

    labels: pl.DataFrame  # tmelt.evidence.schema.OPENED_LABELS
    seeds: dict[str, list[int]]  # candidate: fresh seeds that ended ok
    predictions: dict[str, np.ndarray]  # candidate: (seeds, proteins)

    @classmethod
    def of(cls, predictions: pl.DataFrame, labels: pl.DataFrame) -> "Confirmed":
        """From the tables `confirmed_predictions` and `labels`."""
        place = labels.select("protein_id", "split", place=pl.int_range(pl.len()))
        ordered = predictions.join(place, on=["protein_id", "split"]).sort("candidate", "seed", "place")
        seeds, matrices = {}, {}
        for (candidate,), part in ordered.group_by("candidate", maintain_order=True):
            seeds[candidate] = part["seed"].unique(maintain_order=True).to_list()
            matrices[candidate] = part["prediction"].to_numpy().reshape(len(seeds[candidate]), len(labels))
        return cls(labels, seeds, matrices)

    @classmethod
    def read(cls, predictions: Path, labels: Path) -> "Confirmed":
        """From the files of these two tables.

        Raises:
            InputError: a file that is missing, damaged or has other columns.
        """
        return cls.of(read_table(predictions, CONFIRMED_PREDICTIONS), read_table(labels, OPENED_LABELS))

    def __contains__(self, candidate: str | None) -> bool:
        return candidate in self.predictions

    def inside(self, split: str) -> np.ndarray:
        """Positions of a split's proteins."""
        return np.flatnonzero((self.labels["split"] == split).to_numpy())

    def clusters(self, split: str) -> np.ndarray:
        """(proteins,) their families."""
        return self.labels["cluster"].to_numpy()[self.inside(split)]

    def errors(self, candidate: str, split: str) -> np.ndarray:
        """(seeds, proteins) absolute errors in target units."""
        inside = self.inside(split)
        return np.abs(self.predictions[candidate][:, inside] - self.labels["tm"].to_numpy()[inside])

    def arm(self, candidate: str, split: str) -> Arm:
        """Its errors as one side of a comparison."""
        return Arm.single(self.errors(candidate, split), self.seeds[candidate])

    def arm_of_searches(self, candidates: Sequence[str], split: str) -> Arm:
        """The errors of several searches' winners as one side; winners that predict the same are one observation."""
        return Arm.of(
            [self.errors(name, split) for name in candidates],
            [self.seeds[name] for name in candidates],
            [self.outcome(name) for name in candidates],
        )

    def outcome(self, candidate: str) -> str:
        """A label that candidates share which predict exactly the same."""
        return outcome_label(self.predictions[candidate], self.seeds[candidate])

    def level(self, candidate: str, split: str) -> Estimate:
        """Its MAE in target units, mean over seeds, over protein families and training seeds."""
        return estimate(self.arm(candidate, split), None, self.clusters(split))

    def difference(self, candidate: str, other: str, split: str) -> Estimate:
        """MAE of `candidate` minus that of `other`, paired over proteins and the seeds that both have."""
        return estimate(self.arm(candidate, split), self.arm(other, split), self.clusters(split))

    def scores(self, candidate: str, split: str) -> dict[str, float]:
        """Mean over seeds of each score."""
        inside = self.inside(split)
        organisms = self.labels["organism"].to_list()
        found = score(
            self.predictions[candidate][:, inside],
            self.labels["tm"].to_numpy()[inside],
            [organisms[i] for i in inside],
        )
        return {name: float(values.mean()) for name, values in found.items()}


def candidate_of(plan: pl.DataFrame, purpose: str, strategy: str | None, trajectory: int | None) -> str | None:
    """The folder of the one candidate that a plan has for this purpose; None without one."""
    rows = plan.filter(
        (pl.col("purpose") == purpose)
        & pl.col("strategy").eq_missing(pl.lit(strategy, dtype=pl.String))
        & pl.col("trajectory").eq_missing(pl.lit(trajectory, dtype=pl.Int64))
    )
    return rows["candidate"][0] if len(rows) else None


def winners(
    trials: pl.DataFrame,
    considered: pl.DataFrame,
    runs: pl.DataFrame,
    plan: pl.DataFrame,
    confirmed: Confirmed,
    flattery: Optimism,
) -> pl.DataFrame:
    """The table `winners`: one row per search."""
    exact = {
        (row["strategy"], row["trajectory"], row["iteration"]): row for row in trial_scores(runs).iter_rows(named=True)
    }
    baseline = candidate_of(plan, "baseline", None, None)
    planned = {name: len(seeds) for name, seeds in plan.select("candidate", "seeds").iter_rows()}
    rows = []
    for trial in winners_of(trials, considered):
        key = (trial["strategy"], trial["trajectory"])
        seen = exact[(*key, trial["iteration"])]
        row = dict.fromkeys(WINNERS.names) | {
            name: trial[name] for name in (*SEARCH_KEY, "iteration", "origin", "script", "knobs", "parameter_count")
        }
        row |= {
            "search_val_mae": seen["val_mae"],
            "search_test_mae": seen["test_mae"],
            "select_mae": trial["select_mae"],
        }
        if found := flattery.of(key):
            row["optimism"] = found.value
            row["optimism_low"], row["optimism_high"] = found.interval()
        row |= _confirmation(candidate_of(plan, "winner", *key), baseline, confirmed, planned)
        rows.append(row)
    return table(rows, WINNERS)


def _confirmation(candidate: str | None, baseline: str | None, confirmed: Confirmed, planned: dict[str, int]) -> dict:
    """The columns of a winner that come from its fresh seeds."""
    if candidate is None:
        return {"confirmed_seeds": 0, "failed_seeds": 0, "note": "not confirmed on fresh seeds"}
    if candidate not in confirmed:
        return {
            "candidate": candidate,
            "confirmed_seeds": 0,
            "failed_seeds": planned[candidate],
            "note": "every fresh seed failed",
        }
    seeds, notes = len(confirmed.seeds[candidate]), []
    val, test = (confirmed.level(candidate, split) for split in ("val", "test"))
    scores = confirmed.scores(candidate, "test")
    inside = confirmed.inside("test")
    ensemble = confirmed.predictions[candidate][:, inside].mean(axis=0) - confirmed.labels["tm"].to_numpy()[inside]
    row = {
        "candidate": candidate,
        "outcome": confirmed.outcome(candidate),
        "confirmed_seeds": seeds,
        "failed_seeds": planned[candidate] - seeds,
        "test_ensemble_mae": float(np.abs(ensemble).mean()),
    } | {f"test_{name}": none_if_nan(scores[name]) for name in _SHOWN_SCORES}
    for split, level in (("val", val), ("test", test)):
        row[f"{split}_mae"] = level.value
        row[f"{split}_low"], row[f"{split}_high"] = level.interval()
    if seeds == 1:
        notes.append("one fresh seed: its luck is unknown, so there is no interval")
    if planned[candidate] > seeds:
        notes.append(f"{planned[candidate] - seeds} of {planned[candidate]} fresh seeds failed")
    if baseline not in confirmed:
        notes.append("the baseline has no confirmed run")
    elif row["outcome"] == confirmed.outcome(baseline):
        row["gain"] = 0.0
        notes.append("the winner is the baseline itself")
    else:
        gain = confirmed.difference(candidate, baseline, "test")
        row["gain"] = gain.value
        row["gain_low"], row["gain_high"] = gain.interval()
    return row | {"note": "; ".join(notes) or None}


def baseline(trials: pl.DataFrame, plan: pl.DataFrame, confirmed: Confirmed) -> pl.DataFrame:
    """The table `baseline`: trial 0 on fresh seeds, one row; none if it was not confirmed."""
    candidate = candidate_of(plan, "baseline", None, None)
    if candidate not in confirmed:
        return table([], BASELINE)
    test = confirmed.level(candidate, "test")
    low, high = test.interval()
    scores, seeds = confirmed.scores(candidate, "test"), len(confirmed.seeds[candidate])
    sizes = trials.filter(pl.col("iteration") == 0)["parameter_count"].drop_nulls()
    row = {
        "candidate": candidate,
        "seeds": seeds,
        "val_mae": float(confirmed.errors(candidate, "val").mean()),
        "test_mae": test.value,
        "low": low,
        "high": high,
        "parameter_count": sizes[0] if len(sizes) else None,
        "note": "one fresh seed: its luck is unknown, so there is no interval" if seeds == 1 else None,
    }
    return table([row | {f"test_{name}": none_if_nan(scores[name]) for name in _SHOWN_SCORES}], BASELINE)


def winner_predictions(plan: pl.DataFrame, confirmed: Confirmed) -> pl.DataFrame:
    """The table `winner_predictions`: each winner's and the baseline's mean prediction per protein."""
    frames = []
    wanted = plan.filter(pl.col("purpose").is_in(["winner", "baseline"]))
    for row in wanted.iter_rows(named=True):
        if row["candidate"] not in confirmed:
            continue
        predictions = confirmed.predictions[row["candidate"]]
        frames.append(
            predictions_frame(
                confirmed.labels,
                predictions,
                role=row["purpose"],
                strategy=row["strategy"],
                trajectory=row["trajectory"],
            )
        )
    return pl.concat(frames) if frames else table([], WINNER_PREDICTIONS)


def predictions_frame(
    labels: pl.DataFrame, predictions: np.ndarray, *, role: str, strategy: str | None, trajectory: int | None
) -> pl.DataFrame:
    """Rows of `winner_predictions` from predictions (seeds, proteins) in the labels' order."""
    seeds = len(predictions)
    spread = predictions.std(axis=0, ddof=1) if seeds > 1 else [None] * predictions.shape[1]
    return labels.select(
        role=pl.lit(role),
        strategy=pl.lit(strategy, dtype=pl.String),
        trajectory=pl.lit(trajectory, dtype=pl.Int64),
        protein_id="protein_id",
        split="split",
        organism="organism",
        cluster="cluster",
        length="length",
        tm="tm",
        prediction=pl.Series(predictions.mean(axis=0), dtype=pl.Float64),
        prediction_sd=pl.Series(spread, dtype=pl.Float64),
        seeds=pl.lit(seeds, dtype=pl.Int64),
    )


def confirmed_winners(won: pl.DataFrame, strategy: str) -> list[str]:
    """The candidates of a strategy's confirmed winners, search by search."""
    own = won.filter((pl.col("strategy") == strategy) & (pl.col("confirmed_seeds") > 0))
    return own.sort("trajectory")["candidate"].to_list()


def strategies(
    trials: pl.DataFrame,
    won: pl.DataFrame,
    incumbent: pl.DataFrame,
    efficiency: pl.DataFrame,
    confirmed: Confirmed,
    flattery: Optimism,
) -> pl.DataFrame:
    """The table `strategies`: one row per strategy, the search as the unit.

    Args:
        won: the table `winners`; `incumbent` and `efficiency`: the tables of these names.
    """
    rows = []
    for strategy in trials["strategy"].unique(maintain_order=True):
        own = trials.filter(pl.col("strategy") == strategy)
        best = won.filter(pl.col("strategy") == strategy)
        proven = best.filter(pl.col("confirmed_seeds") > 0)
        path = incumbent.filter(pl.col("strategy") == strategy).sort("trajectory", "iteration")
        last = path.group_by("trajectory", maintain_order=True).last()
        area = efficiency.filter((pl.col("strategy") == strategy) & (pl.col("axis") == "trials"))["auc"]
        names = confirmed_winners(won, strategy)
        distinct = proven["outcome"].n_unique()
        count = own["trajectory"].n_unique()
        notes = [] if distinct >= FEW else [_FEW_NOTE]
        mean, ends = None, (None, None)
        if names:
            level = estimate(confirmed.arm_of_searches(names, "test"), None, confirmed.clusters("test"))
            mean, ends = level.value, level.interval()
        if distinct == 1:
            notes.append("one distinct search: the interval does not say how another search would end")
        if distinct < len(names):
            notes.append(f"{len(names)} searches, {distinct} distinct")
        if len(names) < count:
            notes.append(f"{count - len(names)} of {count} searches have no confirmed winner")
        flattered = flattery.of(*((strategy, trajectory) for trajectory in best["trajectory"]))
        noise = seed_noise(own.to_dicts())
        rows.append(
            {
                "strategy": strategy,
                "trajectories": count,
                "trials": len(own),
                "ok": int((own["status"] == "ok").sum()),
                "failed": int((own["status"] != "ok").sum()),
                "kept": int(((own["incumbent"] == own["iteration"]) & (own["iteration"] > 0)).sum()),
                "search_val_mae": best["search_val_mae"].mean(),
                "confirmed": len(proven),
                "distinct": distinct,
                "test_mae": mean,
                "test_low": ends[0],
                "test_high": ends[1],
                "test_sd": proven["test_mae"].std() if len(proven) > 1 else None,
                "test_within_rho": proven["test_within_rho"].mean(),
                "val_mae": proven["val_mae"].mean(),
                "optimism": flattered.value if flattered else None,
                "optimism_low": flattered.interval()[0] if flattered else None,
                "optimism_high": flattered.interval()[1] if flattered else None,
                "gain": proven["gain"].mean(),
                "seed_sd": noise or None,
                "auc": area.mean(),
                "fit_s": last["fit_s"].mean(),
                "device_s": last["device_s"].mean(),
                "cost_usd": last["cost_usd"].mean() if not last["cost_usd"].null_count() else None,
                "note": "; ".join(notes) or None,
            }
        )
    return table(rows, STRATEGIES)
