"""A fault of the machine is never a candidate's, and a baseline that fails is no result."""

import subprocess
import tempfile
from pathlib import Path

import pytest
from small_data import RIDGE, small_harness
from workflow import SMALLEST

from tmelt.errors import InfrastructureError, InputError
from tmelt.harness.run import rehearse_reference, train_runs
from tmelt.harness.variation import Variation
from tmelt.search.history import Proposal
from tmelt.search.knobs import Space
from tmelt.study.config import Budget

pytestmark = pytest.mark.slow  # sandboxes of their own: 3 CPU seconds each

KNOBS = Space().with_changes(SMALLEST["design"]["space"]).table()


def beginning_with(line: str) -> str:
    """A candidate whose fit begins with a line."""
    return RIDGE.replace("    x = task.fit", f"    {line}\n    x = task.fit", 1)


def train(script, small, folder, origin="agent", must_work=False, **changes):
    """The row of a run of a script."""
    harness = small_harness(*small, **({"knobs": KNOBS} | changes))
    proposal = Proposal(knobs={}, script=script, origin=origin)
    kept = folder / "journal"
    (row,) = train_runs(proposal, [0], [folder / "s0"], harness, kept, 1, Variation(), must_work=must_work)
    return row


@pytest.fixture
def small_temporary(tmp_path, monkeypatch):
    """Makes the folder of temporary files a disk of so many kB."""
    place = tmp_path / "temporary"
    place.mkdir()

    def mount(kilobytes: int) -> Path:
        command = ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", place]
        try:
            subprocess.run(command, check=True, capture_output=True)
        except (subprocess.CalledProcessError, FileNotFoundError) as error:
            pytest.skip(f"may not mount a tmpfs here ({error}): run the tests as root, in no container")
        monkeypatch.setenv("TMPDIR", str(place))
        monkeypatch.setattr(tempfile, "tempdir", None)
        return place

    yield mount
    subprocess.run(["umount", "--lazy", place], check=False, capture_output=True)


def test_the_reference_works_in_the_sandbox(small):
    assert rehearse_reference(small_harness(*small, knobs=KNOBS)) in ("bwrap", "landlock", "apptainer")


@pytest.mark.parametrize("kilobytes", [64, 256, 20_000])
def test_a_small_temporary_folder_is_named_and_no_candidates_fault(small, tmp_path, small_temporary, kilobytes):
    place = small_temporary(kilobytes)
    with pytest.raises(InfrastructureError) as caught:
        train(beginning_with("open(checkpoint / 'x', 'wb').write(bytes(30 << 20))"), small, tmp_path)
    assert "set TMPDIR to" in str(caught.value) and str(place) in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
    assert not list(tmp_path.glob("journal/*/*/run.json")), "the machine's fault was kept as a result"


def test_a_candidate_that_crashes_on_a_machine_that_works_has_crashed(small, tmp_path):
    row = train(
        RIDGE.replace("    x = task.fit", "    raise OSError(28, 'No space left')\n    x = task.fit", 1),
        small,
        tmp_path,
    )
    assert (row["status"], row["reason"]) == ("crash", "rehearsal")
    assert list(tmp_path.glob("journal/*/*/run.json"))


@pytest.mark.parametrize(
    ("line", "budget", "words"),
    [
        ("raise ValueError('no idea')", {}, "crash: ValueError: no idea"),
        ("import time; time.sleep(60)", {"fit_s": 2, "wall_factor": 2}, "timeout"),
        ("x = bytearray(b'x') * (900 << 20)", {"memory_mb": 600}, "oom"),
    ],
)
def test_a_failing_baseline_is_no_result(small, tmp_path, line, budget, words):
    script = beginning_with(line)
    limits = Budget(**({"fit_s": 20, "predict_s": 10, "memory_mb": 1500, "disk_mb": 50, "processes": 32} | budget))
    reference = Proposal(knobs={}, script=script).script_sha256
    with pytest.raises(InputError, match=f"the baseline fails with seed 0, so no search can begin: {words}"):
        train(script, small, tmp_path, "baseline", True, budget=limits, reference_sha256=reference)
    assert not (tmp_path / "s0" / "run.parquet").exists()
    assert not list(tmp_path.glob("journal/*/*/run.json"))
