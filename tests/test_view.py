"""Views come back as they were written, in the same bytes by each way of writing; files that do not fit are refused."""

import numpy as np
import pytest

from tmelt.bundle.embedding import write_pool
from tmelt.embed.view import View
from tmelt.errors import InputError
from tmelt.harness.run import _write_small_pool
from tmelt.proteins.composition import composition

SEQUENCES = ["ACDA", "W", "MKVLA"]
LABELS = {"tm": np.array([50.0, 61.5, 44.25]), "is_stop": np.array([False, True, False])}


@pytest.fixture
def residues():
    random = np.random.default_rng(0)
    return [random.standard_normal((len(sequence), 6)).astype("<f2") for sequence in SEQUENCES]


def files(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("durable", [False, True])
def test_a_view_comes_back_as_it_was_written(tmp_path, residues, durable):
    folder = tmp_path / "fit"
    View.write(folder, residues, composition(SEQUENCES), sequences=SEQUENCES, labels=LABELS, durable=durable)
    view = View.open(folder, sequences=True, labels=True)
    assert len(view) == 3 and view.sequences == SEQUENCES and view.lengths.tolist() == [4, 1, 5]
    for number, protein in enumerate(residues):
        assert view.protein(number).dtype == np.float16
        np.testing.assert_array_equal(view.protein(number), protein)
    np.testing.assert_array_equal(view.composition, composition(SEQUENCES))
    assert view.tm.tolist() == LABELS["tm"].tolist() and view.is_stop.tolist() == LABELS["is_stop"].tolist()
    plain = View.open(folder)
    assert plain.sequences is None and plain.tm is None and plain.is_stop is None


def test_what_is_written_to_an_open_view_stays_in_this_process(tmp_path, residues):
    View.write(tmp_path / "pool", residues, composition(SEQUENCES))
    before = files(tmp_path / "pool")
    View.open(tmp_path / "pool").residues[:] = 0
    assert files(tmp_path / "pool") == before


def test_each_writer_gives_the_same_bytes(tmp_path, residues):
    View.write(tmp_path / "pool", residues, composition(SEQUENCES), sequences=SEQUENCES, durable=True)
    asked = write_pool(tmp_path / "asked", residues, SEQUENCES, with_sequences=True)
    _write_small_pool(tmp_path / "pool", np.arange(3), tmp_path / "few")
    assert files(asked) == files(tmp_path / "few") == files(tmp_path / "pool")
    _write_small_pool(tmp_path / "pool", np.array([2, 0]), tmp_path / "two")
    two = View.open(tmp_path / "two", sequences=True)
    assert two.sequences == [SEQUENCES[2], SEQUENCES[0]] and two.lengths.tolist() == [5, 4]
    np.testing.assert_array_equal(two.protein(0), residues[2])
    assert "sequences.txt" not in files(write_pool(tmp_path / "mute", residues, SEQUENCES, with_sequences=False))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda folder: (folder / "offsets.npy").unlink(), r"not a readable view of embeddings \(.*offsets\.npy"),
        (lambda folder: (folder / "residues.f16").write_bytes(b""), r"not a readable view of embeddings"),
        (lambda folder: (folder / "residues.f16").write_bytes(b"0" * 22), r"its files do not fit each other"),
        (lambda folder: np.save(folder / "tm.npy", np.zeros(2)), r"its files do not fit each other"),
        (lambda folder: np.save(folder / "composition.npy", np.zeros((3, 4))), r"its files do not fit each other"),
        (lambda folder: (folder / "sequences.txt").write_text("ACDA\nW\nMKV\n"), r"its files do not fit each other"),
    ],
    ids=["missing", "empty", "cut", "labels", "composition", "sequences"],
)
def test_a_view_that_does_not_fit_is_refused(tmp_path, residues, change, message):
    View.write(tmp_path / "fit", residues, composition(SEQUENCES), sequences=SEQUENCES, labels=LABELS)
    change(tmp_path / "fit")
    with pytest.raises(InputError, match=rf"fit: {message}.*; delete {tmp_path} and run again"):
        View.open(tmp_path / "fit", sequences=True, labels=True)
