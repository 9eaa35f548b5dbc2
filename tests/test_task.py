"""What a script is handed: proteins, batches and the task."""

import json
import math
import time

import numpy as np
import pytest
import torch
from small_views import write_view

from tmelt.errors import InputError
from tmelt.harness.task import Batch, Proteins, Task

LENGTHS = [7, 3, 12, 1, 9, 30]


@pytest.fixture(scope="module")
def view(tmp_path_factory):
    return write_view(tmp_path_factory.mktemp("task") / "fit", LENGTHS, width=8, stop=2)


@pytest.fixture(scope="module")
def proteins(view):
    return Proteins.open(view, labels=True, sequences=True)


def expected_residues(view, protein):
    array = np.fromfile(view / "residues.f16", "<f2").reshape(-1, 8)
    offsets = np.load(view / "offsets.npy")
    return torch.from_numpy(array[offsets[protein] : offsets[protein + 1]])


def test_a_view_is_what_its_files_say(view, proteins):
    assert len(proteins) == 6
    assert proteins.width == 8
    assert proteins.lengths.tolist() == LENGTHS
    assert [len(sequence) for sequence in proteins.sequences] == LENGTHS
    assert proteins.composition.sum(1).tolist() == LENGTHS
    assert proteins.composition[0, 0] == proteins.sequences[0].count("A")
    assert proteins.tm.tolist() == np.load(view / "tm.npy").astype("f4").tolist()
    for protein in range(6):
        assert proteins.residues(protein).dtype == torch.float16
        assert torch.equal(proteins.residues(protein), expected_residues(view, protein))


def test_rows_select_and_order(view):
    rows = np.array([4, 0, 4])
    some = Proteins.open(view, rows, labels=True, sequences=True)
    assert some.lengths.tolist() == [9, 7, 9]
    assert some.tm.tolist() == np.load(view / "tm.npy").astype("f4")[rows].tolist()
    assert torch.equal(some.residues(1), expected_residues(view, 0))
    assert torch.equal(some.select(np.array([1])).residues(0), expected_residues(view, 0))
    for rows in ([False, True, False], torch.tensor([1]), [1]):
        assert some.select(rows).sequences == some.sequences[1:2]
        assert some.select(rows).composition.tolist() == some.composition[1:2].tolist()


def test_sequences_that_are_not_granted_are_not_there(tmp_path):
    view = write_view(tmp_path / "fit", LENGTHS, width=8)
    (view / "sequences.txt").unlink()
    proteins = Proteins.open(view, np.array([1, 2]))
    with pytest.raises(AttributeError, match=r"this study grants no sequences here \(design.sequences\)"):
        _ = proteins.sequences
    assert proteins.composition.sum(1).tolist() == LENGTHS[1:3]


def test_a_moved_set_takes_no_residues_but_its_own(view, proteins):
    assert proteins._moved_to(torch.device("cpu")).store is proteins.store
    rows = np.array([4, 0, 5])
    some, own = proteins.select(rows), proteins.select(rows)._moved_to(torch.device("cpu"))
    assert len(own.store) == sum(LENGTHS[row] for row in rows) < len(some.store)
    for theirs, ours in zip(some.batches(2), own.batches(2), strict=True):
        assert torch.equal(theirs.x, ours.x) and torch.equal(theirs.tm, ours.tm)


@pytest.mark.parametrize(("free", "processes", "moved"), [(3e3, 1, True), (3e3, 20, False), (1e2, 1, False)])
def test_a_gpu_holds_what_fits_beside_others(view, monkeypatch, free, processes, moved):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (free, 4e3))
    few = Proteins.open(view).select(np.array([0, 1]))
    assert (few._resident(processes) is not few) == moved
    assert len(few._resident(processes).store) == (LENGTHS[0] + LENGTHS[1] if moved else sum(LENGTHS))


def test_a_set_without_labels_has_none(view):
    pool = Proteins.open(view)
    assert pool.tm is None
    assert next(pool.batches(2)).tm is None


def test_mean_is_the_mean(view, proteins):
    expected = torch.stack([expected_residues(view, protein).float().mean(0) for protein in range(6)])
    torch.testing.assert_close(proteins.mean(), expected)


def test_batches_in_order_hold_every_residue_once(view, proteins):
    batches = list(proteins.batches(4))
    assert [batch.lengths for batch in batches] == [LENGTHS[:4], LENGTHS[4:]]
    assert torch.cat([batch.rows for batch in batches]).tolist() == list(range(6))
    everything = torch.from_numpy(np.fromfile(view / "residues.f16", "<f2").reshape(-1, 8)).float()
    assert torch.equal(torch.cat([batch.x for batch in batches]), everything)
    assert torch.equal(torch.cat([batch.tm for batch in batches]), proteins.tm)
    assert batches[1].segment.tolist() == [0] * 9 + [1] * 30


def test_shuffled_batches_keep_proteins_together(view, proteins):
    batches = list(proteins.batches(4, torch.Generator().manual_seed(1)))
    assert sorted(torch.cat([batch.rows for batch in batches]).tolist()) == list(range(6))
    assert torch.cat([batch.rows for batch in batches]).tolist() != list(range(6))
    for batch in batches:
        assert torch.equal(batch.tm, proteins.tm[batch.rows])
        for row, part in zip(batch.rows.tolist(), batch.x.split(batch.lengths), strict=True):
            assert torch.equal(part, expected_residues(view, row).float())


def test_a_generator_decides_the_order(proteins):
    def orders(seed):
        generator = torch.Generator().manual_seed(seed)
        return [[batch.rows.tolist() for batch in proteins.batches(2, generator)] for _ in range(2)]

    assert orders(0) == orders(0)
    assert orders(0)[0] != orders(0)[1]


def test_a_crop_is_a_window_at_any_place(view, proteins):
    generator, seen = torch.Generator().manual_seed(0), set()
    whole = expected_residues(view, 5).float()
    for _ in range(60):
        for batch in proteins.batches(6, generator, crop=27):
            assert sorted(batch.lengths) == [1, 3, 7, 9, 12, 27]
            window = batch.x.split(batch.lengths)[batch.rows.tolist().index(5)]
            places = [start for start in range(4) if torch.equal(window, whole[start : start + 27])]
            assert len(places) == 1
            seen.update(places)
    assert seen == {0, 1, 2, 3}


def test_max_tokens_ends_a_batch_early(proteins):
    batches = list(proteins.batches(4, max_tokens=15))
    assert [batch.lengths for batch in batches] == [[7, 3], [12, 1], [9], [30]]


@pytest.mark.parametrize(
    "arguments", [{"size": 0}, {"size": 2, "crop": 4}, {"size": 2, "crop": 0, "generator": torch.Generator()}]
)
def test_impossible_batches_are_refused(proteins, arguments):
    with pytest.raises(ValueError, match="batches: size="):
        next(proteins.batches(**arguments))


def test_split_has_the_same_proteins(proteins):
    (batch,) = proteins.batches(6, torch.Generator().manual_seed(2))
    parts = batch.split(16)
    assert len(parts) > 2
    assert [length for part in parts for length in part.lengths] == batch.lengths
    assert all(sum(part.lengths) <= 16 or len(part) == 1 for part in parts)
    for name in ("x", "rows", "tm"):
        assert torch.equal(torch.cat([getattr(part, name) for part in parts]), getattr(batch, name))
    assert batch.split(62)[0] is batch
    assert batch.split()[0] is batch


def test_padded_is_masked_and_zero_beyond():
    x = torch.randn(5, 2, requires_grad=True)
    padded, mask = Batch(x, [2, 3], torch.arange(2)).padded()
    assert mask.tolist() == [[True, True, False], [True, True, True]]
    assert torch.equal(padded[0, :2], x[:2])
    assert not padded[0, 2].any()
    padded.sum().backward()
    assert torch.equal(x.grad, torch.ones(5, 2))


@pytest.mark.parametrize("name", ["offsets.npy", "composition.npy", "sequences.txt", "residues.f16", "tm.npy"])
@pytest.mark.parametrize("damage", ["missing", "short"])
def test_a_damaged_view_is_refused(tmp_path, name, damage):
    view = write_view(tmp_path / "fit", LENGTHS, width=8, stop=2)
    if damage == "missing":
        (view / name).unlink()
    else:
        (view / name).write_bytes((view / name).read_bytes()[:-13])
    with pytest.raises(InputError, match="fit: "):
        Proteins.open(view, labels=True, sequences=True)


def make_task(tmp_path, precision="fp32", **sets):
    return Task(seed=1, device=torch.device("cpu"), precision=precision, seconds=100, output=tmp_path, **sets)


def test_a_task_has_only_the_sets_of_its_phase(tmp_path, proteins):
    task = make_task(tmp_path, pool=proteins)
    assert task.pool is proteins
    with pytest.raises(AttributeError, match=r"no 'fit' here; its proteins are: pool"):
        _ = task.fit


def test_time_runs_down(tmp_path):
    task = make_task(tmp_path)
    before = task.seconds_left()
    time.sleep(0.02)
    assert before - 5 < task.seconds_left() <= before - 0.02 <= 100


def test_the_record_is_json_lines_of_finite_numbers(tmp_path):
    task = make_task(tmp_path)
    task.log_model(parameter_count=torch.tensor(12))
    task.log_epoch(epoch=1, fit_loss=torch.tensor(0.5), stop_mae=math.nan)
    task.log_epoch(epoch=2, learning_rate=1e-3)
    assert json.loads((tmp_path / "model.json").read_text()) == {"parameter_count": 12}
    lines = (tmp_path / "curve.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == [{"epoch": 1, "fit_loss": 0.5}, {"epoch": 2, "learning_rate": 1e-3}]


def test_reports_are_noted_in_fit_only_and_bounded(tmp_path):
    task = make_task(tmp_path)
    task.report(blend=torch.tensor(0.5), loo=math.inf)
    task.report(**{f"n{number}": number for number in range(30)})
    task.report(blend=0.75)
    claims = [json.loads(line)["report"] for line in (tmp_path / "curve.jsonl").read_text().splitlines()]
    assert claims[0] == {"blend": 0.5} and claims[-1] == {"blend": 0.75}
    assert len({name for claim in claims for name in claim}) == 19  # `loo` has one of the 20 names
    with pytest.raises(ValueError, match=r"task\.report: 'a b'"):
        task.report(**{"a b": 1})


def test_reports_of_predict_leave_nothing(tmp_path):
    task = make_task(tmp_path, pool=True)
    task.report(secret=1.0)
    assert not (tmp_path / "curve.jsonl").exists()


@pytest.mark.parametrize(
    ("precision", "amx", "dtype"),
    [
        ("fp32", True, torch.float32),
        ("bf16", False, torch.bfloat16),
        ("auto", True, torch.bfloat16),
        ("auto", False, torch.float32),
    ],
)
def test_autocast_follows_precision_and_processor(tmp_path, monkeypatch, precision, amx, dtype):
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)
    with make_task(tmp_path, precision).autocast():
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == dtype
