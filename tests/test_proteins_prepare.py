"""The files of a data set: sealed, complete, the same every time; bad input ends the script in one line."""

import json
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from proteins_tables import data, row, rows, sequence, text, write

from tmelt.errors import InfrastructureError, InputError
from tmelt.proteins.clean import IN_VAULT
from tmelt.proteins.prepare import parse_data_config, prepare
from tmelt.proteins.record import read_data
from tmelt.storage.schema import CLEANING, CLEANING_ROWS, HIDDEN, LABELS, PROTEINS, SPLITS, read_table

ROOT = Path(__file__).parents[1]
FILES = {"proteins.parquet", "cleaning.parquet", "cleaning_rows.parquet", "audit.parquet"} | {
    f"vault/{split}.parquet" for split in HIDDEN
}


def bytes_of(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_default_data_set_is_complete_and_sealed(tmp_path):
    facts = prepare(data(), tmp_path)
    assert set(bytes_of(tmp_path)) == FILES | {"data.json"} and read_data(tmp_path) == facts
    proteins = read_table(tmp_path / "proteins.parquet", PROTEINS)
    assert proteins["protein_id"].n_unique() == proteins["sequence"].n_unique() == len(proteins) == 600
    labelled = proteins.filter(pl.col("tm").is_not_null())
    assert set(labelled["split"]) == {"fit", "stop"}
    assert len(labelled) == facts.splits["fit"] + facts.splits["stop"]
    for part in HIDDEN:
        sealed = read_table(tmp_path / "vault" / f"{part}.parquet", LABELS)
        assert sealed["protein_id"].to_list() == proteins.filter(split=part)["protein_id"].to_list()
        assert sealed["tm"].null_count() == 0 and len(sealed) == facts.splits[part]
    assert facts.synthetic and "made by the project's generator" in facts.description
    assert set(facts.generator["floors"]) == set(SPLITS)


def test_shuffled_labels_change_places_within_their_split(tmp_path):
    prepare(data(), tmp_path / "true")
    facts = prepare(data(shuffle_labels=True), tmp_path / "shuffled")
    assert facts.shuffled_labels and not facts.generator["floors"], "the maker's bounds are of the true labels"

    def labels(folder, split):
        path = tmp_path / folder / ("vault" if split in ("val", "test") else ".")
        table = read_table(path / (f"{split}.parquet" if split in ("val", "test") else "proteins.parquet"))
        return dict(
            (table.filter(split=split) if "split" in table.columns else table).select("protein_id", "tm").rows()
        )

    for split in ("fit", "stop", "val", "test"):
        true, shuffled = labels("true", split), labels("shuffled", split)
        assert true.keys() == shuffled.keys() and sorted(true.values()) == sorted(shuffled.values())
        assert sum(true[name] == shuffled[name] for name in true) < len(true) / 5
    prepare(data(shuffle_labels=True), tmp_path / "again")
    assert bytes_of(tmp_path / "again") == bytes_of(tmp_path / "shuffled")


def test_sealed_measurements_are_not_in_the_cleaning_tables(tmp_path):
    prepare(data(), tmp_path)
    steps = read_table(tmp_path / "cleaning.parquet", CLEANING)
    shown = read_table(tmp_path / "cleaning_rows.parquet", CLEANING_ROWS)
    assert steps["left"][-1] == 600 and steps["rows"].sum() > 600
    split = read_table(tmp_path / "proteins.parquet").select("protein_id", "split")
    repeated = shown.filter(what="sequence in several rows").join(split, on="protein_id")
    sealed = repeated.filter(pl.col("split").is_in(HIDDEN))
    assert len(sealed) and set(sealed["before"]) == {IN_VAULT} and sealed["after"].str.starts_with("(range").all()
    assert repeated.filter(split="fit")["before"].str.contains(";").all()


@pytest.mark.slow
def test_the_same_settings_give_the_same_bytes_in_a_new_process(tmp_path):
    prepare(data(), tmp_path / "here")
    done = script("--settings", data().model_dump_json(), "--folder", tmp_path / "there")
    assert done.returncode == 0, done.stderr
    assert bytes_of(tmp_path / "here") == bytes_of(tmp_path / "there")


def test_a_persons_table_end_to_end(tmp_path):
    table = [*rows(120), row(3, protein_id="again", tm=99), row(200, tm=""), row(201, tm=400), row(202, sequence="MKU")]
    path = write(tmp_path, table)
    facts = prepare(data(path), tmp_path / "set")
    assert (facts.rows, facts.proteins, facts.synthetic, facts.generator) == (124, 120, False, None)
    assert facts.split["method"] == "cluster" and sum(facts.splits.values()) == 120
    assert list(facts.files) == [str(path)] and set(facts.organisms) == {"o0", "o1", "o2"}
    shown = read_table(tmp_path / "set" / "cleaning_rows.parquet")
    assert {(124, "dropped"), (123, "dropped"), (125, "dropped")} <= set(zip(shown["row"], shown["after"], strict=True))


def test_a_fasta_file_and_a_subset(tmp_path):
    fasta = tmp_path / "all.fasta"
    fasta.write_text("".join(f">p{number}\n{sequence(number)}\n" for number in range(100)))
    path = write(tmp_path, [{"protein_id": f"p{number}", "tm": 40 + number % 40} for number in range(100)])
    facts = prepare(data(path, fasta=str(fasta), subset=70, split="hash", stop_fraction=0.2), tmp_path / "set")
    assert facts.proteins == 70 and set(facts.files) == {str(path), str(fasta)} and facts.organisms == {}
    steps = read_table(tmp_path / "set" / "cleaning.parquet")
    assert (steps["what"][-1], steps["rows"][-1], steps["left"][-1]) == ("subset of 70", 30, 70)


def test_published_splits_are_kept(tmp_path):
    published = ["train"] * 4 + ["val", "test"]
    path = write(tmp_path, [row(number, split=published[number % 6]) for number in range(600)])
    facts = prepare(data(path), tmp_path / "set")
    assert facts.splits == {"fit": 360, "stop": 40, "val": 50, "select": 50, "test": 100}
    assert facts.split["method"] == "given" and facts.proteins == 600
    table = pl.read_csv(path).select("protein_id", "tm", published="split")
    ours = read_table(tmp_path / "set" / "proteins.parquet").join(table, on="protein_id", validate="1:1")
    assert len(ours) == 600
    side = pl.col("split").replace({"fit": "train", "stop": "train", "select": "val"})
    assert ours.filter(side != pl.col("published")).is_empty()
    assert ours.filter((pl.col("tm") != pl.col("tm_right")) & pl.col("tm").is_not_null()).is_empty()
    sealed = read_table(tmp_path / "set" / "vault" / "test.parquet").join(table, on="protein_id")
    assert len(sealed) == 100 and (sealed["tm"] == sealed["tm_right"]).all()
    part = prepare(data(path, subset=120), tmp_path / "part")
    assert part.splits == {"fit": 72, "stop": 8, "val": 10, "select": 10, "test": 20}


def test_a_failure_leaves_no_sign_of_completeness(tmp_path):
    prepare(data(), tmp_path)
    (tmp_path / "proteins.parquet").unlink()
    (tmp_path / "proteins.parquet").mkdir()
    with pytest.raises(InfrastructureError, match="cannot be written"):
        prepare(data(), tmp_path)
    assert not (tmp_path / "data.json").exists() and not list(tmp_path.rglob("*.part"))


@pytest.mark.parametrize(
    "change, what",
    [
        ({"split_fractions": (0.7, 0.1, 0.1)}, "split_fractions: [0.7, 0.1, 0.1]: three positive numbers"),
        ({"split_fractions": (1.0, 0.0, 0.0)}, "three positive numbers"),
        ({"length_min": 60, "length_max": 50}, "length_min 60 is above length_max 50"),
        ({"tm_min": 20}, "tm_min: is no key any more; write target: {plausible: [lowest, highest]}"),
        ({"target": {"plausible": [90, 80]}}, "target: plausible: 90 is not below 80"),
        ({"fasta": "x.fasta"}, "the synthetic source makes its own sequences"),
        ({"subset": 5}, "mine.json: subset: "),
        ({"sauce": 5}, "mine.json: sauce: "),
    ],
)
def test_settings_that_make_no_sense(change, what):
    with pytest.raises(InputError) as caught:
        parse_data_config({"name": "mine"} | change, "mine.json")
    assert what in str(caught.value) and str(caught.value).startswith("mine.json: ")


def script(*arguments):
    command = [sys.executable, ROOT / "scripts" / "prepare_proteins.py", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.slow
def test_the_script_by_hand(tmp_path):
    config = tmp_path / "mine.json"
    config.write_text(json.dumps({"name": "mine", "source": str(write(tmp_path, rows(100)))}))
    done = script("--config", config, "--folder", tmp_path / "set")
    assert done.returncode == 0 and "100 proteins of 100 rows; split cluster: " in done.stdout
    config.write_text(json.dumps({"name": "mine", "source": str(write(tmp_path, rows(100, tm="warm")))}))
    done = script("--config", config, "--folder", tmp_path / "set")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert done.stderr.startswith(f"error: {tmp_path}/mine.csv: line 2, column tm: 'warm' is not a number")
    for wrong in ([], ["--settings", "{"]):
        done = script("--folder", tmp_path / "set", *wrong)
        assert (done.returncode, done.stderr.count("\n")) == (2, 1) and done.stderr.startswith("error: ")


SOUND = text([each | {"split": ("train", "train", "val", "test")[at % 4]} for at, each in enumerate(rows(80))])


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(
            st.integers(0, len(SOUND)),
            st.integers(0, 40),
            st.one_of(
                st.binary(max_size=6),
                st.sampled_from([b"\n", b'"', b",", b";", b"\t", b"train", b"273", b"-", b"*", b"\x00", b"\r", b"NA"]),
            ),
        ),
        min_size=1,
        max_size=4,
    )
)
def test_a_damaged_table_is_prepared_or_ends_in_one_line(tmp_path, damages):
    whole = SOUND.encode()
    for at, cut, noise in damages:
        whole = whole[:at] + noise + whole[at + cut :]
    path = tmp_path / "damaged.csv"
    path.write_bytes(whole)
    try:
        facts = prepare(data(path), tmp_path / "set")
    except InputError as error:
        assert len(str(error).splitlines()) == 1
    else:
        assert sum(facts.splits.values()) == facts.proteins
