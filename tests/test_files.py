"""Files are complete or absent."""

import json

import pytest

from tmelt.errors import InputError
from tmelt.storage.files import atomic_path, canonical_json, copy_file, read_json, sha256_json, write_json


def test_interrupted_write_leaves_the_old_file_and_nothing_else(tmp_path):
    target = tmp_path / "a.json"
    write_json(target, {"b": 1})
    with pytest.raises(RuntimeError), atomic_path(target) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert read_json(target) == {"b": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


def test_same_value_gives_same_bytes_whatever_the_order(tmp_path):
    write_json(tmp_path / "a", {"x": 1, "y": [1.5, None]})
    write_json(tmp_path / "b", {"y": [1.5, None], "x": 1})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert sha256_json({"x": 1, "y": 2}) == sha256_json({"y": 2, "x": 1})


def test_nan_is_refused():
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical_json({"mae": float("nan")})


@pytest.mark.parametrize("text", ["", "{", "\x00"])
def test_damaged_json_names_the_file(tmp_path, text):
    path = tmp_path / "damaged.json"
    path.write_text(text)
    with pytest.raises(InputError, match=r"damaged\.json: not valid JSON"):
        read_json(path)
    with pytest.raises(InputError, match="no such file"):
        read_json(tmp_path / "absent.json")


def test_files_get_the_usual_permissions(tmp_path):
    write_json(tmp_path / "a.json", 1)
    (tmp_path / "plain").write_text(json.dumps(1))
    copy_file(tmp_path / "plain", tmp_path / "copy")
    assert (tmp_path / "a.json").stat().st_mode == (tmp_path / "plain").stat().st_mode
    assert (tmp_path / "copy").read_text() == "1"
