"""Verify a study: run all groups of checks, print what differs, and say how it ended."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from tmelt.errors import InputError
from tmelt.storage.files import write_json
from tmelt.verify import hashes, trials
from tmelt.verify.again import Again, check_page, check_tables
from tmelt.verify.bundle import check_bundle, check_measured
from tmelt.verify.group import TOLERANCE, Group
from tmelt.verify.place import Place
from tmelt.verify.replay import check_proposals

EQUAL, DIFFERENT, UNVERIFIED = 0, 1, 2  # exit statuses
_GROUPS = ("hashes", "transcripts", "proposals", "trials", "tables", "bundle", "page")


def verify_study(
    study: Path,
    *,
    tolerance: float = TOLERANCE,
    cores: int | None = None,
    shown: int = 20,
    report: Path | None = None,
    say: Callable[[str], None] = print,
) -> int:
    """Recompute the study in folder `study` from its raw files, and print each difference.

    Args:
        tolerance: for floats, relative to the larger value or to 1.
        cores: for the rules that run again; all of them by default.
        shown: differences to print per group.
        report: JSON file for all of it.
        say: prints a line.

    Returns:
        EQUAL, DIFFERENT, or UNVERIFIED where files are missing and nothing that is there differs.

    Raises:
        InputError: the folder holds no finished study.
    """
    place = Place.of(study)
    if report is not None and report.resolve().is_relative_to(place.study.resolve()):
        raise InputError(f"{report}: is inside the study, which is only read; choose another place")
    groups = [Group(name, place.results, tolerance) for name in _GROUPS]
    of_hashes, of_calls, of_proposals, of_trials, of_tables, of_bundle, of_page = groups

    with of_hashes.timed():
        for check in (hashes.check_protocol, hashes.check_data, hashes.check_runs, check_bundle):
            check(of_hashes, place)
    _print(of_hashes, shown, say)
    with of_calls.timed():
        hashes.check_transcripts(of_calls, place)
    _print(of_calls, shown, say)
    with of_proposals.timed():
        check_proposals(of_proposals, place)
    _print(of_proposals, shown, say)
    with of_trials.timed():
        trials.check_trials(of_trials, place)
    _print(of_trials, shown, say)
    with tempfile.TemporaryDirectory(prefix="tmelt-verify-") as folder:
        with of_tables.timed():
            again = Again(place, Path(folder), cores or len(os.sched_getaffinity(0)))
            made = check_tables(of_tables, place, again)
        _print(of_tables, shown, say)
        with of_bundle.timed():
            if made:
                check_measured(of_bundle, place, again.study, again.plan)
        _print(of_bundle, shown, say)
        with of_page.timed():
            if made:
                check_page(of_page, place, again)
            else:
                of_page.notes.append("the page was not made again, because its tables could not be")
        _print(of_page, shown, say)

    status = _status(groups)
    total = sum(group.total for group in groups)
    missing = sorted({name for group in groups for name in group.missing})
    if report is not None:
        write_json(
            report,
            {
                "study": place.config.study,
                "protocol": place.protocol.sha256,
                "status": ("equal", "different", "unverified")[status],
                "tolerance": tolerance,
                "groups": [group.as_json() for group in groups],
            },
        )
    endings = {
        EQUAL: "every value is as recomputed",
        DIFFERENT: f"differences: {total}",
        UNVERIFIED: f"cannot be verified: missing {', '.join(missing[:shown])}",
    }
    say(f"{study}: {endings[status]}")
    return status


def _status(groups: list[Group]) -> int:
    if any(group.total for group in groups):
        return DIFFERENT
    return UNVERIFIED if any(group.missing for group in groups) else EQUAL


def _print(group: Group, shown: int, say: Callable[[str], None]) -> None:
    say(f"{group.name:<12}{group.checked:>10} compared{group.total:>8} different{group.seconds:>9.1f} s")
    for what, lines, count in (
        ("", [str(difference) for difference in group.differences], group.total),
        ("missing: ", group.missing, len(group.missing)),
        ("note: ", group.notes, len(group.notes)),
    ):
        for line in lines[:shown]:
            say(f"  {what}{line}")
        if count > shown:
            say(f"  {what}and {count - shown} more")
