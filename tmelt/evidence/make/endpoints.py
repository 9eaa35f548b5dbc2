"""Score the decisions that are taken by a prediction, on test; `endpoints` is that part of the config as JSON."""

import polars as pl

from tmelt.evidence.schema import ENDPOINTS

TABLES = {"endpoints": ENDPOINTS}


def make(
    plan: pl.DataFrame,
    confirmed_predictions: pl.DataFrame,
    labels: pl.DataFrame,
    floor_predictions: pl.DataFrame,
    asked: str,
) -> dict[str, pl.DataFrame]:
    """AUROC and average precision at a threshold, enrichment, and rank correlations, with intervals."""
    from tmelt.evidence.endpoints import endpoints
    from tmelt.evidence.winners import Confirmed
    from tmelt.study.config import Endpoints

    confirmed = Confirmed.of(confirmed_predictions, labels)
    wanted = Endpoints.model_validate_json(asked)
    return {"endpoints": endpoints(plan, confirmed, floor_predictions, wanted)}
