"""An external set of a simulated study: a table that is prepared as in a study, and drawn predictions of it."""

from pathlib import Path

import polars as pl
from simulated_study import Errors, SimulatedStudy, true_mae

from tmelt.evidence.schema import EXTERNAL_PREDICTED, EXTERNAL_PROTEINS
from tmelt.proteins.external import prepare_external
from tmelt.proteins.synthesize import synthesize
from tmelt.search.history import Proposal
from tmelt.storage.schema import LABELS, PROTEINS, read_table, write_table
from tmelt.study.config import Data, ExternalSet, Synthetic

LOSS = 1.0  # °C by which candidates err more on the set than on test


def write_table_of_set(path: Path, study: pl.DataFrame, seed: int = 9) -> Path:
    """Forty proteins of other families, of three parents, and twenty of the study's with other labels."""
    made = synthesize(Synthetic(proteins=60, organisms=2, length_median=60, length_max=90, seed=seed))
    seen = {record.sequence: record for record in made.records}
    lines = ["protein_id,sequence,tm,organism,wild_type_of"]
    for number, record in enumerate(list(seen.values())[:40]):
        lines.append(f"n{number},{record.sequence},{record.tm:.2f},{record.organism},wt{number % 3}")
    for number, sequence in enumerate(study.filter(pl.col("split") == "fit")["sequence"][:20]):
        lines.append(f"o{number},{sequence},{45 + number:.2f},elsewhere,")
    path.write_text("\n".join(lines) + "\n")
    return path


def add_external_set(simulated: SimulatedStudy, name: str = "lab") -> Path:
    """Write the set, and what each candidate with kept checkpoints predicts of it; returns the set's folder."""
    study = read_table(simulated.data / "proteins.parquet", PROTEINS)
    table = write_table_of_set(simulated.root / f"{name}.csv", study)
    told = ExternalSet(source=str(table), columns={"parent": "wild_type_of"})
    folder = simulated.study / "external" / name
    prepare_external(told.data(name, Data(name="simulated")), "0" * 64, study, folder)
    proteins = read_table(folder / "proteins.parquet", EXTERNAL_PROTEINS)
    tm = read_table(folder / "vault" / "labels.parquet", LABELS)["tm"].to_numpy()
    errors = Errors(proteins["protein_id"].to_list(), proteins["cluster"].to_list(), salt=name)
    plan = pl.read_parquet(simulated.study / "confirm" / "plan.parquet")
    for candidate in plan.filter(pl.col("purpose").is_in(["winner", "baseline"]))["candidate"].unique().sort():
        place = simulated.study / "confirm" / candidate
        proposal = Proposal.read(place)
        mae = true_mae(proposal.script, proposal.knobs) + LOSS
        rows = [
            {"candidate": candidate, "seed": seed, "protein_id": protein, "prediction": float(value), "note": None}
            for seed in simulated.fresh_seeds
            for protein, value in zip(proteins["protein_id"], tm + errors.draw(mae, candidate, seed), strict=True)
        ]
        write_table(place / f"external_{name}.parquet", rows, EXTERNAL_PREDICTED)
    return folder
