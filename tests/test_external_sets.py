"""External test sets before a study starts and beside it: tables, faults, identity, a set added to a whole study."""

import copy
import json
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import polars as pl
import pytest
import torch
from finished_studies import minimal_study
from proteins_tables import data, rows, sequence, write
from study_records import embedding_record, protocol
from workflow import SMALLEST, Workspace

from tmelt.bundle.embedding import embed
from tmelt.bundle.external import embed_external
from tmelt.embed.embedder import embedder_of, encoder_of, load
from tmelt.embed.view import View
from tmelt.errors import InputError
from tmelt.evidence.schema import EXTERNAL_PROTEINS
from tmelt.front.checks import CHECKS, Subject
from tmelt.proteins.external import prepare_external
from tmelt.storage.files import sha256_file
from tmelt.storage.schema import LABELS, PROTEINS, as_frame, read_table
from tmelt.study.config import Backbone, ExternalSet, parse_config
from tmelt.study.external import changes, identity_of, read_external
from tmelt.study.identity import design_of


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def config(**external):
    raw = copy.deepcopy(SMALLEST)
    raw["design"]["external"] = external
    return parse_config(raw)


def known(sequences, split="fit"):
    blank = {"organism": None, "tm": 50.0, "split": split}
    return as_frame([{"protein_id": f"k{n}", "sequence": one} | blank for n, one in enumerate(sequences)], PROTEINS)


def test_a_set_is_read_with_the_settings_of_the_study_and_columns_of_its_own():
    study = data(
        "mine.csv", target={"column": "dG", "name": "stability", "unit": "kJ/mol", "plausible": [-50, 50]},
        columns={"sequence": "seq", "split": "part"}, length_min=30, subset=100,
    )  # fmt: skip
    told = ExternalSet(source="lab.csv", columns={"tm": "ddG", "parent": "wt"}).data("lab", study)
    assert told.columns.tm == told.target.column == "ddG" and told.columns.sequence == "seq"
    assert told.columns.parent == "wt" and told.columns.split is None
    assert told.target.record == study.target.record and (told.length_min, told.subset) == (30, None)
    assert ExternalSet.model_validate("lab.csv") == ExternalSet(source="lab.csv")


def test_a_prepared_set_has_its_labels_in_a_vault_of_its_own(tmp_path):
    table = rows(12)
    table[3]["parent"] = "p0"
    table = [{"parent": ""} | row for row in table]
    told = ExternalSet(source=str(write(tmp_path, table)), columns={"parent": "parent"}).data("lab", data())
    made = prepare_external(told, "a" * 64, known([table[0]["sequence"]]), tmp_path / "set")
    proteins = read_table(tmp_path / "set" / "proteins.parquet", EXTERNAL_PROTEINS)
    labels = read_table(tmp_path / "set" / "vault" / "labels.parquet", LABELS)
    assert made == read_external(tmp_path / "set") and made.proteins == 12
    assert made.labels == sha256_file(tmp_path / "set" / "vault" / "labels.parquet")
    assert labels["tm"].to_list() == [row["tm"] for row in table]
    assert proteins["parent"].to_list() == [None, None, None, "p0", *[None] * 8]
    assert proteins["in_study"].to_list() == ["fit", *[None] * 11] and proteins["homologous"].sum() == 1
    assert "tm" not in proteins.columns


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (rows(11)[:4], "4 proteins are left after cleaning; an external set needs at least 10"),
        ([*rows(12), {**rows(1)[0], "tm": "warm"}], "line 14, column tm: 'warm' is not a number"),
        ([{key: row[key] for key in ("protein_id", "tm")} for row in rows(12)], "no column sequence"),
    ],
)
def test_a_bad_table_is_one_line_before_anything_starts(tmp_path, table, words):
    write(tmp_path, table, name="lab.csv")
    check = CHECKS["external"]
    with pytest.raises(InputError) as caught:
        list(check(Subject(config(lab="lab.csv"), Path("results"), local=True)))
    assert str(caught.value).startswith("design.external.lab: lab.csv") and words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_faults_of_the_config_are_named(tmp_path):
    with pytest.raises(InputError, match=r"design.external.lab: gone.csv: no such file"):
        list(CHECKS["external"](Subject(config(lab="gone.csv"), Path("results"), local=True)))
    with pytest.raises(InputError, match="design: external: 'Lab': a name has lower-case letters"):
        config(Lab="lab.csv")
    with pytest.raises(InputError, match="external: 't1': is the name of a search"):
        config(t1="lab.csv")
    with pytest.raises(InputError, match=r"evidence.endpoints.threshold: 333 is outside .*plausible, 10 to 120"):
        parse_config(SMALLEST | {"evidence": {"endpoints": {"threshold": 333}}})
    with pytest.raises(InputError, match=r"external.lab.embeddings: only where backbone.name is imported"):
        config(lab={"source": "lab.csv", "embeddings": "lab.h5"})
    with pytest.raises(InputError, match="'external' means something else"):
        parse_config(SMALLEST | {"extent": {**SMALLEST["extent"], "strategies": {"external": {"kind": "random"}}}})


def test_a_set_is_no_part_of_a_studys_identity_but_keeps_its_own(tmp_path):
    write(tmp_path, rows(12), "lab.csv")
    plain, with_set = config(), config(lab="lab.csv")
    assert design_of(plain) == design_of(with_set)
    study = tmp_path / "results" / "smallest"
    assert list(changes(with_set, study)) == []
    told = with_set.design.external["lab"].data("lab", with_set.design.data)
    prepare_external(told, identity_of(with_set, "lab"), known(["ACDEFGHIKLMNPQRSTVWY"]), study / "external" / "lab")
    assert list(changes(with_set, study)) == []
    assert list(changes(plain, study)) == ["design.external.lab: removed; a set that was prepared stays on the page"]
    write(tmp_path, rows(13), "lab.csv")
    assert list(changes(with_set, study)) == [
        "design.external.lab: its table or settings changed; give the changed set another name"
    ]


def states(space):
    """When each file of the searches, of the runs after them and of what follows from test alone was written."""
    kinds = ("*/t*/**/*.parquet", "confirm/*/s*/*.parquet", "tables/runs.parquet", "protocol.json", "bundle/*.zip")
    return {path: path.stat().st_mtime_ns for kind in kinds for path in space.study.glob(kind)}


@pytest.mark.slow
def test_a_set_added_to_a_finished_study_runs_no_search_again(tmp_path, tmp_path_factory):
    space = Workspace.copy_of(minimal_study(tmp_path_factory), tmp_path / "space")
    write(space.folder, rows(30), "lab.csv")
    before = states(space)
    space.config["design"]["external"] = {"lab": "lab.csv"}
    space.config["evidence"]["endpoints"] = {"threshold": 55}
    space.write_config()
    planned = space.run("--dry-run", targets=["all"])
    for rule in ("propose", "train_run", "confirm_candidate", "open_test_labels", "write_protocol"):
        assert f"rule {rule}" not in planned, rule
    space.run(targets=["all"])
    assert states(space) == before
    scores = pl.read_parquet(space.study / "tables" / "external.parquet")
    assert set(scores["role"]) == {"baseline", "winner", "strategy", "floor"} and scores["value"].is_not_null().any()
    page = (space.study / "report" / "report.html").read_text()
    assert 'id="external"' in page and "Errors on external sets" in page
    log = json.loads((space.study / "vault_log.json").read_text())
    assert [entry["rule"] for entry in log] == ["open_test_labels", "open_external_labels"]
    told = "".join(path.read_text() for path in space.study.glob("ra/**/llm/*.json"))
    assert told and "lab" not in told.split()


@pytest.mark.parametrize("imported", [False, True])
def test_a_set_is_embedded_as_the_study_was(tmp_path, imported):
    names = [f"n{number}" for number in range(4)]
    sequences = [sequence(number, 30 + number) for number in range(4)]
    frame = pl.DataFrame({"protein_id": names, "sequence": sequences})
    backbone, given = Backbone(name="tiny", weights="random", precision="fp32"), None
    if imported:
        backbone, given = Backbone(name="imported", path=str(tmp_path / "study.h5")), tmp_path / "lab.h5"
        made = embeddings_of(sequences)
        about = embedding_record(backbone="imported", untrained=False, layer=0, width=8)
    else:
        model, encode = load(backbone), encoder_of(backbone)
        network = embedder_of(model, "fp32", torch.device("cpu"), 4096)
        made = embed(network, encode, sequences, names)
        about = embedding_record(weights_sha256=model.weights_sha256, layer=model.layer, width=64)
    fixed = protocol(measured=replace(protocol().measured, embedding=about))
    if imported:
        write_embeddings(given, names[:3], made)
        with pytest.raises(InputError, match=r"^design.external.lab.embeddings: .*lab.h5: lacks 1 of 4 proteins: n3"):
            embed_external("lab", frame, backbone, fixed, given, 1, tmp_path / "set")
        write_embeddings(given, names, made)
    embed_external("lab", frame, backbone, fixed, given, 1, tmp_path / "set")
    view = View.open(tmp_path / "set" / "embedding", sequences=True)
    assert view.sequences == sequences
    assert all(np.array_equal(view.protein(number), made[number]) for number in range(4))
    assert not (tmp_path / "set" / "embedding" / "tm.npy").exists()


def embeddings_of(sequences):
    random = np.random.default_rng(0)
    return [random.normal(size=(len(text), 8)).astype(np.float16) for text in sequences]


def write_embeddings(path, names, made):
    with h5py.File(path, "w") as file:
        for name, rows in zip(names, made, strict=False):
            file[name] = rows
