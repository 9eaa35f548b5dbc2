"""A bundle is what was written, or one clear line."""

import json
import zipfile

import pytest

from tmelt.bundle.archive import ABOUT, CARD, RESIDUALS, SCRIPT, SEQUENCES, open_bundle, write_archive
from tmelt.errors import InputError
from tmelt.files import sha256_json

MEMBERS = {
    CARD: b"# card\n",
    SCRIPT: b"def fit(): ...\n",
    RESIDUALS: b"[1.0]\n",
    SEQUENCES: b"",
    "checkpoints/s7/deep/model.pt": bytes(1000),
}


@pytest.fixture
def written(tmp_path):
    path = tmp_path / "bundle.zip"
    write_archive(path, {"seeds": [7, 8]}, MEMBERS)
    return path


def rewritten(path, change):
    """The bundle with other members: `change` maps {name: bytes} to the same."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, content in change(members).items():
            archive.writestr(name, content)
    return path


def about_with(members, /, **changes):
    """The members with another bundle.json whose own hash is right."""
    about = json.loads(members[ABOUT]) | changes
    about["sha256"] = sha256_json({key: value for key, value in about.items() if key != "sha256"})
    return members | {ABOUT: json.dumps(about).encode()}


def test_members_come_back(written, tmp_path):
    bundle = open_bundle(written)
    assert bundle.text(CARD) == "# card\n"
    bundle.unpack_checkpoints(tmp_path / "out")
    assert (tmp_path / "out" / "checkpoints" / "s7" / "deep" / "model.pt").read_bytes() == bytes(1000)
    assert list((tmp_path / "out" / "checkpoints" / "s8").iterdir()) == []  # a script may leave nothing


def test_the_same_contents_are_the_same_file(written, tmp_path):
    (tmp_path / "model.pt").write_bytes(bytes(1000))
    members = MEMBERS | {"checkpoints/s7/deep/model.pt": tmp_path / "model.pt"}
    write_archive(tmp_path / "again.zip", {"seeds": [7, 8]}, dict(reversed(members.items())))
    first, again = (zipfile.ZipFile(path) for path in (written, tmp_path / "again.zip"))
    with first, again:
        assert {name: first.read(name) for name in first.namelist()} == {
            name: again.read(name) for name in again.namelist()
        }
    write_archive(tmp_path / "third.zip", {"seeds": [7, 8]}, MEMBERS)
    assert written.read_bytes() == (tmp_path / "third.zip").read_bytes()


def test_any_zip_tool_opens_it(written):
    with zipfile.ZipFile(written) as archive:
        assert archive.testzip() is None
        assert set(archive.namelist()) == {*MEMBERS, ABOUT}


@pytest.mark.parametrize("name", sorted(MEMBERS))
def test_a_changed_member_is_named(written, name):
    rewritten(written, lambda members: members | {name: members[name] + b"x"})
    with pytest.raises(InputError, match=f"not as it was written.*{name} was changed"):
        open_bundle(written)


def flip_a_byte(path):
    """Damage where a member's contents are."""
    content = bytearray(path.read_bytes())
    at = content.index(b"def fit")
    content[at] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda path: path.unlink(), "no such file"),
        (lambda path: path.write_bytes(b""), "not a readable bundle"),
        (lambda path: path.write_bytes(path.read_bytes()[:-100]), "not a readable bundle"),
        (flip_a_byte, "not a readable bundle|was changed"),
        (lambda path: rewritten(path, lambda members: {"a.txt": b"a"}), "not a bundle of tmelt"),
        (lambda path: rewritten(path, lambda m: m | {ABOUT: b"[]"}), "not a bundle of tmelt"),
        (lambda path: rewritten(path, lambda m: m | {ABOUT: b"{}"}), "not a bundle of tmelt"),
        (lambda path: rewritten(path, lambda m: about_with(m, format=2)), "bundle format 2, and this tmelt reads 1"),
        (
            lambda path: rewritten(path, lambda m: m | {ABOUT: m[ABOUT].replace(b'"seeds"', b'"sedes"')}),
            "bundle.json was changed",
        ),
        (lambda path: rewritten(path, lambda m: m | {"more": b""}), "missing, added or doubled"),
        (lambda path: rewritten(path, lambda m: {k: v for k, v in m.items() if k != CARD}), "missing, added"),
        (
            lambda path: rewritten(
                path, lambda m: about_with(m | {"../x": b""}, members={**json.loads(m[ABOUT])["members"], "../x": ""})
            ),
            "no member that a bundle has",
        ),
    ],
)
def test_what_is_no_bundle_is_one_line(written, damage, said):
    damage(written)
    with pytest.raises(InputError, match=said) as error:
        open_bundle(written)
    assert "\n" not in str(error.value)


def test_a_bomb_is_not_unpacked(written):
    def bomb(path):
        with zipfile.ZipFile(path) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in members.items():
                archive.writestr(name, content)

    bomb(written)
    with pytest.raises(InputError, match="no member that a bundle has"):
        open_bundle(written)


def test_nothing_half_written_stays(tmp_path):
    with pytest.raises(FileNotFoundError):
        write_archive(tmp_path / "bundle.zip", {}, MEMBERS | {"checkpoints/s0/gone": tmp_path / "gone"})
    assert list(tmp_path.iterdir()) == []
