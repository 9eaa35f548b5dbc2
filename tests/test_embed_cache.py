"""The cache of embeddings: shared, immutable, and suspicious of its own files."""

import hashlib
import multiprocessing
from dataclasses import replace

import numpy as np
import pytest

from tmelt.embed.cache import SegmentWriter, check_key, open_cache
from tmelt.embed.chunks import chunks
from tmelt.embed.record import Key
from tmelt.errors import InfrastructureError, InputError

KEY = Key("tiny", "ab" * 32, True, False, 4, 8, "fp32", "cpu", 4096)


def _sha(number: int) -> str:
    return hashlib.sha256(str(number).encode()).hexdigest()


def _residues(number: int) -> np.ndarray:
    return np.random.default_rng(number).standard_normal((3 + number % 7, KEY.width)).astype(np.float16)


def _fill(folder, numbers, key=KEY, segment_bytes=10**9):
    writer = SegmentWriter(folder, key, segment_bytes)
    for number in numbers:
        writer.add(_sha(number), _residues(number))
    writer.close()


def test_what_went_in_comes_out_bit_by_bit(tmp_path):
    _fill(tmp_path, range(20), segment_bytes=400)
    cache = open_cache(tmp_path)
    assert len(list(tmp_path.glob("*.f16"))) > 3
    assert cache.key == KEY and cache.damaged == () and len(cache.places) == 20
    for number in range(20):
        assert np.array_equal(cache.residues(_sha(number)), _residues(number))
    cache.verify()


def test_an_absent_folder_is_an_empty_cache(tmp_path):
    cache = open_cache(tmp_path / "none")
    assert cache.key is None and not cache.places
    check_key(cache, KEY)


def test_nothing_collected_writes_nothing(tmp_path):
    SegmentWriter(tmp_path, KEY).close()
    assert not list(tmp_path.iterdir())


def test_the_same_proteins_give_the_same_files(tmp_path):
    _fill(tmp_path, range(5))
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    _fill(tmp_path, range(5))
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_writers_of_the_same_proteins_at_the_same_time_do_no_harm(tmp_path):
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=_fill, args=(tmp_path, range(start, 60), KEY, 1000)) for start in (0, 0, 0, 7)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
        assert writer.exitcode == 0
    cache = open_cache(tmp_path)
    cache.verify()
    assert cache.damaged == () and len(cache.places) == 60
    for number in range(60):
        assert np.array_equal(cache.residues(_sha(number)), _residues(number))
    assert not list(tmp_path.glob(".*"))


def _one(tmp_path, pattern):
    (path,) = tmp_path.glob(pattern)
    return path


def _cut(path):
    path.write_bytes(path.read_bytes()[:-2])


def _empty(path):
    path.write_bytes(b"")


def _flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("pattern", "damage", "message"),
    [
        ("*.f16", _cut, "bytes instead of"),
        ("*.f16", _empty, "has 0 bytes instead of"),
        ("*.f16", lambda path: path.unlink(), "missing, but"),
        ("*.parquet", _cut, "does not have the hash"),
        ("*.parquet", _empty, "does not have the hash"),
        ("*.parquet", _flip, "does not have the hash"),
    ],
)
def test_a_damaged_segment_is_left_out_with_one_line_and_healed_by_writing_again(tmp_path, pattern, damage, message):
    _fill(tmp_path, range(4))
    path = _one(tmp_path, pattern)
    damage(path)
    lines = []
    cache = open_cache(tmp_path, lines.append)
    assert not cache.places and len(cache.damaged) == len(lines) == 1
    assert str(path) in lines[0] and message in lines[0] and "\n" not in lines[0]
    _fill(tmp_path, range(4))
    assert len(open_cache(tmp_path, lines.append).places) == 4 and len(lines) == 1


def test_changed_bytes_of_the_right_length_are_found_by_verify(tmp_path):
    _fill(tmp_path, [1])
    _fill(tmp_path, [2])
    damaged = open_cache(tmp_path).places[_sha(2)].segment
    _flip(damaged)
    cache = open_cache(tmp_path)
    cache.verify([_sha(1)])
    for wanted in (None, [_sha(2)]):
        with pytest.raises(InputError) as caught:
            cache.verify(wanted)
        assert str(damaged) in str(caught.value) and "\n" not in str(caught.value)


def test_data_without_an_index_and_unfinished_files_are_not_seen(tmp_path):
    _fill(tmp_path, range(4))
    _one(tmp_path, "*.parquet").unlink()
    (tmp_path / ".0123.parquet.abc.part").write_bytes(b"half")
    lines = []
    assert not open_cache(tmp_path, lines.append).places and not lines


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"weights_sha256": "cd" * 32}, f"weights_sha256 {'cd' * 32} instead of {'ab' * 32}"),
        ({"precision": "bf16", "device": "cuda"}, "precision bf16 instead of fp32, device cuda instead of cpu"),
        ({"tokens": 8192}, "tokens 8192 instead of 4096"),
        ({"layer": 3}, "layer 3 instead of 4"),
    ],
)
def test_embeddings_of_another_kind_are_refused_naming_both(tmp_path, change, message):
    _fill(tmp_path, range(2))
    other = replace(KEY, **change)
    with pytest.raises(InputError, match=message):
        check_key(open_cache(tmp_path), other)
    _fill(tmp_path, range(2, 4), other)
    with pytest.raises(InputError, match="embeddings of two kinds"):
        open_cache(tmp_path)


def test_a_full_disk_is_the_machines_fault(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InfrastructureError, match="cannot write a segment"):
        _fill(tmp_path / "file", [1])


def test_only_float16_of_the_right_width_is_taken(tmp_path):
    writer = SegmentWriter(tmp_path, KEY)
    for wrong in (np.zeros((3, 8), np.float32), np.zeros((3, 7), np.float16), np.zeros(8, np.float16)):
        with pytest.raises(ValueError, match="float16"):
            writer.add("x", wrong)


@pytest.mark.parametrize(
    ("lengths", "expected"),
    [([], []), ([3], [[3]]), ([9], [[9]]), ([2, 2, 2], [[2, 2], [2]]), ([9, 1, 9, 2, 2], [[9], [1], [9], [2, 2]])],
)
def test_proteins_are_cut_into_parts_that_fit(lengths, expected):
    assert [lengths[part] for part in chunks(lengths, 5)] == expected
