"""The embedding jobs and what they leave: embed_shard fills the cache, join_embedding makes the views from it."""

import importlib.util
import itertools
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from tmelt.embed import views
from tmelt.embed.backbone import load_backbone
from tmelt.embed.shard import _forward, to_float16
from tmelt.embed.view import View
from tmelt.errors import InfrastructureError, InputError
from tmelt.storage.files import read_json, sha256_file, sha256_text
from tmelt.storage.schema import EMBEDDING_INDEX, POOL, PROTEINS, read_table, write_table
from tmelt.study.config import Backbone

ROOT = Path(__file__).resolve().parents[1]
BACKBONE = json.dumps({"name": "tiny", "weights": "random", "precision": "fp32"})


def _script(name):
    spec = importlib.util.spec_from_file_location(name, ROOT / "scripts" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return getattr(module, name)


embed_shard, join_embedding = _script("embed_shard"), _script("join_embedding")


def _rows(count, seed=0, splits=("fit",) * 6 + ("stop", "val", "val", "test")):
    random = np.random.default_rng(seed)
    rows = []
    for number in range(count):
        split = splits[number % len(splits)]
        rows.append(
            {
                "protein_id": f"P{seed}_{number}",
                "sequence": "".join(random.choice(list("ACDEFGHIKLMNPQRSTVWYX"), int(random.integers(5, 120)))),
                "organism": "E. coli",
                "split": split,
                "tm": float(random.normal(50, 8)) if split in ("fit", "stop") else None,
            }
        )
    return rows


def _proteins(folder, rows):
    path = folder / "proteins.parquet"
    write_table(path, rows, PROTEINS)
    return path


def _embed(proteins, cache, shards=1, shard=0, backbone=BACKBONE, tokens=1024, device="cpu"):
    done = cache.parent / f"done_{proteins.parent.name}_{shard}_of_{shards}.json"
    embed_shard(
        proteins=proteins,
        backbone=backbone,
        cache=cache,
        shard=shard,
        shards=shards,
        tokens=tokens,
        threads=1,
        device=device,
        done=done,
    )
    return read_json(done)


def _join(proteins, cache, folder, seed=0, backbone=BACKBONE):
    join_embedding(proteins=proteins, backbone=backbone, cache=cache, folder=folder, seed=seed)


def _folder(tmp_path, name):
    folder = tmp_path / name
    folder.mkdir()
    return folder


@pytest.fixture(scope="module")
def joined(tmp_path_factory):
    """60 proteins (36 fit, 6 stop, 12 val, 6 test), embedded by one job and joined."""
    base = tmp_path_factory.mktemp("joined")
    rows = _rows(60)
    proteins = _proteins(base, rows)
    _embed(proteins, base / "cache")
    _join(proteins, base / "cache", base / "tiny-1234abcd")
    return rows, base, base / "tiny-1234abcd"


def test_the_views_hold_fair_esms_embedding_of_every_protein(joined):
    rows, _, folder = joined
    backbone = load_backbone(Backbone(name="tiny", weights="random"))
    convert = backbone.model.alphabet.get_batch_converter()
    expected = {}
    with torch.no_grad():
        for row in rows:
            _, _, tokens = convert([("p", row["sequence"])])
            expected[row["sequence"]] = backbone.model(tokens, repr_layers=[4])["representations"][4][0, 1:-1].numpy()
    for name in ("fit", "pool"):
        view = View.open(folder / name, sequences=True)
        for number, sequence in enumerate(view.sequences):
            ours = view.protein(number)
            assert ours.dtype == np.float16 and ours.shape == (len(sequence), 64)
            np.testing.assert_allclose(ours, expected[sequence], rtol=1e-3, atol=1e-5)


def test_the_fit_view_holds_labels_and_the_stop_mark(joined):
    rows, _, folder = joined
    view = View.open(folder / "fit", sequences=True, labels=True)
    wanted = [row for row in rows if row["split"] in ("fit", "stop")]
    assert view.sequences == [row["sequence"] for row in wanted]
    assert view.tm.dtype == np.float64 and view.tm.tolist() == [row["tm"] for row in wanted]
    assert view.is_stop.dtype == bool and view.is_stop.tolist() == [row["split"] == "stop" for row in wanted]


def test_the_pool_holds_val_test_stop_and_decoys_and_no_labels(joined):
    rows, _, folder = joined
    pool = read_table(folder / "pool.parquet", POOL)
    split = {row["protein_id"]: row["split"] for row in rows}
    sequence = {row["protein_id"]: row["sequence"] for row in rows}
    assert View.open(folder / "pool", sequences=True).sequences == [sequence[name] for name in pool["protein_id"]]
    for name, role in pool.iter_rows():
        assert split[name] == ("fit" if role == "decoy" else role)
    assert pool["protein_id"].n_unique() == pool.height
    assert dict(pool["role"].value_counts().iter_rows()) == {"val": 12, "test": 6, "stop": 6, "decoy": 4}
    assert sorted(path.name for path in (folder / "pool").iterdir()) == [
        "composition.npy",
        "offsets.npy",
        "residues.f16",
        "sequences.txt",
    ]
    # Shuffled: neither the table's order nor the decoys in one piece.
    names = [row["protein_id"] for row in rows]
    places = [names.index(name) for name in pool["protein_id"]]
    assert sum(later > earlier for earlier, later in itertools.pairwise(places)) < 20  # of 27
    decoys = (pool["role"] == "decoy").arg_true()
    assert decoys[-1] - decoys[0] > 3


def test_index_and_embedding_json_fit_the_files(joined):
    rows, _, folder = joined
    index = read_table(folder / "index.parquet", EMBEDDING_INDEX)
    sequence = {row["protein_id"]: row["sequence"] for row in rows}
    for row in index.iter_rows(named=True):
        view = View.open(folder / row["view"], sequences=True)
        number = int(np.searchsorted(view.offsets, row["offset"]))
        assert view.offsets[number] == row["offset"]
        assert view.sequences[number] == sequence[row["protein_id"]]
        assert row["length"] == len(sequence[row["protein_id"]])
        assert row["sequence_sha256"] == sha256_text(sequence[row["protein_id"]])
        assert row["tokens"] == 1024 and not row["beyond_crop"]
    about = read_json(folder / "embedding.json")
    assert index.height == about["views"]["fit"]["proteins"] + about["views"]["pool"]["proteins"] == 42 + 28
    assert about["backbone"] == "tiny" and about["id"] == folder.name and about["untrained"] is True
    assert about["weights_sha256"] == load_backbone(Backbone(name="tiny", weights="random")).weights_sha256
    assert (about["layer"], about["width"], about["precision"], about["tokens"]) == (4, 64, "fp32", 1024)
    assert about["proteins"] == {"fit": 36, "stop": 6, "val": 12, "test": 6} and about["decoys"] == 4
    for view in ("fit", "pool"):
        assert (folder / view / "residues.f16").stat().st_size == about["views"][view]["bytes"]
    views.check_views(folder)


def test_the_order_of_the_pool_is_secret_but_reproducible(joined, tmp_path):
    rows, base, folder = joined
    first = (folder / "pool.parquet").read_bytes()
    _join(base / "proteins.parquet", base / "cache", tmp_path / "again")
    assert (tmp_path / "again" / "pool.parquet").read_bytes() == first
    _join(base / "proteins.parquet", base / "cache", tmp_path / "seed", seed=1)
    # What a candidate cannot see, an organism here, moves the order, so knowing the seed is of no use.
    secret = _proteins(_folder(tmp_path, "secret"), [row | {"organism": "T. aquaticus"} for row in rows])
    _join(secret, base / "cache", tmp_path / "other")
    orders = [
        read_table(tmp_path / name / "pool.parquet")["protein_id"].to_list() for name in ("again", "seed", "other")
    ]
    assert orders[0] != orders[1] != orders[2] != orders[0]
    assert "seed" not in (folder / "embedding.json").read_text()
    drawn = [
        read_table(tmp_path / name / "pool.parquet").filter(pl.col("role") == "decoy")
        for name in ("again", "seed", "other")
    ]
    assert len({frozenset(decoys["protein_id"]) for decoys in drawn}) == 3


def test_a_join_that_was_cut_off_leaves_no_embedding_json(joined, tmp_path):
    _, base, folder = joined
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    shutil.rmtree(copy / "pool")
    (copy / "pool").write_text("in the way")
    with pytest.raises(OSError, match="pool"):
        _join(base / "proteins.parquet", base / "cache", copy)
    assert not (copy / "embedding.json").exists()


def test_views_are_checked_against_their_hashes(joined, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(joined[2], copy)
    views.check_views(copy)
    residues = copy / "pool" / "residues.f16"
    content = bytearray(residues.read_bytes())
    content[100] ^= 1
    residues.write_bytes(content)
    with pytest.raises(InfrastructureError, match=r"residues\.f16: not as it was written"):
        views.check_views(copy)
    residues.write_bytes(content[:-1])
    with pytest.raises(InputError, match="delete"):
        View.open(copy / "pool")
    residues.unlink()
    with pytest.raises(InputError, match="not a readable view"):
        View.open(copy / "pool")


def _swap_two_proteins(path):
    """Readable, of the same columns: two proteins of the pool change places, and their predictions with them."""
    rows = read_table(path).to_dicts()
    rows[0], rows[1] = rows[1], rows[0]
    schema = POOL if path.name == "pool.parquet" else EMBEDDING_INDEX
    write_table(path, rows, schema)


@pytest.mark.parametrize("name", ["pool.parquet", "index.parquet"])
@pytest.mark.parametrize("change", [_swap_two_proteins, lambda path: path.unlink()])
def test_tables_of_views_are_checked_against_their_hashes(joined, tmp_path, name, change):
    copy = tmp_path / "copy"
    shutil.copytree(joined[2], copy)
    views.check_views(copy)
    change(copy / name)
    with pytest.raises(InfrastructureError, match=rf"{name}: not as it was written; delete {copy} and run again"):
        views.check_views(copy)


@pytest.mark.parametrize("content", ["", "{}", '{"views": []}', '{"views": {}}'])
def test_an_embedding_without_hashes_is_not_used(tmp_path, content):
    (tmp_path / "embedding.json").write_text(content)
    with pytest.raises(InfrastructureError, match=rf"embedding\.json: .*; delete {tmp_path} and run again"):
        views.check_views(tmp_path)


def test_views_are_hashed_once_but_any_change_of_them_is_seen(joined, tmp_path, monkeypatch):
    copy = tmp_path / "copy"
    shutil.copytree(joined[2], copy, ignore=shutil.ignore_patterns(views.CHECKED))
    monkeypatch.setattr(views, "TICK_NS", 0)
    views.check_views(copy)
    read = []
    monkeypatch.setattr(views, "sha256_file", lambda path: read.append(path.name) or sha256_file(path))
    views.check_views(copy)
    assert read == []
    (record,) = (copy / views.CHECKED).iterdir()
    record.write_text(record.read_text().replace('"boot": "', '"boot": "another '))
    views.check_views(copy)
    assert len(read) == 12  # four files of each view, two of labels, two tables
    record.write_text("{")
    views.check_views(copy)
    assert len(read) == 24
    residues = copy / "pool" / "residues.f16"
    before = residues.stat()
    with residues.open("r+b") as file:
        file.write(b"xx")
    os.utime(residues, ns=(before.st_atime_ns, before.st_mtime_ns))  # as somebody would who hides it
    with pytest.raises(InfrastructureError, match=r"residues\.f16: not as it was written"):
        views.check_views(copy)


def test_what_was_written_just_now_is_hashed_again(joined, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(joined[2], copy, ignore=shutil.ignore_patterns(views.CHECKED))
    views.check_views(copy)
    assert not (copy / views.CHECKED).exists()


@pytest.mark.parametrize("shards", [2, 5])
def test_sharding_changes_no_byte_of_the_views(joined, tmp_path, shards):
    _, base, folder = joined
    counts = [_embed(base / "proteins.parquet", tmp_path / "cache", shards, shard) for shard in range(shards)]
    assert sum(count["embedded"] for count in counts) == 60
    _join(base / "proteins.parquet", tmp_path / "cache", tmp_path / folder.name)
    for path in folder.rglob("*"):
        if path.is_file() and path.parent.name != views.CHECKED:
            assert (tmp_path / folder.name / path.relative_to(folder)).read_bytes() == path.read_bytes(), path


def test_a_second_data_set_embeds_only_what_is_new(tmp_path):
    rows = _rows(30)
    first = _proteins(_folder(tmp_path, "first"), rows)
    # 20 known sequences under other names, 10 new ones, one of them twice.
    known = [row | {"protein_id": f"again_{row['protein_id']}"} for row in rows[:20]]
    new = _rows(10, seed=1)
    second = _proteins(_folder(tmp_path, "second"), [*known, *new, new[0] | {"protein_id": "twin"}])
    assert _embed(first, tmp_path / "cache")["embedded"] == 30
    before = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "cache").iterdir()}
    counts = [_embed(second, tmp_path / "cache", 3, shard) for shard in range(3)]
    assert sum(count["embedded"] for count in counts) == 10
    assert sum(count["proteins"] for count in counts) == 30
    assert _embed(second, tmp_path / "cache")["embedded"] == 0
    assert all((tmp_path / "cache" / name).stat().st_mtime_ns == time for name, time in before.items())
    _join(second, tmp_path / "cache", tmp_path / "view")
    assert read_json(tmp_path / "view" / "embedding.json")["views"]["fit"]["proteins"] > 0


def test_a_damaged_segment_is_embedded_again(tmp_path, capsys):
    proteins = _proteins(_folder(tmp_path, "data"), _rows(20))
    _embed(proteins, tmp_path / "cache")
    (segment,) = (tmp_path / "cache").glob("*.f16")
    good = segment.read_bytes()
    segment.write_bytes(good[:100])
    with pytest.raises(InputError, match=r"lacks 20 of 20 proteins, e.g. P0_0; delete the markers"):
        _join(proteins, tmp_path / "cache", tmp_path / "view")
    capsys.readouterr()
    done = _embed(proteins, tmp_path / "cache")
    assert done["embedded"] == 20 and len(done["damaged_segments"]) == 1
    assert f"warning: {segment}: has 100 bytes" in capsys.readouterr().err
    assert segment.read_bytes() == good


def test_changed_bytes_never_reach_a_view(tmp_path):
    proteins = _proteins(_folder(tmp_path, "data"), _rows(20))
    _embed(proteins, tmp_path / "cache")
    (segment,) = (tmp_path / "cache").glob("*.f16")
    content = bytearray(segment.read_bytes())
    content[7] ^= 64
    segment.write_bytes(content)
    with pytest.raises(InputError, match="damaged"):
        _join(proteins, tmp_path / "cache", tmp_path / "view")
    assert not (tmp_path / "view" / "embedding.json").exists()


def test_other_settings_on_the_same_cache_are_refused(tmp_path):
    proteins = _proteins(_folder(tmp_path, "data"), _rows(10))
    _embed(proteins, tmp_path / "cache")
    with pytest.raises(InputError, match="tokens 2048 instead of 1024"):
        _embed(proteins, tmp_path / "cache", tokens=2048)
    with pytest.raises(InputError, match=r"weights_sha256 .* instead of"):
        _embed(proteins, tmp_path / "cache", backbone=json.dumps({"name": "tiny", "weights": "random", "seed": 9}))
    with pytest.raises(InputError, match="holds layer 4 of tiny, not layer 2 of tiny"):
        _join(
            proteins,
            tmp_path / "cache",
            tmp_path / "view",
            backbone=json.dumps({"name": "tiny", "weights": "random", "layer": 2}),
        )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sequence": "MKJ"}, "protein P0_0: residue 'J' at position 3 is unknown"),
        ({"sequence": ""}, "protein P0_0: empty sequence"),
        ({"sequence": None}, "row 1 has no sequence"),
    ],
)
def test_bad_sequences_end_the_job_in_one_line(tmp_path, change, message):
    rows = _rows(10)
    proteins = _proteins(_folder(tmp_path, "data"), [rows[0] | change, *rows[1:]])
    with pytest.raises(InputError, match=message):
        _embed(proteins, tmp_path / "cache")


@pytest.mark.parametrize(
    ("position", "change", "message"),
    [
        (0, {"tm": None}, "fit or stop has no tm"),
        (0, {"tm": float("nan")}, "fit or stop has no tm"),
        (7, {"tm": 50.0}, "belong into the vault"),
        (0, {"split": "train"}, "split 'train'"),
    ],
)
def test_bad_labels_and_splits_are_refused(tmp_path, position, change, message):
    rows = _rows(10)
    rows[position] |= change
    with pytest.raises(InputError, match=message):
        _join(_proteins(_folder(tmp_path, "data"), rows), tmp_path / "cache", tmp_path / "view")


def test_float16_overflow_and_nan_are_counted_and_refused():
    other, sound = torch.tensor([[1.0, 1.0, 2.0]]), torch.tensor([[65504.0] * 3, [1.0, 2.0, 3.0]])
    part, ids = [("a", other), ("b", sound)], {"a": "first", "b": "second"}
    tokens = {"a": torch.tensor([0, 5, 2]), "b": torch.tensor([0, 5, 6, 2])}
    assert [(name, half.tolist()) for name, half in to_float16(part, tokens, ids, 4)] == [
        ("a", [[1.0, 1.0, 2.0]]),
        ("b", [[65504.0] * 3, [1.0, 2.0, 3.0]]),
    ]
    sound[1, 2] = 70000
    with pytest.raises(InputError, match=r"protein second: of 6 values of layer 4, 1 beyond float16's range"):
        to_float16(part, tokens, ids, 4)
    sound[0, 0] = float("nan")
    with pytest.raises(InputError, match=r"protein second: .* 1 not finite"):
        to_float16(part, tokens, ids, 4)


def test_a_device_out_of_memory_is_tried_twice_then_named():
    class Hungry:
        tokens = 4096
        calls = 0

        def __init__(self, failures):
            self.failures = failures

        def __call__(self, proteins, rows):
            self.calls += 1
            if self.calls <= self.failures:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return proteins

    assert _forward(Hungry(1), [1], 4096) == [1]
    with pytest.raises(InfrastructureError, match=r"halve runtime.embed_tokens \(now 4096\)"):
        _forward(Hungry(2), [1], 4096)


def test_no_gpu_is_said_in_one_line(tmp_path):
    if torch.cuda.is_available():
        pytest.skip("there is a GPU: run it where there is none, or with CUDA_VISIBLE_DEVICES=")
    proteins = _proteins(_folder(tmp_path, "data"), _rows(10))
    with pytest.raises(InfrastructureError, match="torch finds no GPU"):
        _embed(proteins, tmp_path / "cache", device="cuda")


@pytest.mark.slow
def test_the_command_lines_work(tmp_path):
    proteins = _proteins(_folder(tmp_path, "data"), _rows(20))
    common = ["--proteins", proteins, "--backbone", BACKBONE, "--cache", tmp_path / "cache"]
    shard = [*common, "--shard", 0, "--shards", 1, "--tokens", 1024, "--threads", 1, "--device", "cpu"]
    done = _run("embed_shard", *shard, "--done", tmp_path / "done.json")
    assert done.returncode == 0 and "20 proteins embedded in" in done.stderr, done.stderr
    done = _run("join_embedding", *common, "--folder", tmp_path / "view", "--seed", 0)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    views.check_views(tmp_path / "view")
    done = _run("embed_shard", *shard[:-1], "tpu", "--done", tmp_path / "done.json")
    assert done.returncode == 2 and done.stderr == "error: device 'tpu': cpu or cuda\n"


def _run(script, *arguments):
    command = [sys.executable, ROOT / "scripts" / f"{script}.py", *arguments]
    return subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)


def test_reading_views_and_joining_need_no_torch():
    script = "import sys, tmelt.embed.views, tmelt.embed.settings; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
