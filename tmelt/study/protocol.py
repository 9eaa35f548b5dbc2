"""What makes the scores of a study comparable: fixed in protocol.json once, and compared at every start."""

import contextlib
import importlib.metadata
import math
import os
import platform
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tmelt.embed.record import read_embedding
from tmelt.errors import InputError
from tmelt.proteins.record import read_data
from tmelt.search.fidelity import equivalents_of
from tmelt.search.history import History
from tmelt.storage.files import read_json, sha256_file
from tmelt.storage.records import from_json, to_json
from tmelt.storage.schema import HIDDEN
from tmelt.study import external
from tmelt.study.identity import PACKAGE, SCORING_CODE, code_sha256, design_of, strategy_of
from tmelt.study.protocol_record import (
    Environment,
    MeasuredInputs,
    Protocol,
    ProtocolVersion,
    RegisteredHypothesis,
    Revision,
    StudyDesign,
    protocol_hash,
    read_protocol,
)

if TYPE_CHECKING:  # pydantic: a tenth of a second that scoring a trial does not need
    from tmelt.study.config import Config

REFERENCE = PACKAGE / "candidate" / "train.py"
# A revision would mix scores of other proteins or other embeddings.
UNREVISABLE = ("dataset", "backbone")
_PACKAGES = ("torch", "fair-esm", "optuna", "cmaes", "langchain", "numpy", "polars", "pyarrow", "snakemake")


def write_protocol(config: "Config", data: Path, embedding: Path, path: Path) -> None:
    """Fix the protocol of a study whose data and embedding exist.

    `sha256` covers the registered hypothesis and all that moves a score.
    """
    design, hypothesis = from_json(StudyDesign, design_of(config)), hypothesis_of(config)
    measured = MeasuredInputs(
        labels={split: sha256_file(data / "vault" / f"{split}.parquet") for split in HIDDEN},
        proteins=sha256_file(data / "proteins.parquet"),
        embedding=read_embedding(embedding),
    )
    if measured.embedding.per_protein and config.design.sequences != "none":
        raise InputError(
            "config: design.sequences: needs an embedding of every residue, and design.backbone.path has one row per"
            " protein; write none"
        )
    Protocol(
        study=config.study,
        title=config.title,
        design=design,
        hypothesis=hypothesis,
        measured=measured,
        data=read_data(data),
        reference_sha256=sha256_file(REFERENCE),
        reference_lines=REFERENCE.read_text(encoding="utf-8").count("\n"),
        sha256=protocol_hash(design, measured, hypothesis),
        environment=environment(),
        created=_now(),
        revisions=(),
        seeds_of=_replayed(config),
    ).write(path)


def _replayed(config: "Config") -> str:
    """The study that this one replays; empty without one."""
    if config.replay_from is None:
        return ""
    from tmelt.llm.replay_source import ReplaySource

    return ReplaySource(Path(config.replay_from)).seeds_of


def hypothesis_of(config: "Config") -> RegisteredHypothesis | None:
    """The registered hypothesis, with its plan of looks written out; None without one."""
    asked = config.hypothesis
    if asked is None:
        return None
    return RegisteredHypothesis(asked.a, asked.b, asked.metric, asked.effect, asked.searches, asked.plan)


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def environment() -> Environment:
    """Versions and hardware of this process."""
    return Environment(
        python=sys.version.split()[0],
        packages={name: importlib.metadata.version(name) for name in _PACKAGES},
        system=f"{platform.system()} {platform.release()}",
        processor=processor(),
        cores=os.cpu_count(),
    )


def processor() -> str:
    """This machine's kind of processor, as the kernel names it."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def guard(config: "Config", study: Path, *, record: bool) -> None:
    """Compare the config with what the study in folder `study` was started with.

    With `on_change: revision` and `record` a changed design or hypothesis is noted in protocol.json, and the study
    goes on.

    Raises:
        InputError: the design, the hypothesis or a strategy changed, or the extent shrank; names each difference.
    """
    changes: list[str] = []
    protocol_file = study / "protocol.json"
    if protocol_file.exists():
        protocol = read_protocol(protocol_file)
        design = from_json(StudyDesign, design_of(config))
        hypothesis = hypothesis_of(config)
        changes += differences(to_json(protocol.design), to_json(design))
        changes += differences(to_json(protocol.hypothesis), to_json(hypothesis), "hypothesis")
        whole = [change for change in changes if change.split(":")[0] in UNREVISABLE]
        if changes and config.on_change == "revision" and not whole:
            if record:
                _record_revision(protocol_file, protocol, design, hypothesis, changes)
            changes = []
    for described in sorted(study.glob("*/strategy.json")):
        name = described.parent.name
        if name not in config.extent.strategies:
            changes.append(f"extent.strategies.{name}: removed")
            continue
        changes += [
            f"extent.strategies.{name}.{difference}"
            for difference in differences(read_json(described), strategy_of(config, name))
        ]
    changes += list(_shrunk(config, study))
    changes += external.changes(config, study)
    if changes:
        raise InputError(
            f"{study}: this study was started differently:\n"
            + "\n".join(f"  {change}" for change in changes)
            + "\nIts finished trials are untouched. Choose one: take the change back; give the changed config a new"
            " `study:` name; or, for a changed design or hypothesis, set `on_change: revision`, which records the"
            " change and goes on (but not with other data or another backbone: no score would compare with those"
            " before)."
        )


def _record_revision(
    path: Path,
    protocol: Protocol,
    design: StudyDesign,
    hypothesis: RegisteredHypothesis | None,
    changes: list[str],
) -> None:
    log = path.parent / "vault_log.json"
    revision = Revision(
        at=_now(),
        changes=tuple(changes),
        openings=len(read_json(log)) if log.exists() else 0,
        before=ProtocolVersion(protocol.design, protocol.hypothesis, protocol.sha256),
    )
    replace(
        protocol,
        design=design,
        hypothesis=hypothesis,
        sha256=protocol_hash(design, protocol.measured, hypothesis),
        revisions=(*protocol.revisions, revision),
    ).write(path)


def _shrunk(config: "Config", study: Path) -> Iterator[str]:
    """What of the extent is smaller than what was already finished."""
    searches = [folder for folder in study.glob("*/t[0-9]*") if folder.name[1:].isdigit()]
    last = {folder: _last_scored(folder) for folder in searches}
    yield from _shorter(config, study, last)
    if config.extent.limit is not None:
        yield from _smaller_budget(study, *config.extent.limit)
    begun = [int(folder.name.removeprefix("t")) for folder, scored in last.items() if scored >= 0]
    trajectories = max(begun, default=-1) + 1
    if trajectories > config.extent.trajectories:
        yield f"extent.trajectories: {trajectories} -> {config.extent.trajectories}; it may only grow"
    trained = {folder.name.removeprefix("s") for folder in study.glob("*/t*/i0/s[0-9]*")}
    if missing := {int(seed) for seed in trained if seed.isdigit()} - set(config.extent.seeds):
        yield f"extent.seeds: {sorted(missing)} removed; it may only grow"


def _shorter(config: "Config", study: Path, last: dict[Path, int]) -> Iterator[str]:
    """Numbers of trials that the config has and searches exceed.

    Args:
        last: the last scored trial of each search, by its folder.
    """
    most: dict[str, tuple[int, int]] = {}  # by key of the config
    for name, strategy in config.extent.strategies.items():
        gathered = [
            int(path.stem.split("_")[1].removeprefix("n")) for path in study.glob(f"{name}/t*/trials_n*_s*.parquet")
        ]
        own = {folder: number for folder, number in last.items() if folder.parent.name == name and number >= 0}
        cheap = config.extent.most_trials_of(name) > config.extent.trials_of(name)
        scored = [_full_trials(folder, number) if cheap else number for folder, number in own.items()]
        key = "extent.iterations" if strategy.iterations is None else f"extent.strategies.{name}.iterations"
        before, _ = most.get(key, (0, 0))
        most[key] = max([before, *gathered, *scored]), config.extent.trials_of(name)
    for key, (trials, now) in most.items():
        if trials > now:
            yield f"{key}: {trials} -> {now}; it may only grow"


def _smaller_budget(study: Path, unit: str, amount: float) -> Iterator[str]:
    """A budget in device seconds or dollars below one that a search has used up."""
    notes = [read_json(path).get("used_up") for path in study.glob("*/t*/blocks/*.json")]
    before = max((note["limit"] for note in notes if note and note["unit"] == unit), default=0.0)
    if before > amount:
        yield f"extent.until.{unit}: {before:g} -> {amount:g}; it may only grow"


def _full_trials(trajectory: Path, last: int) -> int:
    """Full trials that a search has used at least a part of, by the history of its last scored trial."""
    return math.ceil(equivalents_of(History.read(trajectory / f"i{last}" / "history.parquet")))


def _last_scored(trajectory: Path) -> int:
    """The last trial of a search that has a history; -1 before the first."""
    numbers = (path.name.removeprefix("i") for path in trajectory.glob("i[0-9]*"))
    for number in sorted(map(int, filter(str.isdigit, numbers)), reverse=True):
        if (trajectory / f"i{number}" / "history.parquet").exists():
            return number
    return -1


def differences(before: Any, after: Any, key: str = "") -> list[str]:
    """One line per leaf that differs between two JSON values."""
    if isinstance(before, dict) and isinstance(after, dict):
        return [
            line
            for name in sorted(before.keys() | after.keys())
            for line in differences(before.get(name), after.get(name), f"{key}.{name}" if key else name)
        ]
    if isinstance(before, list) and isinstance(after, list) and _named(before) and _named(after):
        return differences({item["name"]: item for item in before}, {item["name"]: item for item in after}, key)
    return [] if before == after else [f"{key}: {before!r} -> {after!r}"]


def _named(items: list[Any]) -> bool:
    return all(isinstance(item, dict) and "name" in item for item in items)


def check_integrity(protocol: Protocol, *, val_labels: Path) -> None:
    """Compare the validation labels and the scoring code with the protocol, before each scoring.

    Raises:
        InputError: what changed.
    """
    check_labels(protocol, val=val_labels)
    for name in SCORING_CODE:
        if code_sha256(PACKAGE / name) != protocol.design.code.get(name):
            raise InputError(
                f"tmelt/{name}: not the code this study was started with; restore it,"
                " or start again with `on_change: revision`"
            )


def check_inputs(protocol: Protocol, embedding: Path, proteins: Path) -> None:
    """Compare what candidates are trained on with the protocol.

    That is proteins.parquet, and embedding.json, which has the hashes of the views (tmelt.embed.views.check_views).

    Raises:
        InputError: what changed.
    """
    found = read_embedding(embedding)
    if changes := differences(to_json(protocol.measured.embedding), to_json(found)):
        raise InputError(
            f"{embedding / 'embedding.json'}: not the embedding this study was started with ({changes[0]});"
            " restore its folder, or give the study a new name"
        )
    if sha256_file(proteins) != protocol.measured.proteins:
        raise InputError(
            f"{proteins}: not the proteins this study was started with; restore the file, or delete it and run again"
        )


def check_labels(protocol: Protocol, **labels: Path) -> None:
    """Compare hidden labels (`val`, `select`, `test`) with the protocol.

    Raises:
        InputError: the file that changed.
    """
    for split, path in labels.items():
        if sha256_file(path) != protocol.measured.labels[split]:
            raise InputError(f"{path}: not the labels this study was started with; restore the file")
