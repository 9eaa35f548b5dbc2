"""What an agent remembers: the history as text within a token budget, however long the search.

The full rows stay in history.parquet; this is a view of them. Counts and per-knob statistics cover every trial
exactly. The table holds every trial while there is room, then the best and the most recent. It comes first, and what it
shows of earlier trials changes once in SETTLED trials, because providers bill the beginning that a prompt has in common
with the one before at a fraction (benchmarks/prompts.py). Failures are grouped by kind and message. What the table
leaves out an agent can have in full by naming trial numbers in `look_up`. Errors are told as tmelt.strategies.coarse
rounds them; what a seed reached by itself is not told.
"""

import json
import math
import re
import statistics
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence

from tmelt.search.history import History, Trial
from tmelt.search.knobs import Knob, Space, Value
from tmelt.strategies.coarse import coarse, told_mae, told_margin
from tmelt.strategies.outcomes import (
    curve_text,
    dead_knobs,
    decisions_text,
    epochs_text,
    expectations_text,
    observed_effect,
    predict_text,
    reports_text,
    stop_text,
)
from tmelt.strategies.tokens import estimate_tokens
from tmelt.study.target import TM, Target
from tmelt.text.diff import unified_lines

TOKENS_MIN = 6000
BINS = 4
SETTLED = 10  # trials between two choices of the rows that a table without room for all shows
IDEA_LENGTH = 90
MESSAGE_LENGTH = 160
NOT_RUN = ("refused", "stopped")
REPAIRABLE = ("crash", "invalid")  # failures that a change of the script fixes


def remember(
    history: History,
    space: Space,
    *,
    base: int,
    tokens: int,
    look_up: Sequence[int] = (),
    script_of: Callable[[int], str] | None = None,
    target: Target = TM,
) -> str:
    """The history as Markdown of at most `tokens` tokens by `estimate_tokens`.

    Args:
        history: all trials so far, at least the baseline.
        space: the knobs whose statistics are shown.
        base: the trial that changes start from, whose knobs are shown.
        tokens: the budget, at least TOKENS_MIN.
        look_up: trials to show in full; unknown numbers are an error of the caller.
        script_of: source text of a trial's script; given for agents that may write scripts, it adds the scripts'
            identities, the errors of the latest crashes, and to a looked-up trial its difference from the incumbent's.
        target: what is predicted; its unit stands beside the errors.
    """
    if tokens < TOKENS_MIN:
        raise ValueError(f"memory of {tokens} tokens; at least {TOKENS_MIN}")
    script = script_of(base) if script_of is not None else None
    stands = [
        _summary(history, target),
        shorten(decisions_text(history, target), tokens // 20),
        expectations_text(history, target),
    ]
    parts = ["\n\n".join(filter(None, stands)), shorten(_knobs(history[base], script), tokens // 5)]
    parts += [shorten(_stop(history, target), tokens // 8), shorten(_reports(history, base), tokens // 20)]
    share = tokens // 2 // max(1, len(look_up))
    parts += [shorten(_in_full(history, number, script_of, target), share) for number in look_up]
    if script_of is not None:
        parts.append(_latest_errors(history, tokens // 10))
    parts.append(_failures(history, tokens // 10))
    rest = tokens - sum(estimate_tokens(part) + 1 for part in parts)
    parts.append(_statistics(history, space, rest // 2, target))
    rest -= estimate_tokens(parts[-1]) + 1
    step = tokens // 10  # so that the table keeps its rows while the other parts grow and shrink a little
    table = _table(history, rest // step * step, target, scripts=script_of is not None)
    parts.insert(0, table)  # what changes least: the start of an equal prompt is cheaper
    return "\n\n".join(part for part in parts if part)


def shorten(text: str, tokens: int) -> str:
    """The text's beginning in whole lines, at most `tokens` tokens; says so where something is missing."""
    if estimate_tokens(text) <= tokens:
        return text
    notice = "[cut here to fit the token budget]"
    kept, used = [], estimate_tokens(notice) + 1
    for line in text.splitlines():
        used += estimate_tokens(line) + 1
        if used > tokens:
            break
        kept.append(line)
    return "\n".join([*kept, notice])


def changes_between(before: dict[str, Value], after: dict[str, Value]) -> dict[str, Value]:
    """The knobs of `after` that `before` lacks or has at another value; inactive ones do not count."""
    return {name: value for name, value in after.items() if name not in before or before[name] != value}


def _summary(history: History, target: Target) -> str:
    statuses = Counter(trial.status for trial in history)
    decisions = Counter(trial.decision for trial in history if trial.decision)
    lines = [
        "### Where the search stands",
        f"Trials so far: {len(history)} (numbers 0 to {len(history) - 1}): {_counts(statuses)}.",
        f"Decisions: {_counts(decisions)}.",
    ]
    best, first = history.incumbent, history[0]
    if first.ok:
        lines.append(f"Baseline: trial 0 with {target.amount(_error(first))}.")
    else:
        lines.append(f"Baseline: trial 0 failed ({first.status}).")
    if best is None:
        lines.append("Incumbent: none yet, no trial has worked.")
    else:
        lines.append(f"Incumbent, the one to beat: trial {best.iteration} with {target.amount(_error(best))}.")
    return "\n".join(lines)


def _counts(counter: Counter[str]) -> str:
    return ", ".join(f"{n} {name}" for name, n in sorted(counter.items(), key=lambda item: (-item[1], item[0])))


def _error(trial: Trial) -> str:
    return f"{told_mae(trial):.2f}"


def _knobs(base: Trial, script: str | None) -> str:
    """Active knobs of a trial; those that a known script does not read are only named."""
    dead = dead_knobs(script, base.knobs) if script is not None else set()
    lines = [f"### Knobs of trial {base.iteration}, which changes start from"]
    if dead:
        lines.append(
            f"Dead, because the script does not read them: {', '.join(name for name in base.knobs if name in dead)}."
            " Changing them changes nothing."
        )
    lines += ["| knob | value |", "|---|---|"]
    live = {name: value for name, value in base.knobs.items() if name not in dead}
    lines += [f"| {name} | {format_value(value, exact=True)} |" for name, value in live.items()]
    return "\n".join(lines)


def _stop(history: History, target: Target) -> str:
    """Errors on stop of the incumbent and of the latest trial that worked."""
    best, last = history.incumbent, next((trial for trial in reversed(history) if trial.ok), None)
    found = {
        trial.iteration: text for trial in (best, last) if trial is not None and (text := stop_text(trial, target))
    }
    if not found:
        return ""
    told = f"Measured by the harness,{target.in_unit}{',' if target.unit else ''} with the number of proteins."
    lines = ["### Errors on early-stopping proteins", told]
    for number, text in found.items():
        lines += [f"Trial {number}{', the incumbent' if best is not None and number == best.iteration else ''}:", text]
        if curve := curve_text(history[number]):
            lines.append(f"- by epoch, as its script logged it: {curve}")
    return "\n".join(lines)


def _reports(history: History, base: int) -> str:
    """What the scripts of the base and of the latest trials reported."""
    numbers = sorted({base, *(trial.iteration for trial in history[-3:])})
    lines = [f"- Trial {number}: {text}" for number in numbers if (text := reports_text(history[number]))]
    return "\n".join(["### Reported by the scripts, means over seeds", *lines]) if lines else ""


def format_value(value: Value, exact: bool = False) -> str:
    """As the table of trials prints it."""
    if isinstance(value, float):
        return repr(value) if exact else f"{value:.3g}"
    return str(value)


def _table(history: History, tokens: int, target: Target, *, scripts: bool) -> str:
    """All trials, or as many of the best and of the most recent in turn as there is room for."""
    columns = ["trial", "val", "margin", "fit", "stop", "val-fit", "s", "cut"]
    epochs = any(epochs_text(trial) for trial in history)
    columns += ["epochs", "decision"] if epochs else ["decision"]
    columns += ["by", "from", "expected", "got", "changes", "idea"]
    if scripts:
        columns.insert(columns.index("changes"), "script")
    header = f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}"
    legend = (
        f"val, fit, stop: mean absolute error{target.in_unit} on validation, training and early-stopping proteins (val:"
        f" the status where the trial failed), rounded to about half the margin; margin: the difference{target.in_unit}"
        " from the"
        " incumbent before that is more than noise of seeds and proteins; val-fit: the generalisation gap; s: seconds"
        " of training per seed, by the clock of the time budget; cut: seeds whose training ended for lack of time;"
        f" expected, got: change{target.in_unit} against trial `from`, as its proposer foretold it and as measured;"
        " changes: against trial `from`, or against trial 0."
    )
    if epochs:
        legend += " epochs: as the script logged them, and the best of them by its error on stop."
    title = "### Trials"
    if tokens < 300:
        return f"{title}: no room in the token budget for a table; `look_up` shows any of them"
    room = tokens - estimate_tokens(f"{title}\n\n{legend}\n{header}") - 60
    chosen = _chosen(history, room, lambda trial: _row(history, trial, scripts=scripts, epochs=epochs))
    lines = [title, legend, "", header, *(chosen[number] for number in sorted(chosen))]
    if len(chosen) < len(history):  # said last: the start of the table stays the same from question to question
        lines.append(f"\n[{len(chosen)} of {len(history)} trials: the best and the most recent; the rest by `look_up`]")
    return "\n".join(lines)


def _chosen(history: History, room: int, row_of: Callable[[Trial], str]) -> dict[int, str]:
    """Rows of all trials by number if they fit into `room` tokens, otherwise of the best and the most recent.

    Those of settled trials are chosen anew once in SETTLED trials, with a fifth of the room left for new rows.
    """
    rows: dict[int, str] = {}
    costs: dict[int, int] = {}

    def cost(trial: Trial) -> int:
        if trial.iteration not in rows:
            rows[trial.iteration] = row_of(trial)
            costs[trial.iteration] = estimate_tokens(rows[trial.iteration]) + 1
        return costs[trial.iteration]

    used, every = 0, True
    for trial in history:
        used += cost(trial)
        if used > room:
            every = False
            break
    if every:
        return rows
    settled = (len(history) - 1) // SETTLED * SETTLED
    new = [trial.iteration for trial in history[settled:] if cost(trial)]
    used, chosen = 0, []
    for trial in _by_interest(history[:settled]):
        used += cost(trial)
        if used > 4 * room // 5:
            break
        chosen.append(trial.iteration)
    while chosen and sum(costs[number] for number in (*chosen, *new)) > room:
        chosen.pop()
    while sum(costs[number] for number in new) > room:  # however little room there is
        new.pop(0)
    return {number: rows[number] for number in (*chosen, *new)}


def _by_interest(history: Sequence[Trial]) -> Iterable[Trial]:
    """Best, most recent, second best, second most recent, …: each trial once."""
    best = sorted((trial for trial in history if trial.ok), key=lambda trial: (told_mae(trial), trial.iteration))
    recent = list(reversed(history))
    seen = set()
    for rank in range(len(history)):
        for ranking in (best, recent):
            if rank < len(ranking) and ranking[rank].iteration not in seen:
                seen.add(ranking[rank].iteration)
                yield ranking[rank]


def _row(history: History, trial: Trial, *, scripts: bool, epochs: bool) -> str:
    base = history[trial.parent if trial.parent is not None else 0]
    changes = [f"{name}={format_value(value)}" for name, value in changes_between(base.knobs, trial.knobs).items()]
    if trial.script != base.script:
        changes.append("script")
    val = None if trial.val_mae is None else told_mae(trial)
    fit, stop = (_rounded(trial, error) for error in (trial.fit_mae, trial.stop_mae))
    gap = None if fit is None or val is None else val - fit
    expected, got = trial.proposal["expected_effect"], observed_effect(history, trial)
    cells = [
        str(trial.iteration),
        trial.status if val is None else f"{val:.2f}",
        *(("" if number is None else f"{number:.2f}") for number in (told_margin(trial), fit, stop, gap)),
        f"{trial.fit_s / len(trial.seeds):.0f}" if trial.seeds and trial.fit_s is not None else "",
        str(trial.cut_by_clock or ""),
        *([epochs_text(trial)] if epochs else []),
        trial.decision or "",
        trial.origin,
        "" if trial.parent is None else str(trial.parent),
        *(("" if number is None else f"{number:+.2f}") for number in (expected, got)),
        ", ".join(changes) or ("none" if trial.iteration else "baseline"),
        _one_line(trial.proposal["hypothesis"] or "", IDEA_LENGTH),
    ]
    if scripts:
        cells.insert(-2, f"{trial.script[:6]} ({trial.script_lines} lines)")
    return f"| {' | '.join(cells)} |"


def _rounded(trial: Trial, error: float | None) -> float | None:
    """Another error of a trial: predict chooses what it is, and would have a channel to the agent in its digits."""
    return None if error is None else coarse(error, trial.margin)


def _one_line(text: str, length: int) -> str:
    text = " ".join(text.replace("|", "/").split())
    return text if len(text) <= length else text[: length - 1] + "…"


def _statistics(history: History, space: Space, tokens: int, target: Target) -> str:
    """Per knob and value (or quarter of the range): how many trials worked and failed, median and best error.

    Exact counts of every trial but refused and stopped ones, which were never run. A knob that never moved is left out;
    so are, where the budget is short, those that moved least often, and the text says how many.
    """
    tried = [trial for trial in history if trial.status not in NOT_RUN]
    lines: list[tuple[int, int, str]] = []
    for position, knob in enumerate(space):
        groups: dict[str, list[Trial]] = defaultdict(list)
        order: dict[str, float] = {}
        for trial in tried:
            if knob.name in trial.knobs:
                label, rank = _bin(knob, trial.knobs[knob.name])
                groups[label].append(trial)
                order[label] = rank
        if len(groups) < 2:
            continue
        cells = []
        for label in sorted(groups, key=lambda label: (order[label], label)):
            errors = [told_mae(trial) for trial in groups[label] if trial.ok]
            outcome = f"{statistics.median(errors):.2f} {min(errors):.2f}" if errors else "- -"
            cells.append(f"{label}: {len(errors)} {len(groups[label]) - len(errors)} {outcome}")
        moved = len(tried) - max(len(group) for group in groups.values())
        lines.append((moved, position, f"- {knob.name}: {'; '.join(cells)}"))
    if not lines:
        return ""
    title = (
        f"### Per knob, over all {len(tried)} trials that ran\n"
        "For each value or range tried: trials that worked, trials that failed, median and best val error"
        f"{target.in_unit}."
    )
    used = estimate_tokens(title) + 40
    kept = []
    for _, position, line in sorted(lines, key=lambda item: (-item[0], item[1])):
        used += estimate_tokens(line) + 1
        if used > tokens:
            break
        kept.append((position, line))
    text = "\n".join([title, *(line for _, line in sorted(kept))])
    if len(kept) < len(lines):
        text += f"\n[{len(lines) - len(kept)} more knobs that moved less often are left out]"
    return text


def _bin(knob: Knob, value: Value) -> tuple[str, float]:
    """The label that a value is counted under, and the label's rank."""
    if knob.kind == "choice":
        known = list(knob.choices)
        return str(value), float(known.index(value) if value in known else len(known))
    if not isinstance(value, int | float) or (knob.log and value <= 0):
        return str(value), math.inf  # of another script, which declares a knob of another kind under the same name
    if knob.kind == "int" and knob.high - knob.low < 6:
        return str(value), float(value)
    scale = math.log if knob.log else float
    low, high = scale(knob.low), scale(knob.high)
    index = min(max(int((scale(value) - low) / (high - low) * BINS), 0), BINS - 1)
    edges = [low + (high - low) * edge / BINS for edge in (index, index + 1)]
    start, end = (math.exp(edge) if knob.log else edge for edge in edges)
    return f"{start:.2g}…{end:.2g}", float(index)


def _failures(history: History, tokens: int) -> str:
    """Failures grouped by kind and message, most frequent first; the counts by kind are always complete."""
    groups: dict[tuple[str, str], list[Trial]] = defaultdict(list)
    for trial in history.failed:
        groups[trial.status, _pattern(trial.error)].append(trial)
    if not groups:
        return ""
    kinds = Counter(trial.status for trial in history.failed)
    title = f"### Failures\n{len(history.failed)} of {len(history)} trials have no error to compare: {_counts(kinds)}."
    used = estimate_tokens(title) + 30
    lines = []
    ranked = sorted(groups.items(), key=lambda item: (-len(item[1]), -item[1][-1].iteration))
    for (status, _), trials in ranked:
        numbers = [str(trial.iteration) for trial in trials]
        if len(numbers) > 8:
            numbers = [*numbers[:4], "…", *numbers[-4:]]
        line = f"- {len(trials)} × {status}: {_message(trials[-1].error)} (trials {', '.join(numbers)})"
        used += estimate_tokens(line) + 1
        if used > tokens:
            break
        lines.append(line)
    if len(lines) < len(ranked):
        lines.append(f"- [{len(ranked) - len(lines)} more kinds of message are left out]")
    return "\n".join([title, *lines])


def _message(error: str | None) -> str:
    lines = [line.strip() for line in (error or "").splitlines() if line.strip()]
    return _one_line(lines[-1], MESSAGE_LENGTH) if lines else "no message"


def _pattern(error: str | None) -> str:
    """A message without what differs between two of its kind: addresses, numbers, folders."""
    message = re.sub(r"0x[0-9a-fA-F]+", "#", _message(error))
    message = re.sub(r"(?:/[^\s/'\"]+)+/", "", message)
    return re.sub(r"\d+(?:\.\d+)?(?:e[-+]?\d+)?", "#", message)


def _latest_errors(history: History, tokens: int) -> str:
    """The ends of the logs of those of the last two trials that a change of the script could fix."""
    last = [trial for trial in history[-2:] if trial.status in REPAIRABLE and trial.error]
    if not last:
        return ""
    parts = [
        shorten(f"### Trial {trial.iteration}: end of its log ({trial.status})\n```\n{_tail(trial.error)}\n```",
                tokens // len(last))
        for trial in last
    ]  # fmt: skip
    return "\n\n".join(parts)


def _tail(error: str, length: int = 1500) -> str:
    return error.strip()[-length:].replace("```", "'''")


def _in_full(history: History, number: int, script_of: Callable[[int], str] | None, target: Target) -> str:
    """A looked-up trial."""
    return f"### Trial {number} in full, as you asked\n{trial_text(history, number, script_of, target)}"


def trial_text(history: History, number: int, script_of: Callable[[int], str] | None, target: Target = TM) -> str:
    """Everything about one trial that an agent may know.

    Args:
        history: all trials so far.
        number: of the trial.
        script_of: source text of a trial's script, for agents that may write scripts: adds the difference from the
            incumbent's, and which knobs are dead.
        target: what is predicted.
    """
    trial = history[number]
    proposal = trial.proposal
    seconds = "" if trial.fit_s is None else f", {trial.fit_s:.0f} s of training over all seeds"
    cut = f", {trial.cut_by_clock} of {len(trial.seeds)} seeds cut by the clock" if trial.cut_by_clock else ""
    size = "" if trial.parameter_count is None else f", {trial.parameter_count} parameters"
    lines = [
        f"status {trial.status}, decision {trial.decision}, by {trial.origin}, changed from trial {trial.parent}"
        f"{size}{seconds}{cut}",
    ]
    if trial.ok:
        margin = told_margin(trial)
        compared = "" if margin is None else f" (margin {margin:.2f})"
        fit, stop = (_rounded(trial, error) for error in (trial.fit_mae, trial.stop_mae))
        val = target.amount(f"{told_mae(trial):.2f}")
        lines.append(f"val {val}{compared}, seeds {trial.seeds}, fit {fit}, stop {stop}")
    lines.append(f"knobs: {json.dumps(trial.knobs)}")
    if script_of is not None and (dead := sorted(dead_knobs(script_of(number), trial.knobs))):
        lines.append(f"dead knobs, which its script does not read: {', '.join(dead)}")
    lines += [f"{key}: {proposal[key]}" for key in ("hypothesis", "rationale", "expected_effect") if proposal[key]]
    if (got := observed_effect(history, trial)) is not None:
        lines.append(f"observed effect against trial {trial.parent or 0}: {target.amount(f'{got:+.2f}')}")
    if proposal["subspace"]:
        lines.append(f"subspace: {json.dumps(proposal['subspace'])}")
    account = {
        "epochs trained/best": epochs_text,
        "seconds of predict over all seeds": predict_text,
        "stop error": curve_text,
        "reported": reports_text,
    }
    for name, text in ((name, tell(trial)) for name, tell in account.items()):
        if text:
            lines.append(f"{name}: {text}")
    if text := stop_text(trial, target):
        lines += [f"errors on early-stopping proteins{target.in_unit}:", text]
    if trial.error:
        lines.append(f"end of the log:\n```\n{_tail(trial.error)}\n```")
    best = history.incumbent or history[0]
    if script_of is not None and trial.script != best.script:
        diff = unified_lines(
            script_of(best.iteration).splitlines(), script_of(number).splitlines(),
            f"trial {best.iteration}", f"trial {number}", context=2,
        )  # fmt: skip
        lines += ["script, against the incumbent's:", "```diff", *diff, "```"]
    return "\n".join(lines)
