"""Make evidence and report again in a temporary folder, by the rules of the workflow themselves.

The folder has the study's raw files as links and lacks everything that follows from them: tables/, evidence/, report/,
export/ and the plan of the confirmation. Snakemake makes these, and may run no rule that trains or asks a model. So
there is no list of tables here, and the study's own folder is only read.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tmelt.errors import InputError
from tmelt.evidence.make import MAKERS, TABLES
from tmelt.front.workflow import workflow_folder
from tmelt.jobs.failed_jobs import failed_logs
from tmelt.storage.files import read_json, write_json
from tmelt.verify.group import Group
from tmelt.verify.page import compare_lines, compare_pages
from tmelt.verify.place import RECORD, ROOT, Place
from tmelt.verify.tables import compare_tables

LINKED = ("rules", "scripts", "report", "envs", "tmelt")  # of the checkout: what jobs name relative to their folder
# What follows from the raw files, and logs; and the two files that evidence scripts add to.
_MADE = {"tables", "evidence", "report", "export", "bundle", "logs", "confirm"}
_COPIED = ("vault_log.json", "looks.json")
_RULES = ("evidence.smk", "report.smk", "bundle.smk")
# They run candidates, or write no number that is read here.
_NOT_AGAIN = {"confirm_candidate", "perturb_candidate", "write_bundle", "export_optuna", "export_crate"}
_ABSENT = ("no such file", "No such file", "MissingInput")
_TEXTS = {".csv", ".json", ".py", ".svg"}
# An entry of vault_log.json tells when and by whom as well.
_COMPARED = ("rule", "labels", "searches", "fresh_seeds", "runs")


class Again:
    """A study made again from its raw files."""

    def __init__(self, place: Place, folder: Path, cores: int):
        """Link the raw files of the study into `folder`, which is empty."""
        self.place, self.folder, self.cores = place, folder, cores
        self.study = folder / "results" / place.config.study
        for name in LINKED:
            (folder / name).symlink_to(ROOT / name)
        self.study.mkdir(parents=True)
        _link_all(place.results, self.study.parent, ("data", "embeddings"))
        entries = {path.name for path in place.study.iterdir()}
        _link_all(place.study, self.study, sorted(entries - _MADE - set(_COPIED)))
        for candidate in place.candidates:
            # The plan's rule writes proposals here, so that only what candidates predicted is linked.
            target = self.study / "confirm" / candidate.name
            target.mkdir(parents=True)
            names = [path.name for path in candidate.glob("s*") if path.is_dir()]
            names += [
                path.name for what in ("runs", "perturbed", "external") for path in candidate.glob(f"{what}_*.parquet")
            ]
            _link_all(candidate, target, sorted(names))
        self.restore()
        self._config = folder / "verify.json"
        known = {"dataset": place.dataset, "backbone": place.protocol.design.backbone}
        told = known | {"configs": place.record["configs"]}
        write_json(self._config, place.config.model_dump(mode="json") | {"full_dag": False, "verify": told})

    def restore(self) -> None:
        """Take the logs that the evidence scripts add to from the study as they are there."""
        for name in _COPIED:
            (self.study / name).unlink(missing_ok=True)
            if (self.place.study / name).exists():
                shutil.copyfile(self.place.study / name, self.study / name)

    def make_tables(self) -> None:
        """Make all tables.

        Raises:
            InputError: a raw file is missing, or a script refuses one.
        """
        self._run([f"tables/{name}.parquet" for name in TABLES])

    @property
    def plan(self) -> Path:
        """The plan of the confirmation; after `make_tables`."""
        (plan,) = (self.study / "confirm").glob("plan_*.parquet")
        return plan

    def make_report(self) -> None:
        """Make the page, its figures and the tables as CSV, with the logs as they are in the study.

        Raises:
            InputError: a script refuses a file.
        """
        self.restore()
        self._run(["report/report.html", *(f"export/{name}.csv" for name in TABLES)])

    def made(self, *parts: str) -> Iterator[tuple[str, Path]]:
        """(name in the study, path) of each file made below these folders; links are not followed."""
        for part in parts:
            for here, folders, names in os.walk(self.study / part):
                folders[:] = sorted(name for name in folders if not Path(here, name).is_symlink())
                for name in sorted(names):
                    again = Path(here, name)
                    if not again.is_symlink():
                        yield str(again.relative_to(self.study)), again

    def _run(self, targets: Sequence[str]) -> None:
        prefix = self.study.relative_to(self.folder)
        command = [
            *(sys.executable, "-m", "snakemake", "--snakefile", str(workflow_folder() / "Snakefile")),
            *("--configfile", str(self._config), "--cores", str(self.cores)),
            *("--profile", "none", "--workflow-profile", "none"),
            *("--scheduler", "greedy", "--nolock", "--nocolor", "--quiet", "all", "--rerun-triggers", "mtime"),
            *("--allowed-rules", *allowed_rules(), "--", *(f"{prefix}/{target}" for target in targets)),
        ]
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
        python = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=os.environ
            | {"PATH": path, "PYTHONPATH": python, "XDG_CACHE_HOME": str(self.folder / ".cache")}
            | dict.fromkeys(("OMP_NUM_THREADS", "PYTHONDONTWRITEBYTECODE"), "1"),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        if done.returncode:
            raise InputError(self._complaint(done.stdout))

    def _complaint(self, output: str) -> str:
        """Why Snakemake failed: what the first failed job said, or the end of the output."""
        for log, last in failed_logs([self.study / "logs"], 0):
            return f"{log.stem}: {last.removeprefix('error: ')}"
        lines = [line.strip() for line in output.splitlines() if line.strip()]
        start = next((number for number, line in enumerate(lines) if "Exception" in line or "Error" in line), -10)
        return " ".join(lines[start:][:12])


def allowed_rules() -> list[str]:
    """The rules of evidence, report and export that compute from finished files."""
    texts = [(ROOT / "rules" / name).read_text(encoding="utf-8") for name in _RULES]
    names = re.findall(r"^(?:rule|checkpoint|use rule \w+ as) (\w+)(?: with)?:", "\n".join(texts), re.MULTILINE)
    return [name for name in [*names, *(f"tabulate_{maker}" for maker in MAKERS)] if name not in _NOT_AGAIN]


def check_tables(group: Group, place: Place, again: Again) -> bool:
    """Make the tables again, and compare the study's own, the plan, its candidates, and the openings of the labels.

    Returns:
        True if they could be made.
    """
    try:
        again.make_tables()
    except InputError as error:
        _failed(group, again, "tables", error)
        return False
    compare_made(group, place, again, "evidence", "confirm", "tables")
    _check_logs(group, place, again)
    return True


def check_page(group: Group, place: Place, again: Again) -> None:
    """Make the page from the recomputed tables, and compare the study's own, its figures and the tables as CSV."""
    try:
        again.make_report()
    except InputError as error:
        _failed(group, again, "report", error)
        return
    compare_made(group, place, again, "report", "export")


def _failed(group: Group, again: Again, what: str, error: InputError) -> None:
    """Record why something could not be made again: as missing where a file is, otherwise as a difference."""
    reason = str(error).replace(f"{again.folder}/", "")
    if any(words in reason for words in _ABSENT):
        group.missing.append(f"{what} ({reason})")
    else:
        group.differs(what, "", "recomputation", "finished", reason)


def compare_made(group: Group, place: Place, again: Again, *parts: str) -> None:
    """Compare each file that was made again in these folders with the study's own."""
    seen = set()
    for name, fresh in again.made(*parts):
        stored = place.study / name
        seen.add(stored)
        if fresh.suffix not in {".parquet", ".html"} | _TEXTS or name == RECORD:
            continue
        if not stored.exists():
            if fresh.suffix == ".html":
                group.present(stored)
            else:
                group.notes.append(f"{group.named(stored)}: absent, not compared")
        elif fresh.suffix == ".parquet":
            compare_tables(group, stored, fresh)
        elif fresh.suffix == ".html":
            compare_pages(group, stored, fresh)
        else:
            compare_lines(group, stored, fresh)
    for part in set(parts) - {"confirm"}:  # an earlier plan's candidates stay there
        for stored in sorted((place.study / part).rglob("*")):
            if stored.suffix in {".parquet", ".html", ".csv"} and stored not in seen:
                group.notes.append(f"{group.named(stored)}: made by no rule, not compared")


def _check_logs(group: Group, place: Place, again: Again) -> None:
    """Compare the last opening of the labels, and the registered contrast at each look, with those made just now."""
    log = place.study / "vault_log.json"
    if group.present(log):
        last, fresh = (_last_openings(read_json(path)) for path in (log, again.study / "vault_log.json"))
        for opened, entry in fresh.items():
            before: Mapping[str, Any] = last.get(opened, {})
            for key in _COMPARED:
                group.equal(log, key, before.get(key), entry.get(key), f"opening={before.get('opening')}")
    looks = again.study / "looks.json"
    if looks.exists():
        stored = place.study / "looks.json"
        if group.present(stored):
            group.equal(stored, "looks", read_json(stored), read_json(looks))


def _last_openings(entries: Sequence[Mapping[str, Any]]) -> dict[tuple[str, ...], Mapping[str, Any]]:
    """The last opening of each set of hidden labels, by the rule and the files."""
    return {(entry["rule"], *entry["labels"]): entry for entry in entries}


def _link_all(source: Path, target: Path, names: Sequence[str]) -> None:
    for name in names:
        if (source / name).exists():
            (target / name).symlink_to((source / name).resolve())
