"""Jobs of an earlier run in SLURM's queue are looked for; a squeue that fails is a warning, however it fails."""

import uuid

import pytest

from tmelt.errors import InputError
from tmelt.jobs import orphans


@pytest.fixture
def squeue(tmp_path, monkeypatch):
    """Puts a program of this name, a shell script, before all others."""

    def write(script: str) -> None:
        program = tmp_path / "bin" / "squeue"
        program.parent.mkdir(exist_ok=True)
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")

    return write


def test_without_slurm_nothing_is_asked(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    orphans.refuse_orphans(tmp_path, "ci")


def test_jobs_of_this_folder_are_named_and_others_are_left_alone(squeue, tmp_path):
    name = f"{orphans.job_name('tmelt', 'ci')}_{uuid.uuid4()}"
    ours = f"41|RUNNING|{name}|rule_train_run_wildcards_bo_t0_i3_s0|{tmp_path}"
    lines = [
        f"42|PENDING|{name}|rule_train_run|{tmp_path}/elsewhere",
        f"43|RUNNING|interactive|a user's own|{tmp_path}",
        f"44|RUNNING|{orphans.job_name('tmelt', 'ci_2')}_{uuid.uuid4()}|rule_train_run|{tmp_path}",
        f"45|RUNNING|{orphans.job_name('tmelt', 'ci')}_{uuid.uuid4()}x|rule_train_run|{tmp_path}",
    ]
    others = "\n".join(lines)
    squeue(f"cat <<'END'\n{ours}\n{others}\nEND")
    with pytest.raises(InputError) as caught:
        orphans.refuse_orphans(tmp_path, "ci")
    assert "1 jobs of an earlier run" in str(caught.value)
    assert str(caught.value).endswith("cancel them: scancel 41")
    squeue(f"cat <<'END'\n{others}\nEND")
    orphans.refuse_orphans(tmp_path, "ci")


@pytest.mark.parametrize(
    ("script", "warned"),
    [
        ("echo 'slurm_load_jobs error: Unable to contact' >&2; exit 1", "Unable to contact"),
        ("echo 'Unable to contact slurm controller, retrying' >&2; exec sleep 60", "retrying"),
        ("exec sleep 60", "timed out"),
        ("exit 1", "exit status 1"),
        ("echo 'fatal: Could not establish a configuration source' >&2; exit 1", ""),  # commands without a cluster
    ],
)
def test_a_squeue_that_fails_is_a_warning(squeue, tmp_path, monkeypatch, capsys, script, warned):
    monkeypatch.setattr(orphans, "PATIENCE_S", 0.5)
    squeue(script)
    orphans.refuse_orphans(tmp_path, "ci")
    said = capsys.readouterr().err
    assert (said == "") if not warned else (said.startswith("warning: squeue failed") and warned in said)
