"""Where a study stands, read from its files alone: no lock is taken, so it works while the study runs."""

import time
from base64 import urlsafe_b64encode
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from tmelt.search.fidelity import planned_trials
from tmelt.search.integrity import LABELS
from tmelt.search.notes import Ended, SomeNote, UsedUp, notes_from_json
from tmelt.search.notes import find as find_note
from tmelt.search.spend import Meter
from tmelt.storage.files import read_json
from tmelt.storage.schema import TRIAL, read_table
from tmelt.strategies.stop import UNUSABLE
from tmelt.study.config import Config
from tmelt.study.lock import Found, find
from tmelt.study.stage import Stages
from tmelt.study.target import Target

STOPPED = "stopped"
RECENT = 30  # finished trials that the estimate of the end rests on


@dataclass(frozen=True)
class Search:
    """One trajectory of one strategy."""

    strategy: str
    trajectory: int
    trials: int  # scored, the baseline among them
    planned: int  # with cheap trials an estimate
    stopped: str | None  # why it ended before its last iteration
    budget_used: bool  # it ended as planned, because its budget in device seconds or dollars is used
    not_tried: bool  # it ended because replies could not be used: its strategy is in no comparison
    incumbent: int | None
    val_mae: float | None  # of the incumbent
    failed_trials: int  # candidates that crashed, ran out of time, …: results, not faults
    integrity: tuple[
        tuple[str, int], ...
    ]  # labels of its trials but `clean` (tmelt.search.integrity), and how many have each
    gpu_h: float
    cpu_h: float
    llm_usd: float | None  # None when the price of a call is unknown
    running: tuple[str, ...]  # jobs begun and not finished: `train i3`
    failed: tuple[str, ...]  # jobs that failed and were not made since, with the last line of their log
    finished_at: tuple[float, ...]  # of its latest trials, seconds since 1970


def search_status(
    study: Path, strategy: str, trajectory: int, iterations: int, work: Path, most: int | None = None
) -> Search:
    """What the files of one search say.

    Args:
        study: its folder.
        strategy, trajectory: of the search.
        iterations: full trials after the baseline that its budget is.
        work: Snakemake's working folder.
        most: trials after the baseline that it may have, where some are cheap.
    """
    folder = study / strategy / f"t{trajectory}"
    most = iterations if most is None else most
    done = _scored(folder, most)
    trials = pl.DataFrame() if done is None else _history(folder / f"i{done}" / "history.parquet")
    rows = trials.to_dicts()
    stop = next((row for row in rows if row["status"] == STOPPED), None)
    rows = [row for row in rows if row["status"] != STOPPED]
    last = rows[-1] if rows else None
    incumbent = last["incumbent"] if last else None
    costs = [row["cost_usd"] for row in rows]
    first = (done if done is not None else -1) + 1
    running, failed = begun_jobs(folder, first, most, work) if stop is None else ([], [])
    return Search(
        strategy=strategy,
        trajectory=trajectory,
        trials=len(rows),
        planned=planned_trials(rows, iterations),
        stopped=(stop["error"] or STOPPED) if stop else None,
        budget_used=stop is not None and used_its_budget(folder / f"i{stop['iteration']}"),
        not_tried=stop is not None and _stop_cause(folder / f"i{stop['iteration']}") == UNUSABLE,
        incumbent=incumbent,
        val_mae=rows[incumbent]["val_mae"] if incumbent is not None else None,
        failed_trials=sum(row["status"] != "ok" for row in rows),
        integrity=_labels(rows),
        gpu_h=sum((row["device_s"] or 0) + (row["tool_device_s"] or 0) for row in rows) / 3600,
        cpu_h=sum((row["cpu_s"] or 0) + (row["tool_cpu_s"] or 0) for row in rows) / 3600,
        llm_usd=None if None in costs else sum(costs),
        running=tuple(running),
        failed=tuple(failed),
        finished_at=tuple(_times(folder / f"i{number}" / "trial.parquet" for number in range(len(rows))[-RECENT:])),
    )


def begun_jobs(folder: Path, first: int, iterations: int, work: Path) -> tuple[list[str], list[str]]:
    """Return the jobs of a search that are running, and those that failed with the last line of their log.

    Args:
        folder: of the search.
        first: its first trial without a score.
        iterations: its last trial.
        work: Snakemake's working folder.
    """
    running, failed = [], []
    for iteration in range(first, iterations + 1):
        if not (trial := folder / f"i{iteration}").is_dir():
            break
        for job, state in _jobs(trial, work):
            (running if state is None else failed).append(f"{job} i{iteration}" + (f": {state}" if state else ""))
    return running, failed


def study_status(config: Config, results: Path) -> list[Search]:
    """Every search of a study, in the order of the config."""
    extent, study = config.extent, results / config.study
    return [
        search_status(
            study, strategy, trajectory, extent.trials_of(strategy), results.parent, extent.most_trials_of(strategy)
        )
        for strategy in extent.strategies
        for trajectory in range(extent.trajectories)
    ]


def estimated_end(searches: Sequence[Search], now: float) -> float | None:
    """When the last trial will be scored if the pace of the latest ones lasts; None without a pace."""
    latest = sorted(moment for search in searches for moment in search.finished_at)[-RECENT:]
    left = sum(search.planned - search.trials for search in searches if search.stopped is None)
    if len(latest) < 2 or now <= latest[0]:
        return None
    return now + left * (now - latest[0]) / (len(latest) - 1)


def report(config: Config, results: Path, now: float | None = None) -> str:
    """The state of a study for a terminal."""
    now = time.time() if now is None else now
    searches = study_status(config, results)
    header = ("strategy", "search", "trials", "failed", "incumbent", "GPU h", "CPU h", "LLM $", "begun jobs")
    at_most = config.extent.limit is not None
    rows = [header, *(_row(search, config.design.data.target.record, at_most) for search in searches)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(header))]
    table = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    done = sum(search.trials for search in searches)
    planned = sum(search.trials if search.budget_used else search.planned for search in searches)
    open_searches = [search for search in searches if search.stopped is None and search.trials < search.planned]
    finished = (results / config.study / "report" / "report.html").exists()
    of = f"of {'at most ' if at_most and open_searches else ''}{planned} trials"
    lines = [f"{config.study}: {done} {of}" + (", report finished" if finished else "")]
    if config.extent.limit is not None:
        unit, limit = config.extent.limit
        budget = Meter(results / config.study, config.design.device, unit).words(limit)
        lines.append(f"each search goes on until it has used {budget}, for {config.extent.iterations} trials at most")
    lines += table
    lines += [
        f"{_ending(search)} {search.strategy} t{search.trajectory}: {search.stopped}"
        for search in searches
        if search.stopped
    ]
    lines += [
        f"integrity {search.strategy} t{search.trajectory}: "
        + ", ".join(f"{label} {count} of {search.trials}" for label, count in search.integrity)
        for search in searches
        if search.integrity
    ]
    lines += [f"failed    {search.strategy} t{search.trajectory} {job}" for search in searches for job in search.failed]
    lock = find(results / config.study)
    if not open_searches:
        after = "" if finished else f"; now: {Stages(config, results).after_searches().words()}"
        lines.append(f"all searches are done{after}")
    elif lock is not None and lock.alive:
        lines.append(_estimate(searches, now, at_most))
    if open_searches or not finished or lock is not None:
        lines.append(_running(lock))
    return "\n".join(lines)


def _ending(search: Search) -> str:
    """How a search ended before its last planned trial."""
    if search.budget_used:
        return "budget used"
    return "not tried" if search.not_tried else "stopped  "


def _estimate(searches: Sequence[Search], now: float, at_most: bool) -> str:
    end = estimated_end(searches, now)
    if end is None:
        return "too early to estimate the end"
    latest = " at the latest" if at_most else ""
    at = time.strftime("%Y-%m-%d %H:%M", time.localtime(end))
    return f"searches estimated to end{latest} {at}, in {span(end - now)}"


def _running(lock: Found | None) -> str:
    """Whether a process runs the study, by the study's lock."""
    if lock is None:
        return "not running: start it again to go on"
    if lock.alive:
        return f"running: {lock.who}, last sign of life {lock.silent_s:.0f} s ago"
    return f"not running: the last run ({lock.who}) {lock.how_dead}; start it again to go on"


def _row(search: Search, target: Target, at_most: bool) -> tuple[str, ...]:
    best = "–" if search.val_mae is None else f"{target.amount(f'{search.val_mae:.2f}')} (i{search.incumbent})"
    return (
        search.strategy,
        f"t{search.trajectory}",
        trials_text(search.trials, search.planned, at_most=at_most, budget_used=search.budget_used),
        str(search.failed_trials),
        best,
        f"{search.gpu_h:.2f}",
        f"{search.cpu_h:.2f}",
        "unknown" if search.llm_usd is None else f"{search.llm_usd:.2f}",
        ", ".join(search.running) or "–",
    )


def trials_text(done: int, planned: int, *, at_most: bool, budget_used: bool) -> str:
    """Trials of a search as a cell: `9/13`, `9/≤40` while a budget may end it earlier, `9, budget used` when it has."""
    if budget_used:
        return f"{done}, budget used"
    return f"{done}/{'≤' if at_most and done < planned else ''}{planned}"


def used_its_budget(trial: Path) -> bool:
    """Whether a stopped trial ended its search as planned, because the budget of `extent.until` is used."""
    note = _stop_note(trial, UsedUp) if (trial / "proposal.json").exists() else None
    return note is not None and note.used is not None


def _stop_cause(trial: Path) -> str | None:
    """What a stopped trial's proposal records of its cause."""
    note = _stop_note(trial, Ended)
    return note.cause if note else None


def _stop_note(trial: Path, wanted: type[SomeNote]) -> SomeNote | None:
    path = trial / "proposal.json"
    return find_note(notes_from_json(read_json(path).get("state"), str(path)), wanted)


def _labels(rows: Iterable[dict]) -> tuple[tuple[str, int], ...]:
    """Integrity labels of trials but `clean`, with their counts, in the order of LABELS."""
    counts = Counter(row["integrity"] for row in rows)
    return tuple((label, counts[label]) for label in LABELS if label != "clean" and counts[label])


def _scored(folder: Path, iterations: int) -> int | None:
    """The last scored iteration; trials are scored in order."""
    for iteration in range(iterations, -1, -1):
        if (folder / f"i{iteration}" / "history.parquet").exists():
            return iteration
    return None


def _history(path: Path) -> pl.DataFrame:
    """The history without its long columns."""
    return read_table(path, TRIAL).drop("proposal", "knobs")


def _jobs(trial: Path, work: Path) -> Iterable[tuple[str, str | None]]:
    """Jobs of a trial that were begun and have no result: name, and the last line of the log of one that failed."""
    for log in sorted(trial.glob("*.log")):
        name = log.stem
        seed = name.removeprefix("train_run_")
        products = {
            "propose": ["proposal.json"],
            "score_trial": ["history.parquet"],
            "train_trial": [f"{folder.name}/run.parquet" for folder in trial.glob("s[0-9]*")] or ["s0/run.parquet"],
        }.get(name, [f"{seed}/run.parquet"])
        if all((trial / product).exists() for product in products):
            continue
        words = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        begun = any(_marker(trial / product, work).exists() for product in products)
        if (words and words[-1].startswith(("error:", "Traceback"))) or (words and not begun):
            yield name, words[-1]
        elif begun:
            yield name, None


def _marker(product: Path, work: Path) -> Path:
    """Snakemake's note that a job which makes `product` was begun."""
    name = urlsafe_b64encode(str(product.relative_to(work)).encode()).decode()
    return work / ".snakemake" / "incomplete" / name


def _times(paths: Iterable[Path]) -> Iterable[float]:
    for path in paths:
        try:
            yield path.stat().st_mtime
        except FileNotFoundError:
            continue


def span(seconds: float) -> str:
    """Return a duration as hours and minutes, in words."""
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"
