"""The section of one trial: what it changed and why, its script's difference, curves, outcome, transcript."""

import json
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from markupsafe import Markup

from tmelt.errors import InputError
from tmelt.evidence.reading import read_predictions
from tmelt.evidence.schema import OPENED_LABELS
from tmelt.llm.transcript import read_record
from tmelt.report.code import Diff, diff_scripts
from tmelt.report.coding_sessions import RECORD, Session, session_of
from tmelt.report.inputs import ReportStudy
from tmelt.report.words import anchor, count, dollars, number, seconds, shortened, value
from tmelt.search.fidelity import in_words
from tmelt.storage.schema import read_table
from tmelt.strategies.registry import origins

INLINED = 300  # trials beyond which only kept, best and failed ones get a section
_BEST = 3  # of each search, where not all are shown
_DIFF_ROWS = 90
_TEXT = 3000  # characters of a rationale
_LOG_LINES, _LOG_TEXT = 30, 3000
_REPLY = 1500  # characters of a reply
_WIDTH, _HEIGHT = 220, 56  # of a curve
_SIDE, _DOTS = 96, 400  # of a scatter of predictions
_KEY = ["strategy", "trajectory", "iteration"]


@dataclass(frozen=True)
class TrialSection:
    """What the template shows of a trial; every text is plain and escaped there."""

    anchor: str
    strategy: str
    trajectory: int
    iteration: int
    status: str
    decision: str
    kept: bool
    summary: str
    mae: str
    facts: Sequence[tuple[str, str]]
    rationale: str
    hypothesis: str
    parent: str | None  # anchor of the parent's section
    parent_name: str
    changes: Sequence[tuple[str, str, str]]  # knob, before, after
    diff: Diff | None
    script_note: str
    curve: Markup
    curve_note: str
    predictions: Markup
    error: str
    transcripts: Sequence[Mapping[str, str]]


def chosen_trials(study: ReportStudy) -> tuple[pl.DataFrame, str]:
    """The trials that get a section, and a sentence that says which if not all."""
    trials = study["trials"].sort("strategy", "trajectory", "iteration")
    if len(trials) <= INLINED:
        return trials, ""
    full = pl.when(pl.col("fidelity") == 1).then("val_mae")
    best = full.rank("ordinal").over("strategy", "trajectory") <= _BEST
    kept = pl.col("incumbent").eq_missing(pl.col("iteration")) | (pl.col("iteration") == 0)
    important = trials.filter(kept | best.fill_null(False))
    failed = trials.filter(pl.col("status") != "ok")
    room = max(40, INLINED - len(important))
    shown = pl.concat([important, failed.gather_every(max(1, -(-len(failed) // room)))]).unique(
        ["strategy", "trajectory", "iteration"]
    )
    failures = len(shown.filter(pl.col("status") != "ok"))
    told = (
        f"The study has {len(trials):,} trials. This page holds {len(shown):,} of them: those that became the "
        f"incumbent, the {_BEST} best of each search, and {failures:,} of {len(failed):,} failed ones. The others are "
        "in the study's folders."
    )
    return shown.sort("strategy", "trajectory", "iteration"), told


def trial_sections(
    study: ReportStudy, shown: pl.DataFrame, drawings: Mapping[tuple[str, int, int], Markup]
) -> list[TrialSection]:
    """A section for each of these trials, in the report's order of strategies."""
    rows, behaviour = (
        {tuple(row[name] for name in _KEY): row for row in study[table].iter_rows(named=True)}
        for table in ("trials", "behaviour")
    )
    curves = dict(study["curves"].group_by(_KEY, maintain_order=True))
    anchors = {anchor(*row) for row in shown.select(_KEY).iter_rows()}
    ordered = shown.sort(study.place(), "trajectory", "iteration")
    return [
        _section(
            study, rows, rows[where], behaviour.get(where), curves.get(where), anchors, drawings.get(where, Markup(""))
        )
        for where in ordered.select(_KEY).iter_rows()
    ]


def _section(
    study: ReportStudy,
    rows: Mapping[tuple[str, int, int], Mapping[str, Any]],
    row: Mapping[str, Any],
    behaved: Mapping[str, Any] | None,
    curve: pl.DataFrame | None,
    anchors: Container[str],
    predictions: Markup,
) -> TrialSection:
    """The section of the trial of `row`; `rows` has those of all trials, `anchors` the sections that there are."""
    strategy, trajectory, iteration = row["strategy"], row["trajectory"], row["iteration"]
    proposal = json.loads(row["proposal"])
    parent = behaved["parent"] if behaved else row["parent"]
    before = rows.get((strategy, trajectory, parent))
    diff, note = _script_change(study, row, before)
    link = anchor(strategy, trajectory, parent) if before else None
    return TrialSection(
        anchor=anchor(strategy, trajectory, iteration),
        strategy=strategy,
        trajectory=trajectory,
        iteration=iteration,
        status=row["status"],
        decision=row["decision"],
        kept=row["incumbent"] == iteration,
        summary=shortened(proposal.get("rationale") or (row["error"] if row["status"] == "refused" else ""), 150)
        or _origin(row),
        mae=study.amount(row["val_mae"]),
        facts=_facts(study, row, behaved),
        rationale=(proposal.get("rationale") or "")[:_TEXT],
        hypothesis=(proposal.get("hypothesis") or "")[:_TEXT],
        parent=link if link in anchors else None,
        parent_name=f"trial {parent}" if before else "",
        changes=knob_changes(before, row) if before else [],
        diff=diff,
        script_note=note,
        curve=_curve(curve),
        curve_note=_curve_note(study, curve),
        predictions=predictions,
        error=_tail(row["error"]),
        transcripts=list(
            _transcripts(
                study.trial_folder(strategy, trajectory, iteration),
                proposal,
                session_of(study, strategy, trajectory, iteration) if _held(study, strategy) else None,
            )
        ),
    )


def _held(study: ReportStudy, strategy: str) -> bool:
    """Whether its trials come out of sessions of a program of the user's."""
    kind = study.kind(strategy)
    return kind is not None and kind.external


def _origin(row: Mapping[str, Any]) -> str:
    return {
        "baseline": "the reference candidate at its defaults",
        **origins(),
    }.get(row["origin"], row["origin"])


def _facts(study: ReportStudy, row: Mapping[str, Any], behaved: Mapping[str, Any] | None) -> list[tuple[str, str]]:
    by_seed = [f"{item:.2f}" for item in row["val_mae_by_seed"] or [] if item is not None]
    facts = []
    if row["fidelity"] < 1:
        facts.append(("cheap trial", f"{in_words(row['fidelity'])} of a full one; never the incumbent"))
    if row["val_mae"] is not None:
        seeds = f" (by seed: {', '.join(by_seed)})" if by_seed else ""
        facts.append(("validation MAE", f"{study.amount(row['val_mae'])}{seeds}"))
    if behaved and behaved["effect"] is not None:
        facts.append(
            (
                "against its parent",
                f"{study.amount(behaved['effect'], signed=True)} (SE {number(behaved['effect_se'])})",
            )
        )
    if behaved and behaved["expected_effect"] is not None:
        facts.append(("expected", f"{study.amount(behaved['expected_effect'], signed=True)}"))
    if row["parameter_count"] is not None:
        facts.append(("parameters", f"{row['parameter_count']:,}"))
    facts += [("training", seconds(row["fit_s"])), ("origin", row["origin"])]
    facts += _diagnostics(study, json.loads(row["diagnostics"] or "{}"))
    if row["llm_calls"]:
        tokens = [row["prompt_tokens"], row["completion_tokens"]]
        used = "tokens unknown" if None in tokens else f"{tokens[0]:,} tokens in, {tokens[1]:,} out"
        facts.append(("LLM", f"{count(row['llm_calls'], 'call')}, {used}, {dollars(row['cost_usd'])}"))
    if row["tool_calls"]:
        facts.append(("tools", f"{count(row['tool_calls'], 'call')}, {seconds(row['tool_s'])} of checks and tries"))
    if row["integrity"] != "clean":
        facts.append(("integrity", row["integrity"].replace("_", " ")))
    if behaved and behaved["duplicate_of"] is not None:
        facts.append(("repeats", f"trial {behaved['duplicate_of']}"))
    return facts


def _diagnostics(study: ReportStudy, found: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Epochs, errors on stop by group and what the script reported; means over seeds."""
    facts = []
    if "epochs" in found:
        best = f", best at {found['best_epoch']:g}" if "best_epoch" in found else ""
        facts.append(("epochs", f"{found['epochs']:g}{best}"))
    errors = found.get("stop_errors") or {}
    if errors.get("groups"):
        rows = [f"{name} {number(mae)} ({proteins})" for name, proteins, mae, _ in errors["groups"]]
        facts.append((f"{study.head('MAE on stop by group')} (proteins)", "; ".join(rows)))
    if found.get("reports"):
        facts.append(("reported by the script", "; ".join(f"{k} {v:g}" for k, v in found["reports"].items())))
    return facts


def knob_changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Knobs that differ between two trials' rows, with their values as people read them."""
    old, new = json.loads(before["knobs"]), json.loads(after["knobs"])
    names = [*new, *(name for name in old if name not in new)]
    return [(name, value(old.get(name)), value(new.get(name))) for name in names if old.get(name) != new.get(name)]


def _script_change(
    study: ReportStudy, row: Mapping[str, Any], before: Mapping[str, Any] | None
) -> tuple[Diff | None, str]:
    if before is None:
        return None, "the reference script" if row["script"] == study.reference else "a script of its own"
    if row["script"] == before["script"]:
        return None, "the reference script, unchanged" if row[
            "script"
        ] == study.reference else "its parent's script, unchanged"
    paths = [
        study.trial_folder(part["strategy"], part["trajectory"], part["iteration"]) / "train.py"
        for part in (before, row)
    ]
    missing = [path for path in paths if not path.is_file()]
    if missing:
        return None, f"{missing[0].relative_to(study.folder)} is missing, so the difference cannot be shown"
    return diff_scripts(read_script(paths[0]), read_script(paths[1]), _DIFF_ROWS), ""


@lru_cache(maxsize=64)
def read_script(path: Path) -> str:
    """A training script's text; bytes that are not UTF-8 show as such."""
    return path.read_text(encoding="utf-8", errors="backslashreplace")


def _tail(text: str | None) -> str:
    lines = (text or "").strip().splitlines()[-_LOG_LINES:]
    return "\n".join(lines)[-_LOG_TEXT:]


def _transcripts(folder: Path, proposal: Mapping[str, Any], session: Session | None = None) -> Iterable[dict[str, str]]:
    """What was asked and answered, in short; of a coding agent's session how it ended and what it used."""
    for name in proposal.get("transcripts") or []:
        path = folder / "llm" / Path(name).name
        try:
            record = read_record(path)
            reply, usage = record["reply"], record["usage"]
            calls = ", ".join(reply.get("tool_calls") or [])
            text = reply["text"] + (f"\n[calls {calls}]" if calls else "")
            about = [
                record["purpose"],
                record["request"]["model"],
                "tokens unknown"
                if usage["prompt_tokens"] is None or usage["completion_tokens"] is None
                else f"{usage['prompt_tokens']:,} tokens in, {usage['completion_tokens']:,} out",
                dollars(record["cost_usd"]),
            ]
            if session is not None and path.name == RECORD:
                about = ["session", session.words]
        except InputError as error:
            yield {"name": path.name, "about": f"not shown: {error}".replace(str(folder), folder.name), "text": ""}
            continue
        except (KeyError, TypeError):
            yield {"name": path.name, "about": "not shown: not in the form of a transcript", "text": ""}
            continue
        cut = "" if len(text) <= _REPLY else f"\n… ({len(text) - _REPLY:,} more characters in {path.name})"
        yield {"name": path.name, "about": ", ".join(filter(None, about)), "text": text[:_REPLY] + cut}


def validation_drawings(study: ReportStudy, shown: pl.DataFrame) -> tuple[dict[tuple[str, int, int], Markup], str]:
    """Predictions against measurements on validation for each shown trial that ended ok, and a sentence about them.

    Drawn once the searches are over and their labels opened; means over the search's seeds. Never on test: no agent
    should be tempted to pick a trial by it.
    """
    opened = study.folder / "evidence" / "labels.parquet"
    runs = study["runs"].filter(pl.col("status") == "ok").join(shown.select(_KEY), on=_KEY, how="semi")
    if not opened.exists() or not len(runs):
        return {}, ""
    labels = read_table(opened, OPENED_LABELS)
    folders = [study.trial_folder(*where) / f"s{seed}" for *where, seed in runs.select(*_KEY, "seed").iter_rows()]
    try:
        predictions = read_predictions(folders, labels)
    except InputError as error:
        return {}, f"Predictions of single trials are not drawn ({error})."
    inside = np.flatnonzero((labels["split"] == "val").to_numpy())
    inside = inside[:: -(-len(inside) // _DOTS) or 1]
    tm = labels["tm"].to_numpy()[inside]
    rows: dict[tuple[str, int, int], list[int]] = {}
    for place, where in enumerate(runs.select(_KEY).iter_rows()):
        rows.setdefault(where, []).append(place)
    drawings = {where: _scatter(tm, predictions[places][:, inside].mean(axis=0)) for where, places in rows.items()}
    total = int((labels["split"] == "val").sum())
    name = study.target.symbol
    return drawings, (
        f"The small squares show predicted (up) against measured {name} (right) on validation, both axes from the "
        f"least to the greatest measured {name}; {len(inside)} of {count(total, 'protein')}."
    )


def _scatter(tm: np.ndarray, prediction: np.ndarray) -> Markup:
    """Dots in a square whose both axes span the measurements; predictions beyond it lie on its edge."""
    low, high = float(tm.min()), float(tm.max())
    scale = (_SIDE - 6) / ((high - low) or 1)
    x = 3 + (tm - low) * scale
    y = _SIDE - 3 - (np.clip(prediction, low, high) - low) * scale
    dots = "".join(f"M{a:.0f} {b:.0f}h0" for a, b in zip(x, y, strict=True))
    return Markup(
        f'<svg class="dots" viewBox="0 0 {_SIDE} {_SIDE}" width="{_SIDE}" height="{_SIDE}" role="img"'
        f' aria-label="predicted against measured on validation">'
        f'<path class="perfect" d="M3 {_SIDE - 3}L{_SIDE - 3} 3"/>'
        f'<path d="{dots}"/></svg>'
    )


def _stop_errors(curve: pl.DataFrame | None) -> pl.DataFrame:
    """Epochs with a finite stop MAE; a candidate may report anything."""
    if curve is None:
        return pl.DataFrame(schema={"seed": pl.Int64, "epoch": pl.Int64, "stop_mae": pl.Float64})
    return curve.drop_nulls(["epoch", "stop_mae"]).filter(pl.col("stop_mae").is_finite())


def _curve(curve: pl.DataFrame | None) -> Markup:
    """Stop MAE over epochs, a line per seed, as a small drawing; numbers only."""
    points = _stop_errors(curve)
    if points["epoch"].n_unique() < 2:
        return Markup("")
    left, right = points["epoch"].min(), points["epoch"].max()
    low, high = points["stop_mae"].min(), points["stop_mae"].max()

    def place(epoch: int, mae: float) -> str:
        x = 2 + (epoch - left) / (right - left) * (_WIDTH - 4)
        y = _HEIGHT - 3 - (mae - low) / ((high - low) or 1) * (_HEIGHT - 6)
        return f"{x:.1f},{y:.1f}"

    lines = []
    for _, seed in points.group_by("seed", maintain_order=True):
        ordered = seed.sort("epoch").select("epoch", "stop_mae")
        lines.append(f'<polyline points="{" ".join(place(*row) for row in ordered.iter_rows())}"/>')
    return Markup(
        f'<svg class="spark" viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" height="{_HEIGHT}" role="img"'
        f' aria-label="stop error over epochs">{"".join(lines)}</svg>'
    )


def _curve_note(study: ReportStudy, curve: pl.DataFrame | None) -> str:
    points = _stop_errors(curve)
    if not len(points):
        return ""
    high, low, last = points["stop_mae"].max(), points["stop_mae"].min(), points["epoch"].max()
    return f"stop MAE {number(high)} to {study.amount(low)}, {count(last, 'epoch')}"
