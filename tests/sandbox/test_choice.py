"""Which backend is taken: a weaker one only where the stronger one proves not to keep candidates in, and announced."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from needs import need_backend

HERE = Path(__file__).resolve().parent
sys.path.append(str(HERE))

from users import ROOT  # noqa: E402

from tmelt.harness.sandbox import Accident, Sandbox, SandboxUnavailable, backends  # noqa: E402
from tmelt.harness.sandbox import sandbox as module  # noqa: E402
from tmelt.harness.sandbox.phase import Limits  # noqa: E402
from tmelt.harness.sandbox.supervise import Shortage  # noqa: E402


def fake_bwrap(monkeypatch, folder, script):
    """Put a program of this name first on the path."""
    program = folder / "bwrap"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")


def open_auto(**options):
    return Sandbox("auto", preload=(), entry="entries:run", python_path=(HERE,), **options)


@pytest.mark.parametrize(
    "words",
    [
        "bwrap: Creating new namespace failed: Resource temporarily unavailable",
        "bwrap: Can't mkdir parents for /x: No space left on device",
        "bwrap: Out of memory",
        "MemoryError",
        "bwrap: fork: Cannot allocate memory",
    ],
)
def test_a_shortage_is_no_proof_and_chooses_no_weaker_backend(tmp_path, monkeypatch, words):
    need_backend("landlock")
    fake_bwrap(monkeypatch, tmp_path, f'echo "{words}" >&2\nexit 1')
    with (
        pytest.raises(Accident, match=r"^sandbox bwrap: .*; this says nothing about the backend"),
        open_auto(),
    ):
        pass


def test_a_backend_that_the_kernel_refuses_is_passed_over_aloud(tmp_path, monkeypatch, capfd):
    need_backend("landlock")
    fake_bwrap(monkeypatch, tmp_path, 'echo "bwrap: No permissions to create new namespace" >&2\nexit 1')
    with open_auto() as opened:
        assert opened.backend == "landlock"
    said = capfd.readouterr().err
    assert said.count("\n") == 1 and said.startswith("sandbox: landlock is used, because bwrap: ")
    assert "No permissions to create new namespace" in said


def test_a_self_test_without_an_end_proves_nothing(monkeypatch):
    need_backend("landlock")
    no_disk = Limits(wall_s=60, memory_mb=4000, processes=64, file_mb=10, disk_mb=-1)
    monkeypatch.setattr(module, "_CANARY_LIMITS", no_disk)
    with pytest.raises(Accident, match="its self-test ended as disk without a finding"), open_auto():
        pass


def test_a_proven_hole_is_named_and_so_is_every_way_on(tmp_path, monkeypatch):
    """A bwrap that confines nothing, on a kernel without Landlock."""
    fake_bwrap(monkeypatch, tmp_path, 'while [ "$1" != -- ]; do [ $# = 0 ] && exit 0; shift; done; shift\nexec "$@"')
    with pytest.raises(SandboxUnavailable) as refused, open_auto(landlock_abi=0):
        pass
    text = str(refused.value)
    assert "bwrap: it could read a file that is not listed it could write outside its folders" in text
    for way in ("install bubblewrap", "Apptainer", "sandbox_image", "`sandbox: none`"):
        assert way in text


def test_namespaces_that_are_switched_off_are_no_shortage(tmp_path, monkeypatch):
    words = "bwrap: Creating new namespace failed: No space left on device"
    for allowed, shortage in (("0", False), ("100", True)):
        (tmp_path / "max").write_text(f"{allowed}\n")
        monkeypatch.setattr(backends, "_USER_NAMESPACES", tmp_path / "max")
        assert backends.is_shortage(words) is shortage


@pytest.mark.parametrize(
    ("started", "available", "mine", "held", "status"),
    [
        ((8000, 0), 200, 7000, [7000], "oom"),  # it took most of what has gone
        ((8000, 0), 200, 500, [500], "error"),  # something else did
        ((8000, 0), 200, 2600, [2600, 2600, 2600], "oom"),  # three seeds of one candidate did, together
        ((8000, 0), 200, 1000, [1000, 6500], None),  # the larger one ends first
        ((8000, 4000), 200, 500, [500, 4000], "error"),  # those beside it had theirs before
        ((300, 0), 200, 80, [80], "oom"),
    ],
)
def test_who_is_to_blame_for_a_machine_without_memory(started, available, mine, held, status):
    verdict = Shortage(*started).verdict(available, mine, held)
    assert (verdict and verdict.status) == status


@pytest.mark.parametrize("backend", ["bwrap", "landlock"])
def test_root_of_a_user_namespace_is_an_ordinary_user(backend):
    need_backend(backend)
    unshare = shutil.which("unshare")
    if not unshare or subprocess.run([unshare, "-Ur", "true"], capture_output=True).returncode:
        pytest.skip("this kernel does not allow user namespaces")
    code = f"""if True:
        import os, sys
        sys.path[:0] = [{str(ROOT)!r}, {str(HERE)!r}]
        from tmelt.harness.sandbox import Limits, Phase, Sandbox, backends
        assert os.geteuid() == 0 and backends.child_uid({backend!r}) is None
        limits = Limits(wall_s=20, memory_mb=500, processes=30, file_mb=100, disk_mb=50)
        with Sandbox({backend!r}, preload=(), entry="entries:run", python_path=({str(HERE)!r},)) as sandbox:
            outcome = sandbox.run(Phase({{"do": "tell_capabilities"}}, (), (), limits))
        print(outcome.status, outcome.output.strip())
    """
    done = subprocess.run([unshare, "-Ur", sys.executable, "-c", code], capture_output=True, text=True, cwd="/")
    assert done.stdout == "ok [0, 0] [0, 0]\n", done.stderr
