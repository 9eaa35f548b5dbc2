"""Checkpoints of winners are kept: plain files only, with the run they belong to."""

import os
import socket

import pytest
from small_data import RIDGE, small_harness

from tmelt.harness import checkpoint, journal
from tmelt.harness.checkpoint import Unkeepable, copy_checkpoint
from tmelt.harness.run import run_key, train_runs
from tmelt.harness.variation import Variation
from tmelt.search.history import Proposal
from tmelt.storage.files import sha256_file

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("warm_sandbox")]


@pytest.fixture
def left(tmp_path):
    """A checkpoint folder as a script may leave it."""
    folder = tmp_path / "left"
    (folder / "fold 1" / "empty").mkdir(parents=True)
    (folder / "model.pt").write_bytes(os.urandom(3 << 20))
    (folder / "fold 1" / "w.npy").write_bytes(b"abc")
    return folder


def test_plain_files_are_copied_with_their_hashes(left, tmp_path):
    hashes = copy_checkpoint(left, tmp_path / "copy", most=4 << 20)
    assert set(hashes) == {"model.pt", "fold 1/w.npy"}
    assert all(
        sha256_file(tmp_path / "copy" / name) == sha256 == sha256_file(left / name) for name, sha256 in hashes.items()
    )


def a_socket(folder):
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(folder / "s"))


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda f: (f / "x").symlink_to("/etc/passwd"), "'x' is not a plain file"),
        (lambda f: (f / "fold 1" / "x").symlink_to("w.npy"), "'fold 1/x' is not a plain file"),
        (lambda f: (f / "d").symlink_to("/etc"), "'d' is not a plain file"),
        (lambda f: os.link(f / "model.pt", f / "x"), "is not a plain file"),
        (lambda f: os.mkfifo(f / "x"), "'x' is not a plain file"),
        (a_socket, "'s' is not a plain file"),
        (lambda f: (f / "y").write_bytes(bytes(2 << 20)), "beyond the budget"),
        (lambda f: (f / "sparse").open("wb").truncate(1 << 40), "beyond the budget"),
        (lambda f: (f / "a\nb").write_bytes(b""), r"'a\\nb' is a name that other systems could not have"),
        (lambda f: (f / "a\\b").write_bytes(b""), "is a name"),
        (lambda f: open(bytes(f) + b"/\xff", "wb").close(), "is a name"),  # noqa: PTH123
        (lambda f: [(f / str(n)).write_bytes(b"") for n in range(checkpoint.MOST_FILES)], "more than 1000 files"),
        (lambda f: [(f / str(n)).mkdir() for n in range(checkpoint.MOST_FILES)], "more than 1000 files and folders"),
        (lambda f: (f / "/".join("d" * 300)).mkdir(parents=True), "20 folders deep"),
    ],
)
def test_anything_else_is_refused_by_name(left, tmp_path, spoil, said):
    spoil(left)
    with pytest.raises(Unkeepable, match=said):
        copy_checkpoint(left, tmp_path / "copy", most=4 << 20)


def train(script, small, tmp_path, name="s0", **options):
    harness = small_harness(*small)
    proposal = Proposal(knobs={}, script=script)
    rows = train_runs(proposal, [0], [tmp_path / name], harness, tmp_path / "journal", 1, Variation(), **options)
    return rows[0], run_key(proposal, 0, harness, Variation())


def test_a_runs_checkpoint_is_kept_where_it_is_asked_for(small, tmp_path):
    row, key = train(RIDGE, small, tmp_path)
    assert not (tmp_path / "journal" / key[:2] / key / journal.CHECKPOINT).exists()
    # The journal has the run, but not its checkpoint: it is trained once more …
    again, _ = train(RIDGE, small, tmp_path, "again", keep_checkpoints=True)
    folder, hashes = journal.kept_checkpoint(tmp_path / "journal", key)
    assert set(hashes) == {"ridge.npz"}
    assert sha256_file(folder / "ridge.npz") == hashes["ridge.npz"]
    assert again["wall_s"] != row["wall_s"]
    # … and then never again, with or without.
    for name, options in {"third": {"keep_checkpoints": True}, "fourth": {}}.items():
        assert train(RIDGE, small, tmp_path, name, **options)[0] == again
    # A damaged checkpoint is no checkpoint.
    (folder / "ridge.npz").write_bytes(b"")
    assert train(RIDGE, small, tmp_path, "fifth")[0] == again
    with pytest.warns(UserWarning, match="damaged"):
        train(RIDGE, small, tmp_path, "sixth", keep_checkpoints=True)
    assert sha256_file(folder / "ridge.npz") == journal.kept_checkpoint(tmp_path / "journal", key)[1]["ridge.npz"]


def test_what_cannot_be_kept_is_no_fault_of_the_run(small, tmp_path):
    script = RIDGE.replace("    x = task.fit", "    import os\n    os.mkfifo(checkpoint / 'pipe')\n    x = task.fit", 1)
    row, key = train(script, small, tmp_path, keep_checkpoints=True)
    assert row["status"] == "ok"
    with pytest.raises(Unkeepable, match="'pipe' is not a plain file"):
        journal.kept_checkpoint(tmp_path / "journal", key)
    again, _ = train(script, small, tmp_path, "again", keep_checkpoints=True)
    assert again == row  # trained once: a second time it would leave the same


def test_a_failed_run_has_no_checkpoint_and_is_not_repeated(small, tmp_path):
    script = RIDGE.replace("    x = task.fit", "    raise ValueError\n    x = task.fit", 1)
    first, _ = train(script, small, tmp_path, keep_checkpoints=True)
    again, _ = train(script, small, tmp_path, "again", keep_checkpoints=True)
    assert first["status"] == "crash"
    assert again == first
