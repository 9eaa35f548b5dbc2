"""`tmelt check --time`: how long a trial takes, from a second of real training here."""

import random

import pytest
import yaml
from workflow import study

from tmelt.cli import main
from tmelt.front.trial_time import most_seconds
from tmelt.harness.training_speed import Speed, measure_speed
from tmelt.search.knobs import Space


def test_seconds_follow_from_residues_and_epochs():
    counts = {"fit": 100, "stop": 10, "val": 20, "select": 20, "test": 50}
    knobs, speed = {"epochs": 7, "crop": 100}, Speed(training=1000.0, prediction=4000.0)
    # An epoch: 100 windows of 100 residues in training, 10 whole proteins of 200; at the end 100 proteins and a tenth.
    assert most_seconds(counts, [100, 300], knobs, speed) == pytest.approx(7 * (10 + 0.5) + 1.1 * 5)


@pytest.mark.slow
def test_a_wider_model_is_measured_to_be_slower():
    lengths = [random.Random(at).randint(50, 120) for at in range(40)]
    knobs = Space().complete({"width": 64, "heads": 4, "feed_forward": 256, "depth": 1, "batch_size": 8})
    wide = knobs | {"width": 384, "feed_forward": 2048, "depth": 2}
    small, large = (
        measure_speed(lengths, features=64, knobs=each, threads=1, precision="fp32") for each in (knobs, wide)
    )
    assert small.training > 2 * large.training > 0
    assert large.prediction > large.training


@pytest.mark.slow
def test_the_command_says_it_by_the_configs_knobs_and_budget(tmp_path, capsys):
    rows = [
        f"p{at},{''.join(random.Random(at).choices('ACDEFGHIKLMNPQRSTVWY', k=40))},{45 + at % 9}" for at in range(80)
    ]
    (tmp_path / "t.csv").write_text("\n".join(["protein_id,sequence,tm", *rows]) + "\n")
    config = study(seeds=[0, 1, 2])
    config["design"]["budget"]["fit_s"] = 0.001
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(config))
    main(["check", str(tmp_path / "t.csv"), "--config", str(tmp_path / "study.yaml"), "--time"])
    said = capsys.readouterr().out
    assert "for 2 epochs with 64 numbers per residue" in said and "the study has seeds (3)" in said
    assert "raise design.budget.fit_s" in said
