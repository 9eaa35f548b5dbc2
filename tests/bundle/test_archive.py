"""A bundle is what was written, or one clear line."""

import copy
import json
import zipfile

import pytest
from example import ABOUT as EXAMPLE

from tmelt.bundle import archive as archive_module
from tmelt.bundle.archive import ABOUT, CARD, RESIDUALS, SCRIPT, SEQUENCES, open_bundle, write_archive
from tmelt.errors import InputError
from tmelt.storage.files import sha256_json

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
    write_archive(path, EXAMPLE, MEMBERS)
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
    assert bundle.residuals() == [1.0]
    bundle.unpack_checkpoints(tmp_path / "out")
    assert (tmp_path / "out" / "checkpoints" / "s7" / "deep" / "model.pt").read_bytes() == bytes(1000)
    assert list((tmp_path / "out" / "checkpoints" / "s8").iterdir()) == []  # a script may leave nothing


def test_the_same_contents_are_the_same_file(written, tmp_path):
    (tmp_path / "model.pt").write_bytes(bytes(1000))
    members = MEMBERS | {"checkpoints/s7/deep/model.pt": tmp_path / "model.pt"}
    write_archive(tmp_path / "again.zip", EXAMPLE, dict(reversed(members.items())))
    first, again = (zipfile.ZipFile(path) for path in (written, tmp_path / "again.zip"))
    with first, again:
        assert {name: first.read(name) for name in first.namelist()} == {
            name: again.read(name) for name in again.namelist()
        }
    write_archive(tmp_path / "third.zip", EXAMPLE, MEMBERS)
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
                path,
                lambda m: about_with(m | {"../x": b""}, members={**json.loads(m[ABOUT])["members"], "../x": "0" * 64}),
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
    with pytest.raises(InputError, match="is compressed, and no member of a bundle is"):
        open_bundle(written)


@pytest.mark.parametrize("name", [ABOUT, SCRIPT])
def test_one_compressed_member_is_not_read(written, name):
    """1.5 MB that would become 2 GB, as its own description or another member."""
    with zipfile.ZipFile(written) as archive:
        members = {key: archive.read(key) for key in archive.namelist()}
    with zipfile.ZipFile(written, "w") as archive:
        for key, content in members.items():
            archive.writestr(key, bytes(1 << 20) if key == name else content, 8 if key == name else 0)
    with pytest.raises(InputError, match=f"{name}' is compressed"):
        open_bundle(written)


def test_members_that_share_their_bytes_are_not_unpacked(written):
    """The same stored bytes under many names: a bomb without compression."""
    with zipfile.ZipFile(written, "a") as archive:
        first = archive.getinfo("checkpoints/s7/deep/model.pt")
        for number in range(200):
            twin = copy.copy(first)
            twin.filename = f"checkpoints/s7/{number}"
            archive.filelist.append(twin)
            archive.NameToInfo[twin.filename] = twin
        archive._didModify = True
    with pytest.raises(InputError, match="its members share their bytes"):
        open_bundle(written)


def test_a_description_beyond_its_size_is_not_read(written, monkeypatch):
    monkeypatch.setitem(archive_module._MOST_BYTES, ABOUT, 100)
    with pytest.raises(InputError, match=r"bundle.json has \d+ bytes"):
        open_bundle(written)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"[" * 100_000, "not a bundle of tmelt"),
        (b'{"format": ' + b"9" * 5000 + b"}", "not a bundle of tmelt"),
        (b'{"format": NaN}', "not a bundle of tmelt"),
        (b"\xff", "not a bundle of tmelt"),
    ],
)
def test_a_description_that_is_no_json_is_one_line(written, content, said):
    rewritten(written, lambda members: members | {ABOUT: content})
    with pytest.raises(InputError, match=said):
        open_bundle(written)


@pytest.mark.parametrize("name", ["checkpoints/s9/model.pt", "checkpoints/s7/../../x", "notes.txt", "checkpoints/s7"])
def test_a_member_that_no_bundle_has_is_refused(tmp_path, name):
    write_archive(tmp_path / "b.zip", EXAMPLE, MEMBERS | {name: b""})
    with pytest.raises(InputError, match="no member that a bundle has"):
        open_bundle(tmp_path / "b.zip")


@pytest.mark.parametrize(
    "content", [b"[2.0, 1.0]", b"[-1.0]", b"[NaN]", b"[true]", b'["1"]', b"{}", b"[", b"\xff", b"[1e999]"]
)
def test_residuals_that_are_no_errors_are_refused(tmp_path, content):
    write_archive(tmp_path / "b.zip", EXAMPLE, MEMBERS | {RESIDUALS: content})
    with pytest.raises(InputError, match=r"residuals.json (holds no ascending errors|is no text)"):
        open_bundle(tmp_path / "b.zip").residuals()


def test_nothing_half_written_stays(tmp_path):
    with pytest.raises(FileNotFoundError):
        write_archive(tmp_path / "bundle.zip", {}, MEMBERS | {"checkpoints/s0/gone": tmp_path / "gone"})
    assert list(tmp_path.iterdir()) == []
