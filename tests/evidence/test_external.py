"""External test sets of a simulated study: their tables, their openings, and what they share with training."""

import numpy as np
import polars as pl
import pytest
from external_set import LOSS
from simulated_study import true_mae

from tmelt.evidence.external import domain_auroc
from tmelt.evidence.schema import EXTERNAL_PROTEINS
from tmelt.proteins.external import relate
from tmelt.proteins.synthesize import synthesize
from tmelt.search.history import Proposal
from tmelt.storage.files import read_json
from tmelt.storage.schema import PROTEINS, read_table
from tmelt.study.config import Synthetic


def test_errors_are_near_the_truth_and_homologues_are_left_out_of_the_distant_part(simulated, read):
    rows = read("external").filter((pl.col("metric") == "mae") & (pl.col("role") == "winner"))
    plan = pl.read_parquet(simulated.study / "confirm" / "plan.parquet").filter(pl.col("purpose") == "winner")
    inside = 0
    for row in rows.filter(pl.col("part") == "all").to_dicts():
        own = plan.filter((pl.col("strategy") == row["strategy"]) & (pl.col("trajectory") == row["trajectory"]))
        proposal = Proposal.read(simulated.study / "confirm" / own["candidate"][0])
        inside += row["low"] < true_mae(proposal.script, proposal.knobs) + LOSS < row["high"]
    assert inside >= 5  # of 6
    assert set(rows["proteins"]) == {60, 40} and rows["part"].to_list().count("distant") == 6


def test_every_model_has_every_score_and_differences_are_against_the_baseline(read):
    table = read("external").filter(pl.col("part") == "all")
    for role, count in (("baseline", 1), ("winner", 6), ("strategy", 3), ("floor", 2)):
        own = table.filter((pl.col("role") == role) & (pl.col("metric") == "parent_rho"))
        assert len(own) == count, role
    errors = {row["strategy"]: row["value"] for row in _scores(table, "strategy", "mae")}
    (base,) = (row["value"] for row in _scores(table, "baseline", "mae"))
    for row in _scores(table, "strategy", "mae_difference"):
        assert row["value"] == pytest.approx(errors[row["strategy"]] - base)
    assert set(table.drop_nulls("threshold")["threshold"]) == {55.0}


def _scores(table, role, metric):
    return table.filter((pl.col("role") == role) & (pl.col("metric") == metric)).to_dicts()


def test_facts_of_a_set_say_what_it_shares_with_training(simulated, read):
    (facts,) = read("external_sets").to_dicts()
    proteins = read_table(simulated.study / "external" / "lab" / "proteins.parquet", EXTERNAL_PROTEINS)
    assert facts["in_study"] == facts["homologous"] == 20 and facts["proteins"] == 60
    assert set(proteins.filter(pl.col("homologous"))["identity"]) == {1.0}
    assert 0.5 < facts["domain_auroc"] <= 1
    predicted = read("external_predictions")
    assert len(predicted) == 7 * 60 and set(predicted["set"]) == {"lab"}


def test_an_opening_is_logged_after_that_of_test_and_is_no_look(simulated):
    log = read_json(simulated.study / "vault_log.json")
    assert [entry["rule"] for entry in log] == ["open_test_labels", "open_external_labels"]
    (path,) = log[-1]["labels"]
    assert path.endswith("external/lab/vault/labels.parquet") and log[-1]["runs"] == 3 * 7
    from tmelt.evidence.looks import looks

    assert len(looks(log, None)) == 1


def test_relatives_of_training_proteins_are_found_and_those_of_test_are_not(simulated):
    study = read_table(simulated.data / "proteins.parquet", PROTEINS)
    of = {split: study.filter(pl.col("split") == split)["sequence"][0] for split in ("fit", "test")}
    mutated = of["fit"][:10] + "W" + of["fit"][11:]
    found = relate([of["fit"], mutated, of["test"]], study)
    assert found["in_study"].to_list() == ["fit", None, "test"]
    assert found["homologous"].to_list()[:2] == [True, True]
    assert found["identity"][0] == 1 and 0.9 < found["identity"][1] < 1
    assert found["cluster"][0] == found["cluster"][1] != found["cluster"][2]


def test_the_domain_score_tells_two_domains_apart_and_not_one():
    def sequences(seed, organisms):
        made = synthesize(Synthetic(proteins=150, organisms=organisms, length_median=80, length_max=120, seed=seed))
        return [record.sequence for record in made.records]

    one = sequences(0, 3)
    random = np.random.default_rng(0).permutation(len(one))
    halves = [[one[i] for i in part] for part in np.array_split(random, 2)]
    assert domain_auroc(*halves) < 0.65
    assert domain_auroc(one, [text.replace("L", "K") for text in sequences(1, 3)]) > 0.95
    assert domain_auroc(one, one[:5]) is None
