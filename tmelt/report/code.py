"""Scripts as people read them: differences with syntax colours, every character of the source escaped."""

from dataclasses import dataclass

from markupsafe import Markup
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer

from tmelt.text.diff import LineMatcher
from tmelt.text.safe import for_html, for_terminal

CONTEXT = 3  # unchanged lines around a change
_LONGEST = 200_000  # characters; a longer script is shown without colours


@dataclass(frozen=True)
class Diff:
    """The difference of two scripts: how many lines, and rows for the page."""

    added: int
    removed: int
    rows: tuple[tuple[str, Markup], ...]  # (added, removed, same or gap; the line)
    left_out: int = 0  # rows beyond the limit

    def __bool__(self) -> bool:
        return bool(self.added or self.removed)


def diff_scripts(before: str, after: str, limit: int) -> Diff:
    """The lines that differ with their surroundings, at most `limit` rows."""
    old, new = before.splitlines(), after.splitlines()
    rows: list[tuple[str, Markup]] = []
    added = removed = 0
    groups = list(LineMatcher(old, new).get_grouped_opcodes(CONTEXT))
    if not groups:
        return Diff(0, 0, ())
    old_html, new_html = _coloured(before, len(old)), _coloured(after, len(new))
    for group in groups:
        rows.append(("gap", Markup(f"line {group[0][3] + 1}")))
        for tag, i1, i2, j1, j2 in group:
            if tag == "equal":
                rows += [("same", line) for line in new_html[j1:j2]]
                continue
            removed += i2 - i1
            added += j2 - j1
            rows += [("removed", line) for line in old_html[i1:i2]]
            rows += [("added", line) for line in new_html[j1:j2]]
    return Diff(added, removed, tuple(rows[:limit]), max(0, len(rows) - limit))


def shown_diff(unified: str, limit: int) -> Diff:
    """The rows of a unified diff as the tables hold it; without colours, for its lines are no whole script."""
    kinds = {"+": "added", "-": "removed", " ": "same"}
    rows: list[tuple[str, Markup]] = []
    for line in unified.splitlines():
        if line.startswith(("+++ ", "--- ")) and not rows:
            continue
        if line.startswith("@@"):
            rows.append(("gap", for_html(f"line {line.split('+', 1)[-1].split(',')[0].split(' ')[0]}")))
        else:
            rows.append((kinds.get(line[:1], "same"), for_html(line[1:])))
    added, removed = (sum(kind == name for kind, _ in rows) for name in ("added", "removed"))
    return Diff(added, removed, tuple(rows[:limit]), max(0, len(rows) - limit))


def _coloured(source: str, lines: int) -> list[Markup]:
    """One piece of HTML per line; plain where colouring would not give the same number of lines."""
    if len(source) <= _LONGEST:
        lexer = PythonLexer(stripnl=False, ensurenl=False)
        html = highlight(for_terminal(source), lexer, HtmlFormatter(nowrap=True)).split("\n")
        if len(html) >= lines and not any(html[lines:]):
            return [Markup(line) for line in html[:lines]]
    return [for_html(line) for line in source.splitlines()]


def syntax_css() -> str:
    """Colours of syntax for light and dark."""
    light = HtmlFormatter(style="friendly").get_style_defs(".code")
    dark = HtmlFormatter(style="github-dark").get_style_defs(".code")
    keep = [line for line in light.splitlines() if line.startswith(".code .")]
    kept_dark = "\n".join(line for line in dark.splitlines() if line.startswith(".code ."))
    return "\n".join(keep) + "\n@media screen and (prefers-color-scheme: dark) {\n" + kept_dark + "\n}\n"
