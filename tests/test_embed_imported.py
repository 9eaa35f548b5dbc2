"""Embeddings that were computed elsewhere: every layout gives the same cache, and what does not fit is named."""

import hashlib

import h5py
import numpy as np
import pytest
import torch
from proteins_tables import sequence
from safetensors.numpy import save_file

from tmelt.cli import main
from tmelt.embed.cache import open_cache
from tmelt.embed.imported import open_source, read_embeddings
from tmelt.embed.shard import embed_share
from tmelt.embed.views import write_views
from tmelt.errors import InputError
from tmelt.storage.files import read_json, sha256_text
from tmelt.storage.schema import PROTEINS, write_table
from tmelt.study.config import Backbone

SEQUENCES = {f"p{number}": sequence(number, 20 + number) for number in range(12)}
WIDTH = 8


def rows_of(text, whole=False):
    """Any embedding: of each residue, or of the protein."""
    random = np.random.default_rng([ord(letter) for letter in text])
    return random.normal(size=(1 if whole else len(text), WIDTH)).astype(np.float32)


def biotrainer_hash(text):
    return hashlib.sha256(f"{text}_{len(text)}".encode()).hexdigest()


def write_hdf5(path, made, key=lambda name: name, **attributes):
    with h5py.File(path, "w") as file:
        for number, (name, rows) in enumerate(made.items()):
            place = key(name) if key else str(number)
            file.create_dataset(place, data=rows)
            for label in attributes:
                file[place].attrs[label] = name
    return path


def by_name(path, made):
    return write_hdf5(path / "x.h5", made)


def by_hash(path, made):
    return write_hdf5(path / "x.h5", made, lambda name: biotrainer_hash(SEQUENCES[name]), original_id=True)


def by_number(path, made):
    return write_hdf5(path / "x.h5", made, None, original_id=True)


def scikit_bio(path, made):
    with h5py.File(path / "x.h5", "w") as file:
        letters = "".join(SEQUENCES[name] for name in made).encode()
        file["embedding"] = np.concatenate(list(made.values()))
        file["id"] = np.frombuffer(letters, dtype=np.uint8)
        file["idptr"] = np.cumsum([len(SEQUENCES[name]) for name in made])
        file["embedding_ptr"] = np.cumsum([len(rows) for rows in made.values()])
    return path / "x.h5"


def safetensors(path, made):
    save_file(made, path / "x.safetensors")
    return path / "x.safetensors"


def fair_esm(path, made):
    (path / "pt").mkdir()
    for name, rows in made.items():
        kind, content = ("mean_representations", rows[0]) if len(rows) == 1 else ("representations", rows)
        torch.save({"label": name, kind: {33: torch.from_numpy(content)}}, path / "pt" / f"{name}.pt")
    return path / "pt"


LAYOUTS = [by_name, by_hash, by_number, scikit_bio, safetensors, fair_esm]


def proteins(folder):
    splits = ("fit", "fit", "stop", "val", "select", "test")
    rows = [
        {"protein_id": name, "sequence": text, "organism": None, "split": (split := splits[number % 6]),
         "tm": 50.0 if split in ("fit", "stop") else None}
        for number, (name, text) in enumerate(SEQUENCES.items())
    ]  # fmt: skip
    write_table(folder / "proteins.parquet", rows, PROTEINS)
    return folder / "proteins.parquet"


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_becomes_the_embeddings_of_a_study(tmp_path, layout, whole):
    path = layout(tmp_path, {name: rows_of(text, whole) for name, text in SEQUENCES.items()})
    backbone = Backbone(name="imported", path=str(path))
    table = proteins(tmp_path)
    for shard in range(2):
        done = embed_share(table, backbone, tmp_path / "cache", shard, 2, 512, 1, "cpu")
        assert done["embedded"] == 6
    cache = open_cache(tmp_path / "cache")
    for text in SEQUENCES.values():
        assert np.array_equal(cache.residues(sha256_text(text)), rows_of(text, whole).astype(np.float16))
    write_views(table, backbone, tmp_path / "cache", tmp_path / "view", 0)
    about = read_json(tmp_path / "view" / "embedding.json")
    assert (about["backbone"], about["width"], about["per_protein"]) == ("imported", WIDTH, whole)
    assert not about["untrained"] and not about["released"]
    assert embed_share(table, backbone, tmp_path / "cache", 0, 2, 512, 1, "cpu")["embedded"] == 0


@pytest.mark.parametrize("pooled", [False, True])
def test_a_file_that_tmelt_embed_wrote_is_read_as_the_network_embeds(tmp_path, pooled, capsys):
    fasta, path = tmp_path / "p.fasta", tmp_path / "x.h5"
    texts = dict(list(SEQUENCES.items())[:6])
    fasta.write_text(
        "".join(f">{name} of some kind\n{text}\n" for name, text in texts.items()) + f">again\n{texts['p1']}*\n"
    )
    told = ["--backbone", "tiny", "--weights", "random", "--precision", "fp32", "--threads", "1"]
    main(["embed", str(fasta), "--output", str(path), *told, *(["--pooled"] if pooled else [])])
    assert "6 sequences of 7 proteins; tiny, untrained, layer 4" in capsys.readouterr().out
    with h5py.File(path) as file:
        assert set(file) == {biotrainer_hash(text) for text in texts.values()}
        assert file[biotrainer_hash(texts["p1"])].attrs["original_id"] == "p1"
    table, network = proteins(tmp_path), Backbone(name="tiny", weights="random", precision="fp32")
    embed_share(table, network, tmp_path / "cache", 0, 1, 4096, 1, "cpu")
    stored = open_cache(tmp_path / "cache")
    with open_source(path) as source:
        for text, rows in read_embeddings(source, {text: ["?"] for text in texts.values()}):
            expected = stored.residues(sha256_text(text))
            assert np.array_equal(
                rows, expected.astype("f4").mean(axis=0, keepdims=True).astype("f2") if pooled else expected
            )


def test_embedding_needs_a_network_and_a_name_for_the_file(tmp_path, capsys):
    (tmp_path / "p.fasta").write_text(f">a\n{SEQUENCES['p0']}\n")
    for arguments, words in (
        (["--output", "x.npz"], "--output: x.npz: the name should end in .h5 or .hdf5"),
        (["--output", "x.h5", "--backbone", "imported"], "tmelt embed: path: needed by"),
    ):
        with pytest.raises(SystemExit) as left:
            main(["embed", str(tmp_path / "p.fasta"), *arguments])
        assert left.value.code == 2 and words in capsys.readouterr().err


def test_another_file_under_the_same_path_is_noticed(tmp_path):
    path = by_name(tmp_path, {name: rows_of(text) for name, text in SEQUENCES.items()})
    backbone, table = Backbone(name="imported", path=str(path)), proteins(tmp_path)
    embed_share(table, backbone, tmp_path / "cache", 0, 2, 512, 1, "cpu")
    by_name(tmp_path, {name: 2 * rows_of(text) for name, text in SEQUENCES.items()})
    for shard in range(2):
        with pytest.raises(InputError, match=r"weights_sha256|not the file that"):
            embed_share(table, backbone, tmp_path / "cache", shard, 2, 512, 1, "cpu")


def _changed(name, rows):
    return lambda made: made | {name: rows}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda made: {name: rows for name, rows in made.items() if name > "p2"},
            "lacks 5 of 12 proteins: p0, p1, p2 and 2 more",
        ),
        (_changed("p3", np.ones((25, WIDTH), "f4")), "protein p3: has 25 rows for 23 residues (start and end token?)"),
        (_changed("p3", np.ones((24, WIDTH), "f4")), "protein p3: has 24 rows for 23 residues (an end token?)"),
        (_changed("p3", np.ones((9, WIDTH), "f4")), "protein p3: has 9 rows for 23 residues (cut off?)"),
        (_changed("p3", np.ones((23, 5), "f4")), "protein p3: has width 5, and those before it 8"),
        (_changed("p3", np.ones(WIDTH, "f4")), "protein p3: rows per residue and per protein are mixed"),
        (_changed("p3", np.ones((23, 2, 2), "f4")), "protein p3: float32 (23, 2, 2) is no embedding"),
        (_changed("p3", np.ones((23, WIDTH), "i4")), "protein p3: int32 (23, 8) is no embedding"),
        (_changed("p3", np.full((23, WIDTH), np.nan, "f4")), "protein p3: values that are not finite"),
        (_changed("p3", np.full((23, WIDTH), 1e6, "f4")), "protein p3: values that are not finite, or beyond"),
        (_changed("p3", np.zeros((23, WIDTH), "f4")), "protein p3: all features of every residue are equal"),
        (_changed("p3", np.tile(np.arange(WIDTH, dtype="f4"), (23, 1))), "protein p3: all 23 residues have one"),
    ],
)
def test_what_does_not_fit_is_named(tmp_path, change, message):
    path = by_name(tmp_path, change({name: rows_of(text) for name, text in SEQUENCES.items()}))
    with pytest.raises(InputError) as caught, open_source(path) as source:
        list(read_embeddings(source, {text: [name] for name, text in SEQUENCES.items()}))
    text = str(caught.value)
    assert text.startswith(f"design.backbone.path: {path}: ") and message in text and "\n" not in text


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no such file or folder"),
        (b"", "neither HDF5 nor safetensors"),
        (b"\x89HDF\r\n\x1a\n" + bytes(100), "damaged HDF5 file"),
        ((30).to_bytes(8, "little") + b"{" + bytes(40), "damaged safetensors file"),
        (b"P1,0.1,0.2\n", "neither HDF5 nor safetensors"),
    ],
)
def test_files_of_another_kind_are_named(tmp_path, content, message):
    if content is not None:
        (tmp_path / "x.h5").write_bytes(content)
    with pytest.raises(InputError, match=message), open_source(tmp_path / "x.h5"):
        pass


def test_links_to_other_files_are_not_followed_and_pointers_are_checked(tmp_path):
    by_name(tmp_path, {"p0": rows_of(SEQUENCES["p0"])})
    with h5py.File(tmp_path / "links.h5", "w") as file:
        file["p0"] = h5py.ExternalLink(str(tmp_path / "x.h5"), "p0")
    with pytest.raises(InputError, match="holds no dataset"), open_source(tmp_path / "links.h5"):
        pass
    path = scikit_bio(tmp_path, {name: rows_of(text) for name, text in SEQUENCES.items()})
    with h5py.File(path, "a") as file:
        file["idptr"][3] = 10_000
    with pytest.raises(InputError, match="its pointers do not fit its rows"), open_source(path):
        pass


def test_layers_of_fair_esms_files_are_chosen(tmp_path):
    rows = rows_of("MKV")
    torch.save({"representations": {6: torch.from_numpy(rows), 5: torch.zeros(3, WIDTH)}}, tmp_path / "a.pt")
    with open_source(tmp_path, 6) as source:
        assert np.array_equal(source.read("MKV", ["a"]), rows)
    for layer, message in ((None, "has layers 5, 6; choose one"), (7, "has no layer 7, but 5, 6")):
        with open_source(tmp_path, layer) as source, pytest.raises(InputError, match=message):
            source.read("MKV", ["a"])
    with pytest.raises(InputError, match=r"holds no \.pt file"), open_source(tmp_path / ".."):
        pass


@pytest.mark.parametrize(
    "settings",
    [
        {"name": "imported"},
        {"name": "tiny", "path": "x.h5"},
        {"name": "imported", "path": "x.h5", "weights": "random"},
        {"name": "imported", "path": "x.h5", "sha256": "0" * 64},
    ],
)
def test_settings_that_contradict_each_other_are_refused(settings):
    with pytest.raises(ValueError, match=r"path: needed by|imported embeddings have none"):
        Backbone(**settings)
