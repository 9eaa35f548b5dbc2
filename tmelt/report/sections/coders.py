"""Coding agents: which command ran with which hosts in reach, and what its sessions used."""

import shlex
from collections import Counter
from collections.abc import Iterator, Sequence

from tmelt.report.blocks import Block, Heading, Table, Terms
from tmelt.report.coding_sessions import Session, known_sum, sessions
from tmelt.report.inputs import ReportStudy
from tmelt.report.sections.section import Section
from tmelt.report.words import DASH, count, dollars, listing, number, seconds

_SHOWN = 300  # sessions in the table; the others are in the study's folders
_NOTE = (
    "Calls, dollars and version are the tool's own report; what it did not report is unknown, never 0. “In 2 of 3”: "
    "known of so many sessions. Logs are in the study's folder."
)


def content(study: ReportStudy) -> Iterator[Block | None]:
    """For each strategy whose kind starts a program of the user's: its command, its sessions."""
    for name in study.strategies:
        kind = study.kind(name)
        if kind is None or not kind.external:
            continue
        held = list(sessions(study, name))
        yield Heading(name)
        yield Terms(command_terms(study, name, held))
        yield sessions_table(study, name, held).labelled(f"Sessions of {name}", below=_NOTE)
        yield each_session(held).folded(f"Every session of {name}")


SECTION = Section("coders", "Coding agents", content, optional=True)


def command_terms(study: ReportStudy, strategy: str, held: Sequence[Session]) -> list[tuple[str, str]]:
    """What ran, and what it could reach."""
    options = study.settings.get(strategy, {}).get("options", {})
    versions = sorted({session.version for session in held if session.version is not None})
    refused: Counter[str] = Counter()
    for session in held:
        refused.update(session.refused)
    terms = [
        ("command", shlex.join(map(str, options.get("command", []))) or DASH),
        ("version, as the tool reported it", listing(versions) or "unknown"),
        ("hosts that it may reach", listing(list(map(str, options.get("network", [])))) or "none"),
        ("files that it may read", listing(list(map(str, options.get("read", [])))) or "its workspace alone"),
        ("variables, by name", listing([*options.get("env", []), *options.get("variables", {})]) or "none"),
    ]
    if refused:
        most = [f"{host} ({count(times, 'time')})" for host, times in refused.most_common(5)]
        terms.append(("hosts that it was refused", listing(most)))
    if study.unconfined:
        terms.append(("sandbox", "none: the command saw what the user sees, and its network was not limited"))
    return terms


def sessions_table(study: ReportStudy, strategy: str, held: Sequence[Session]) -> Table:
    """Sums over the sessions of each search."""
    trials = study["trials"].filter(strategy=strategy)
    rows = []
    for trajectory in trials["trajectory"].unique().sort().to_list():
        own = [session for session in held if session.trajectory == trajectory]
        refused = len(trials.filter(trajectory=trajectory, status="refused"))
        tools = trials.filter(trajectory=trajectory)["tool_calls"].sum()
        rows.append(
            [
                f"search {trajectory}",
                str(len(own)),
                str(refused),
                known_sum([session.calls for session in own], lambda value: f"{value:,.0f}"),
                known_sum([session.cost_usd for session in own], dollars),
                seconds(sum(session.wall_s or 0.0 for session in own)),
                number(tools, 0),
            ]
        )
    columns = ["", "sessions", "without a proposal", "calls", "dollars", "wall-clock time", "checks and tries"]
    return Table(columns, rows)


def each_session(held: Sequence[Session]) -> Table:
    """One row per session."""
    rows = [
        [
            f"search {session.trajectory}, trial {session.iteration}",
            session.end,
            "unknown" if session.calls is None else f"{session.calls:,}",
            "unknown" if session.tokens is None else f"{session.tokens[0]:,} / {session.tokens[1]:,}",
            dollars(session.cost_usd),
            DASH if session.wall_s is None else seconds(session.wall_s),
            session.log or DASH,
        ]
        for session in held[:_SHOWN]
    ]
    left = len(held) - len(rows)
    columns = ["", "end", "calls", "tokens in / out", "dollars", "time", "log"]
    return Table(columns, rows, texts=[1, 6], note=f"{left} more are in the study's folder." if left else "")
