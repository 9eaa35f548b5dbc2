"""A whole study on imported embeddings, to its page, its bundle, and predictions of new proteins."""

import h5py
import numpy as np
import polars as pl
import pytest
from other_target import SETTINGS as TARGET
from other_target import SOLUBILITY, words_of_organisms, words_of_tm
from workflow import Workspace, study

from tmelt.bundle.predict import predict_file, predicted_schema
from tmelt.errors import InputError
from tmelt.proteins.synthesize import synthesize
from tmelt.storage.files import sha256_text
from tmelt.storage.schema import read_table
from tmelt.study.config import Synthetic
from tmelt.study.target import TM
from tmelt.verify.bundle import check_bundle
from tmelt.verify.group import Group
from tmelt.verify.place import Place
from tmelt.verify.replay import check_proposals
from tmelt.verify.trials import check_trials

pytestmark = pytest.mark.slow

SETTINGS = {"level": 0.5, "weights": None, "sandbox": "auto", "sandbox_image": None, "device": None}
SETTINGS |= {"precision": None, "threads": None, "seconds": 600.0}


def write_embeddings(path, sequences, whole):
    """One row per residue or protein that tells its composition, so that something can be learnt."""
    letters = "ACDEFGHIKLMNPQRSTVWY"
    with h5py.File(path, "w") as file:
        for number, text in enumerate(sequences):
            rows = np.array([[letter == one for one in letters] for letter in text], dtype=np.float32)
            place = 0.01 * np.arange(len(text), dtype=np.float32)[:, None]
            rows = np.hstack([rows, place])
            file[str(number)] = rows.mean(axis=0) if whole else rows
            file[str(number)].attrs["original_id"] = sha256_text(text)
    return path


def solubility_table(path):
    """The `data` part of a study whose table has solubilities that depend on composition."""
    made = synthesize(Synthetic(proteins=100, organisms=2, length_median=40, length_max=60, seed=0))
    rows = ["protein_id,sequence,soluble,host"]
    for number, record in enumerate(made.records):
        share = sum(record.sequence.count(letter) for letter in "DEKR") / len(record.sequence)
        soluble = min(100, max(0, 250 * share + number % 7))
        rows.append(f"p{number},{record.sequence},{soluble:.1f},host {number % 2}")
    path.write_text("\n".join(rows) + "\n")
    return {"name": "soluble", "source": str(path), "target": TARGET, "group": {"column": "host", "name": "host"}}


@pytest.mark.parametrize("whole", [False, True])
def test_a_study_on_imported_embeddings(tmp_path, whole):
    config = study(confirm_seeds=2, strategies={"random": {"kind": "random"}})
    target = TM
    if whole:  # of another target as well, from a table of its own
        target, config["design"]["data"] = SOLUBILITY, solubility_table(tmp_path / "soluble.csv")
        config["extent"]["strategies"] = {"ua": {"kind": "ua", "model": "playbook"}}
    else:
        config["design"]["data"]["synthetic"]["proteins"] = 100
    config["design"]["backbone"] = {"name": "imported", "path": "embeddings.h5"}
    config["design"]["precision"] = "fp32"
    space = Workspace(tmp_path / "space", config)
    folder = tmp_path / "space"
    space.run("--until", "prepare_proteins", targets=[f"{space.study.relative_to(folder)}/protocol.json"])
    (table,) = folder.glob("results/data/*/proteins.parquet")
    frame = pl.read_parquet(table)
    write_embeddings(folder / "embeddings.h5", frame["sequence"], whole)
    space.run(targets=["all"])
    page = (space.study / "report" / "report.html").read_text()
    assert "Imported embeddings." in page and "Other weights." not in page
    assert ("one row per protein" if whole else "one row per residue") in page

    new = ["MKVLAAGIVGLLLAQWERTYHPNDC" * 2, "ACDEFGHIKLMNPQRSTVWY" * 2]
    (tmp_path / "new.fasta").write_text("".join(f">n{number}\n{text}\n" for number, text in enumerate(new)))
    asked = {"bundle": space.study / "bundle" / "smallest.zip", "output": tmp_path / "p.parquet", **SETTINGS}
    with pytest.raises(InputError, match="--embeddings: needed: the study imported its embeddings"):
        predict_file(tmp_path / "new.fasta", embeddings=None, **asked)
    given = write_embeddings(tmp_path / "new.h5", new, whole)
    predict_file(tmp_path / "new.fasta", embeddings=given, **asked)
    predicted = read_table(tmp_path / "p.parquet", predicted_schema(target))
    assert predicted[target.key].is_finite().all()
    if whole:
        # The label audit's check keeps its name, by which `audit.accept` knows it.
        told = [page.replace(">organisms</th>", ""), *(path.read_text() for path in space.study.glob("bundle/*.md"))]
        told += [path.read_text() for path in space.study.glob("ua/**/llm/*.json")]
        assert len(told) > 2 and not any(words_of_tm(text) or words_of_organisms(text) for text in told)
        assert "measured solubility (%)" in page
        again, place = Group("again", space.study.parent), Place.of(space.study)
        for check in (check_trials, check_proposals, check_bundle):
            check(again, place)
        assert again.checked > 100 and not again.differences and not again.missing
    other = write_embeddings(tmp_path / "other.h5", new, not whole)
    with pytest.raises(InputError, match=r"^--embeddings: .*other.h5: \(.*and the study had"):
        predict_file(tmp_path / "new.fasta", embeddings=other, **asked)
    lacking = write_embeddings(tmp_path / "lacking.h5", new[:1], whole)
    with pytest.raises(InputError, match=r"^--embeddings: .*lacks 1 of 2 proteins: n1"):
        predict_file(tmp_path / "new.fasta", embeddings=lacking, **asked)
