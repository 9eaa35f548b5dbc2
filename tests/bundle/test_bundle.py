"""A bundle of a real study: what it holds, that it is the model that was measured, and what `tmelt predict` does."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from tmelt.bundle.archive import ABOUT, CARD, RESIDUALS, SCRIPT, open_bundle, write_archive
from tmelt.bundle.facts import SYNTHETIC
from tmelt.bundle.front_matter import without_front_matter
from tmelt.bundle.predict import predict_file, predicted_schema
from tmelt.bundle.reference import FITTED
from tmelt.errors import InputError
from tmelt.evidence.conformal import half_width
from tmelt.storage.schema import HIDDEN, read_table
from tmelt.study.target import TM

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("warm_sandbox")]

SETTINGS = {
    "level": 0.9,
    "weights": None,
    "embeddings": None,
    "sandbox": "auto",
    "sandbox_image": None,
    "device": None,
    "precision": None,
    "threads": None,
    "seconds": 600.0,
}


def tmelt(*arguments, cwd=None, fails=False):
    """The command as a person runs it; its output and its complaints."""
    done = subprocess.run(
        [Path(sys.executable).parent / "tmelt", *map(str, arguments)],
        cwd=cwd,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert (done.returncode != 0) == fails, done.stderr
    return done.stdout, done.stderr


def about_of(bundle):
    return json.loads(zipfile.ZipFile(bundle).read(ABOUT))


def proteins_of(finished, *splits):
    (path,) = finished.folder.glob("results/data/*/proteins.parquet")
    return pl.read_parquet(path).filter(pl.col("split").is_in(splits))


def write_fasta(path, proteins):
    path.write_text("".join(f">{name} some words\n{sequence}\n" for name, sequence in proteins))
    return path


@pytest.fixture(scope="module")
def hidden(finished, tmp_path_factory):
    """The proteins of val, select and test as FASTA."""
    rows = proteins_of(finished, *HIDDEN).select("protein_id", "sequence").iter_rows()
    return write_fasta(tmp_path_factory.mktemp("fasta") / "hidden.fasta", rows)


@pytest.fixture(scope="module")
def predicted(hidden, bundle, tmp_path_factory):
    """What the command wrote for them, and what it said."""
    output = tmp_path_factory.mktemp("predicted") / "predictions.parquet"
    said = tmelt("predict", hidden, "--bundle", bundle, "--output", output)
    return read_table(output, predicted_schema(TM)), said


def recorded(finished, about):
    """Mean and spread over the seeds of what the confirmation recorded."""
    folder = finished.study / "confirm" / about["winner"]["candidate"]
    frames = [pl.read_parquet(folder / f"s{seed}" / "predictions.parquet") for seed in about["seeds"]]
    return (
        pl.concat(frames)
        .group_by("protein_id", maintain_order=True)
        .agg("split", mean=pl.col("prediction").mean(), sd=pl.col("prediction").std())
        .with_columns(split=pl.col("split").list.first())
    )


def test_new_sequences_get_what_the_measured_model_predicts(finished, bundle, predicted):
    about = about_of(bundle)
    both = predicted[0].join(recorded(finished, about), on="protein_id", how="left", maintain_order="left")
    assert len(both) == sum(about["training"]["proteins"][split] for split in HIDDEN)
    # fp32 on the CPU: the same bits, through FASTA, embedding, sandbox and file.
    assert both["tm"].to_list() == pytest.approx(both["mean"].to_list(), abs=1e-9)
    assert both["seed_sd"].to_list() == pytest.approx(both["sd"].to_list(), abs=1e-9)


def test_the_interval_is_the_errors_on_select(finished, bundle, predicted):
    about = about_of(bundle)
    labels = pl.read_parquet(finished.study / "evidence" / "labels.parquet")
    rows = predicted[0].join(
        labels.select("protein_id", "split", measured="tm"), on="protein_id", maintain_order="left"
    )
    errors = (rows["tm"] - rows["measured"]).abs()
    half = half_width(errors.filter(rows["split"] == "select").to_list(), 0.9)
    assert (rows["high"] - rows["tm"]).to_list() == pytest.approx([half] * len(rows))
    assert (rows["tm"] - rows["low"]).to_list() == pytest.approx([half] * len(rows))
    assert set(rows["level"]) == {0.9}
    shown = {row["level"]: row for row in about["measured"]["coverage"]}
    test = rows.filter(pl.col("split") == "test")
    held = ((test["measured"] >= test["low"]) & (test["measured"] <= test["high"])).mean()
    assert shown[0.9]["test_coverage"] == pytest.approx(held)
    assert shown[0.9]["half_width"] == pytest.approx(half)


def test_the_command_says_what_it_did_and_what_to_beware_of(predicted):
    output, complaints = predicted[1]
    assert "proteins, Tm" in output
    assert "0.9 interval ±" in output
    assert complaints.startswith(
        "Do not use it for real proteins: synthetic data and untrained backbone. --reference predicts by"
    )
    assert "SYNTHETIC DATA" in complaints
    assert "UNTRAINED BACKBONE" in complaints


def test_the_reference_predictor_goes_along(finished, bundle, hidden, tmp_path):
    """Its numbers are those of the study's tables, without embeddings, sandbox or the script."""
    output, complaints = tmelt("predict", hidden, "--bundle", bundle, "--output", tmp_path / "p.parquet", "--reference")
    assert "Predicted by the reference predictor of the study: " in complaints and "0.9 interval ±" in output
    floors = pl.read_parquet(finished.study / "tables" / "floors.parquet").filter(pl.col("name").is_in(FITTED))
    best = floors.sort("val_mae")["name"][0]
    made = pl.read_parquet(finished.study / "tables" / "floor_predictions.parquet")
    means = made.filter(pl.col("strategy") == best).group_by("protein_id").agg(expected=pl.col("prediction").mean())
    both = read_table(tmp_path / "p.parquet", predicted_schema(TM)).join(means, on="protein_id")
    assert len(both) > 20 and both["tm"].to_list() == pytest.approx(both["expected"].to_list(), abs=1e-6)


def test_the_winner_is_the_best_by_select(finished, bundle):
    assert about_of(bundle)["winner"]["searches"]  # found by a search: the fixture's baseline is poor
    runs = pl.read_parquet(finished.study / "tables" / "confirmed_runs.parquet")
    means = dict(runs.group_by("candidate").agg(pl.col("select_mae").mean()).iter_rows())
    about = about_of(bundle)
    assert means[about["winner"]["candidate"]] == min(means.values())
    winners = pl.read_parquet(finished.study / "tables" / "winners.parquet")
    for row in winners.filter(pl.col("candidate") == about["winner"]["candidate"]).iter_rows(named=True):
        for name in ("val_mae", "test_mae", "test_low", "test_high", "test_ensemble_mae"):
            assert about["measured"]["winner"][name] == pytest.approx(row[name])


def test_the_card_says_what_it_is_and_is_not(finished, bundle):
    card = tmelt("card", bundle)[0]
    assert card == without_front_matter((finished.study / "bundle" / "model_card.md").read_text())
    about = about_of(bundle)
    winner = about["measured"]["winner"]
    for words in (
        "SYNTHETIC DATA",
        "UNTRAINED BACKBONE",
        f"{winner['val_mae']:.2f}",
        f"{winner['test_mae']:.2f} | {winner['test_low']:.2f} to {winner['test_high']:.2f}",
        f"Trained on {about['training']['proteins']['fit']} proteins",
        "synthetic organism 1",
        "median of training",
        "so true coverage may be a little lower",
        "The study records none",
        "| batch_size |",
        about["software"]["packages"]["torch"],
    ):
        assert words in card.replace("proteins chose\nthe model", "proteins chose the model"), words


def test_bad_entries_are_skipped_and_listed(bundle, tmp_path, capsys):
    some = tmp_path / "some.fasta"
    some.write_text(">lysozyme hen\nMKVLLAWYHCMKVLLAWYHC\n>gap\nMK-VL\n>lysozyme T4\nMKVLLAWYHCMKVLLAWYHE\n")
    said = predict_file(some, bundle=bundle, output=tmp_path / "p.csv", **SETTINGS)
    rows = pl.read_csv(tmp_path / "p.csv")
    assert rows["protein_id"].to_list() == ["lysozyme hen", "gap", "lysozyme T4"]
    assert rows["tm"].is_null().to_list() == [False, True, False]
    assert rows["warning"][1].startswith("not predicted: '-' at position 3 is no residue")
    assert "3 proteins" in said and "1 not predicted" in said
    assert "skipped 'gap': not predicted: '-' at position 3" in capsys.readouterr().err


def test_csv_holds_the_same_as_parquet(hidden, bundle, predicted, tmp_path):
    predict_file(hidden, bundle=bundle, output=tmp_path / "out" / "p.csv", **SETTINGS)
    found = pl.read_csv(tmp_path / "out" / "p.csv", schema_overrides={"warning": pl.String})
    assert found.equals(predicted[0])
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["p.csv"]


def test_chunks_and_companions_change_nothing(finished, bundle, hidden, predicted, tmp_path, monkeypatch):
    monkeypatch.setattr("tmelt.bundle.predict.RESIDUES_AT_ONCE", 300)
    (first, *_, last) = proteins_of(finished, "val", "test").select("protein_id", "sequence").rows()
    some = write_fasta(tmp_path / "some.fasta", [last, ("long", first[1] * 12), first, ("again", first[1])])
    predict_file(some, bundle=bundle, output=tmp_path / "p.parquet", **SETTINGS)
    found = read_table(tmp_path / "p.parquet", predicted_schema(TM))
    assert found["protein_id"].to_list() == [last[0], "long", first[0], "again"]
    before = dict(predicted[0].select("protein_id", "tm").iter_rows())
    assert found["tm"][0] == pytest.approx(before[last[0]], abs=1e-4)
    assert found["tm"][2] == found["tm"][3] == pytest.approx(before[first[0]], abs=1e-4)
    assert "longer than any trained on" in found["warning"][1]


def test_warnings_stand_beside_the_proteins(finished, bundle, tmp_path):
    (name, sequence) = proteins_of(finished, "fit").select("protein_id", "sequence").row(0)
    file = write_fasta(tmp_path / "a.fasta", [(name, sequence), ("odd", "B" + sequence[1:]), ("blank", "X" * 40)])
    predict_file(file, bundle=bundle, output=tmp_path / "p.parquet", **SETTINGS)
    known, odd, blank = read_table(tmp_path / "p.parquet", predicted_schema(TM)).iter_rows(named=True)
    assert "in the training set" in known["warning"]
    assert "non-standard residues B read as X" in odd["warning"]
    assert odd["tm"] is not None
    assert "not predicted" in blank["warning"]
    assert blank["tm"] is blank["low"] is None


def test_another_level_gives_another_width(bundle, hidden, tmp_path):
    widths = []
    for level in (0.5, 0.8):
        predict_file(hidden, bundle=bundle, output=tmp_path / "p.parquet", **SETTINGS | {"level": level})
        frame = read_table(tmp_path / "p.parquet", predicted_schema(TM))
        widths.append(frame["high"][0] - frame["low"][0])
    assert widths == pytest.approx(
        [2 * half_width(json.loads(open_bundle(bundle).text(RESIDUALS)), x) for x in (0.5, 0.8)]
    )


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"output": "p.xlsx"}, "--output: p.xlsx: the name should end in .parquet or .csv"),
        ({"level": 0.999}, "level: 0.999 needs 999 proteins of select"),
        ({"level": 1.5}, "level: 1.5: a number between 0 and 1"),
        ({"bundle": "none.zip"}, "none.zip: no such file"),
        ({"fasta": "none.fasta"}, "none.fasta: no such file"),
        ({"weights": "none.pt"}, "--weights: this bundle's backbone is untrained"),
        ({"sandbox": "jail"}, "sandbox: 'jail' is unknown; expected one of auto"),
        ({"device": "tpu"}, "device 'tpu': cpu or cuda"),
        pytest.param(
            {"device": "cuda"},
            "--device: torch finds no GPU here; give --device cpu",
            marks=pytest.mark.skipif(torch.cuda.is_available(), reason="there is one"),
        ),
        ({"output": "file/p.csv"}, "cannot be written"),
    ],
)
def test_a_persons_mistake_is_one_line_and_leaves_nothing(bundle, hidden, tmp_path, monkeypatch, changes, said):
    monkeypatch.chdir(tmp_path)
    Path("file").write_text("")
    settings = SETTINGS | {"bundle": bundle, "output": "p.csv", "fasta": hidden} | changes
    settings = {key: Path(settings[key]) if key in ("bundle", "output", "weights") and settings[key] else value
                for key, value in settings.items()}  # fmt: skip
    with pytest.raises(InputError, match=said.replace("?", r"\?")) as error:
        predict_file(Path(settings.pop("fasta")), **settings)
    assert "\n" not in str(error.value)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_the_command_ends_with_one_line_and_status_2(bundle, tmp_path):
    (tmp_path / "a.fasta").write_text(">a\nMK1VL\n")
    output, complaints = tmelt("predict", "a.fasta", "--bundle", bundle, "--output", "p.csv", cwd=tmp_path, fails=True)
    assert output == ""
    assert complaints == (
        "error: a.fasta: line 1: protein 'a': '1' at position 3 is no residue; write amino acids in one-letter code\n"
    )


def rebuilt(bundle, path, script=None, **changes):
    """The bundle with another script or other facts, and hashes to fit: made by somebody who means harm."""
    with zipfile.ZipFile(bundle) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    about = json.loads(members.pop(ABOUT))
    if script is not None:
        members[SCRIPT] = script.encode()
    for key in ("format", "members", "sha256"):
        about.pop(key)
    write_archive(path, about | changes, members)
    return path


def test_a_bundles_script_gets_nothing_of_the_persons(bundle, hidden, tmp_path, monkeypatch, own_sandbox):
    secret = tmp_path / "secret.txt"
    secret.write_text("secret")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-planted")
    script = (
        "import os\nimport socket\nimport numpy as np\n"
        "def predict(task, checkpoint):\n"
        "    stolen = [name for name in os.environ if 'KEY' in name]\n"
        f"    for path in ({str(secret)!r}, {str(bundle)!r}):\n"
        "        for mode in ('rb', 'ab'):\n"
        "            try: open(path, mode); stolen.append(path)\n"
        "            except OSError: pass\n"
        "    try: socket.create_connection(('127.0.0.1', 22), 1); stolen.append('network')\n"
        "    except ConnectionRefusedError: stolen.append('network')\n"
        "    except OSError: pass\n"
        "    try: (checkpoint / 'x').write_text('x'); stolen.append('checkpoint')\n"
        "    except OSError: pass\n"
        "    return np.full(len(task.pool), 40.0 + len(stolen))\n"
    )
    evil = rebuilt(bundle, tmp_path / "evil.zip", script)
    predict_file(hidden, bundle=evil, output=tmp_path / "p.csv", **SETTINGS)
    assert set(pl.read_csv(tmp_path / "p.csv")["tm"]) == {40.0}
    assert secret.read_text() == "secret"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("raise ValueError('no idea')", r"with seed 1000000 \(ended as crash\); it said ValueError: no idea"),
        ("return [1.0]", r"\(wrong_count\)"),
        ("return [float('nan')] * len(task.pool)", r"\(not_finite\)"),
    ],
)
def test_a_script_that_fails_is_one_line(bundle, hidden, tmp_path, body, said):
    broken = rebuilt(bundle, tmp_path / "broken.zip", f"def predict(task, checkpoint):\n    {body}\n")
    with pytest.raises(InputError, match=said) as error:
        predict_file(hidden, bundle=broken, output=tmp_path / "p.csv", **SETTINGS)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "p.csv").exists()


def test_the_reader_sets_the_limits(bundle, hidden, tmp_path):
    harness = about_of(bundle)["harness"]
    greedy = harness | {"budget": harness["budget"] | {"predict_s": 600_000.0}, "pool_residues": 1}
    script = "import time\ndef predict(task, checkpoint):\n    while True: pass\n"
    endless = rebuilt(bundle, tmp_path / "endless.zip", script, harness=greedy)
    with pytest.raises(InputError, match=r"\(ended as timeout\)"):
        predict_file(hidden, bundle=endless, output=tmp_path / "p.csv", **SETTINGS | {"seconds": 1.0})


def test_other_weights_are_refused(bundle, hidden, tmp_path):
    backbone = about_of(bundle)["backbone"] | {"seed": 1}
    other = rebuilt(bundle, tmp_path / "other.zip", backbone=backbone)
    with pytest.raises(InputError, match="not the weights that the bundle was made with"):
        predict_file(hidden, bundle=other, output=tmp_path / "p.csv", **SETTINGS)


def test_weights_from_a_file_are_asked_for_and_compared(bundle, hidden, predicted, tmp_path):
    """A bundle of a study whose weights came from a file, by the same tensors as a fair-esm checkpoint."""
    from argparse import Namespace

    from tmelt.embed.backbone import load_backbone
    from tmelt.study.config import Backbone

    model = load_backbone(Backbone(name="tiny", weights="random")).model
    state = {f"encoder.sentence_encoder.{key}": value for key, value in model.state_dict().items()
             if not key.startswith(("lm_head.", "contact_head."))}  # fmt: skip
    state |= {f"encoder.{key}": value for key, value in model.state_dict().items() if key.startswith("lm_head.")}
    settings = Namespace(
        encoder_layers=4, encoder_embed_dim=64, encoder_attention_heads=4, token_dropout=True, arch="roberta_large"
    )
    torch.save({"cfg": {"model": settings}, "model": state}, tmp_path / "w.pt")
    backbone = about_of(bundle)["backbone"] | {"untrained": False, "weights": "file", "file": "w.pt"}
    trained = rebuilt(bundle, tmp_path / "trained.zip", backbone=backbone, labels=[SYNTHETIC])
    with pytest.raises(InputError, match=r"--weights: needed: the study took tiny from a file of its own, w\.pt"):
        predict_file(hidden, bundle=trained, output=tmp_path / "p.parquet", **SETTINGS)
    predict_file(hidden, bundle=trained, output=tmp_path / "p.parquet", **SETTINGS | {"weights": tmp_path / "w.pt"})
    assert read_table(tmp_path / "p.parquet", predicted_schema(TM)).equals(predicted[0])


def winners_checkpoints(space):
    """The journal's entries that hold the winner's checkpoints."""
    entries = [path.parent for path in space.study.glob("journal/runs/*/*/checkpoint")]
    assert entries
    return entries


TARGET = ["results/take_home/bundle/take_home.zip"]


def test_a_lost_checkpoint_is_trained_again_to_the_same_bundle(copy):
    before = (copy.study / "bundle" / "take_home.zip").read_bytes()
    for entry in winners_checkpoints(copy):
        shutil.rmtree(entry)
    shutil.rmtree(copy.study / "bundle")
    copy.run(targets=TARGET)
    assert (copy.study / "bundle" / "take_home.zip").read_bytes() == before


def test_a_winner_whose_checkpoint_cannot_be_kept_is_passed_over_in_public(copy):
    """As if its script had left a pipe; the journal would hold the same (tests/harness/test_checkpoint.py)."""
    before = about_of(copy.study / "bundle" / "take_home.zip")
    hashes = set(before["members"].values())
    for entry in winners_checkpoints(copy):
        about = json.loads((entry / "run.json").read_text())
        if hashes & set(about["checkpoint"]["sha256"].values()):
            about["checkpoint"] = {"sha256": {}, "fault": "'pipe' is not a plain file"}
            (entry / "run.json").write_text(json.dumps(about))
    shutil.rmtree(copy.study / "bundle")
    copy.run(targets=TARGET)
    after = about_of(copy.study / "bundle" / "take_home.zip")
    assert after["winner"]["candidate"] != before["winner"]["candidate"]
    runs = pl.read_parquet(copy.study / "tables" / "confirmed_runs.parquet")
    means = dict(runs.group_by("candidate").agg(pl.col("select_mae").mean()).iter_rows())
    assert means[after["winner"]["candidate"]] >= means[before["winner"]["candidate"]]
    assert [one["candidate"] for one in after["passed_over"]] == [before["winner"]["candidate"]]
    said = "cannot be kept: 'pipe' is not a plain file"
    assert said in (copy.study / "bundle" / "model_card.md").read_text()
    assert before["winner"]["candidate"] in (copy.study / "logs" / "write_bundle.log").read_text()


def test_a_model_that_was_not_measured_is_not_packed(copy):
    """A journal with another model in it, whole and with the right hashes."""
    about = about_of(copy.study / "bundle" / "take_home.zip")
    candidate = copy.study / "confirm" / about["winner"]["candidate"]
    path = candidate / "s1000000" / "predictions.parquet"
    frame = pl.read_parquet(path)
    frame.with_columns(pl.col("prediction") + np.where(frame["split"] == "val", 0.02, 0.0)).write_parquet(path)
    shutil.rmtree(copy.study / "bundle")
    output = copy.run("--forcerun", "write_bundle", targets=TARGET, fails=True)
    assert "it is not the model that was measured then" in output
    assert not (copy.study / "bundle" / "take_home.zip").exists()


def test_the_card_beside_the_bundle_is_the_one_inside(finished, bundle):
    assert open_bundle(bundle).text(CARD) == (finished.study / "bundle" / "model_card.md").read_text()
