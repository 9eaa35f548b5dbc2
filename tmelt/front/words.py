"""Lines about trials and progress, for a terminal."""

import time
from collections.abc import Sequence

from tmelt.front.feed import Arrival, Feed, Search
from tmelt.study.stage import Stage
from tmelt.study.status import span
from tmelt.study.target import Target
from tmelt.text.safe import one_line

_DECISIONS = {"keep": "kept", "discard": "discarded", "inconclusive": "within the noise", "baseline": "baseline"}
_NAME_WIDTH = 16


def arrival_line(arrival: Arrival, target: Target) -> str:
    """Return one line for a scored trial, or for the stop of its search."""
    search, row = arrival.search, arrival.row
    head = f"{time.strftime('%H:%M:%S')}  {search.name:<{_NAME_WIDTH}}"
    if search.stopped is not None and row["iteration"] == len(search.rows):
        ended = "budget used" if search.budget_used else "stopped"
        return f"{head} {ended} after {len(search.rows)} trials: {search.stopped}"
    width = len(str(search.planned - 1))
    head += f" trial {row['iteration']:>{width}}/{'≤' if search.at_most else ''}{search.planned - 1}"
    if row["val_mae"] is None:
        reason = one_line((row["error"] or "").strip().rpartition("\n")[2], 100)
        outcome = f"{'–':>9}  {row['status']}" + (f": {reason}" if reason else "")
    else:
        mae = target.amount(f"{row['val_mae']:6.2f}")
        outcome = f"{mae}  {_DECISIONS.get(row['decision'], row['decision'])}"
        if row["decision"] == "keep" and arrival.best_before is not None:
            outcome += f", was {arrival.best_before:.2f}"
    best = f"best {search.best:.2f} (trial {row['incumbent']})" if search.best is not None else "no score yet"
    cost = f"  ${row['cost_usd']:.4f}" if row["cost_usd"] else ""
    return f"{head} {outcome:<34} {best}{cost}"


def best_search(searches: Sequence[Search]) -> Search | None:
    """Return the search whose incumbent has the lowest validation error."""
    scored = [search for search in searches if search.best is not None]
    return min(scored, key=lambda search: search.best or 0.0, default=None)


def progress_line(feed: Feed, stage: Stage, limit_usd: float | None) -> str:
    """Return what is being made, the best so far, what was spent and when the searches will end."""
    parts = [stage.words()]
    if best := best_search(feed.searches):
        parts.append(f"best {feed.target.amount(f'{best.best:.2f}')} ({best.name})")
    if failed := feed.failed():
        parts.append(f"{failed} failed")
    if feed.done:
        parts.append(feed.spent().words(limit_usd))
    if feed.left and (seconds := feed.ends_in()) is not None:
        at = time.strftime("%H:%M" if seconds < 20 * 3600 else "%a %H:%M", time.localtime(time.time() + seconds))
        when = "at the latest about" if feed.at_most else "about"
        parts.append(f"searches end {when} {at}, in {span(seconds)}; then the winners are retrained")
    return " · ".join(parts)
