"""Which of Snakemake's messages a user sees; those of real runs are in test_study.py."""

import logging
from types import SimpleNamespace

from snakemake.logging import DefaultFormatter
from snakemake_interface_logger_plugins.common import LogEvent

from tmelt.front.handler import LogHandler

FAILED = (
    "RuleException:\nCalledProcessError in file \"x.smk\", line 3:\nCommand 'python …' returned non-zero exit status 2."
)


def shown(capsys, *records, dryrun=False):
    """The lines that a handler shows for (level, message, further fields)."""
    handler = LogHandler(SimpleNamespace(dryrun=dryrun), None)
    handler.setFormatter(DefaultFormatter())
    for level, message, fields in records:
        record = logging.LogRecord("snakemake", level, "file", 1, message, None, None)
        record.__dict__.update(fields)
        handler.emit(record)
    handler.close()
    said = capsys.readouterr()
    assert said.err == ""
    return said.out.splitlines()


def test_a_failed_job_is_one_line_with_the_last_words_of_its_log(tmp_path, capsys):
    log = tmp_path / "train.log"
    log.write_text("Traceback\n  …\nerror: disk is full \x1b[2J\n\n")
    failed = (logging.ERROR, None, {"event": LogEvent.JOB_ERROR, "rule_name": "train_run", "log": [str(log)]})
    again = (logging.ERROR, FAILED, {"event": LogEvent.ERROR, "exception": "RuleException"})
    assert shown(capsys, failed, again) == [f"job failed: train_run: error: disk is full \\x1b[2J ({log})"]


def test_a_failed_job_without_words_is_told(capsys):
    failed = (logging.ERROR, None, {"event": LogEvent.JOB_ERROR, "rule_name": "train_run", "log": ["nowhere.log"]})
    assert shown(capsys, failed) == ["job failed: train_run: no message (nowhere.log)"]


def test_warnings_and_the_end_are_shown_and_the_rest_is_for_the_log(capsys):
    lines = shown(
        capsys,
        (logging.INFO, "Select jobs to execute...", {}),
        (logging.INFO, "3 of 40 steps (8%) done", {"event": LogEvent.PROGRESS}),
        (logging.WARNING, "the file system is slow", {}),
        (logging.INFO, "Nothing to be done (all requested files are present and up to date).", {}),
        (logging.ERROR, "WorkflowError:\nmine.csv: no such file", {"event": LogEvent.ERROR}),
    )
    assert lines == [
        "the file system is slow",
        "Nothing to be done (all requested files are present and up to date).",
        "WorkflowError:",
        "mine.csv: no such file",
    ]


def test_a_dry_run_shows_everything(capsys):
    assert shown(capsys, (logging.INFO, "rule x:", {}), dryrun=True) == ["rule x:"]
