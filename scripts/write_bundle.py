"""Pack the study's winner, chosen by select, as a file that `tmelt predict` uses on new sequences.

Reads   protocol.json, the embedding's pool, proteins.parquet; trials, floors, endpoints (tables/), plan,
        confirmed_predictions, labels; confirm/{candidate}/ and the journal, which keeps the winners' checkpoints
Writes  bundle ({study}.zip), card (model_card.md, the one inside it)
"""

from pathlib import Path

from tmelt.bundle import write
from tmelt.command import run_command
from tmelt.embed.settings import parse_backbone
from tmelt.evidence.schema import ENDPOINTS, FLOORS, PLAN, TRIALS
from tmelt.evidence.winners import Confirmed
from tmelt.storage.schema import read_table


def write_bundle(
    *,
    study: Path,
    protocol: Path,
    embedding: Path,
    proteins: Path,
    trials: Path,
    plan: Path,
    confirmed_predictions: Path,
    labels: Path,
    floors: Path,
    endpoints: Path,
    backbone: str,
    nonstandard: str,
    cores: int,
    bundle: Path,
    card: Path,
) -> None:
    """Choose, check that the kept checkpoints predict what was recorded, pack."""
    chosen = write.write_bundle(
        study=study,
        protocol=protocol,
        embedding=embedding.parent,
        proteins=proteins,
        trials=read_table(trials, TRIALS),
        plan=read_table(plan, PLAN),
        confirmed=Confirmed.read(confirmed_predictions, labels),
        floors=read_table(floors, FLOORS),
        endpoints=read_table(endpoints, ENDPOINTS),
        backbone=parse_backbone(backbone),
        nonstandard=nonstandard,
        cores=cores,
        bundle=bundle,
        card=card,
    )
    print(f"{bundle}: {chosen.candidate}, MAE {chosen.select_mae:.2f} on select, {len(chosen.seeds)} fresh seeds")


if __name__ == "__main__":
    run_command(write_bundle)
