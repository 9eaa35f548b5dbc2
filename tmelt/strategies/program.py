"""An agent's program: the Markdown file under prompts/ that the user edits to change what the agent is told.

Everything above the line `<!-- user -->` is the system message, everything below it is sent anew for each trial.
`{{name}}` stands for what the strategy fills in, `{{#name}} … {{/name}}` appears only where that is not empty, and
`{{^name}} … {{/name}}` only where it is. A file that drops one of its kind's names, or invents one, is refused.
"""

import re
from collections.abc import Mapping
from pathlib import Path

from tmelt.errors import InputError

PROMPTS = Path(__file__).resolve().parent / "prompts"
DIVIDER = "<!-- user -->"
_PLACEHOLDER = re.compile(r"\{\{(\w+)\}\}")
_SECTION = re.compile(r"\{\{([#^])(\w+)\}\}(.*?)\{\{/\2\}\}", re.DOTALL)


def program_path(kind: str) -> Path:
    """The program of one kind of agent."""
    from tmelt.strategies.registry import kind_of

    return kind_of(kind).program or PROMPTS / f"{kind}.md"


def fill_program(path: Path, values: Mapping[str, str], words: Mapping[str, str] | None = None) -> tuple[str, str]:
    """(system, user) messages of a program with its placeholders filled in.

    What is filled in is not searched for placeholders again, so a script may hold `{{…}}` itself. The placeholders of
    `words`, the names of the target, may be left out.

    Raises:
        InputError: a missing file, no divider, an unknown placeholder, or one that the agent cannot do without.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: {error}") from None
    found = set(_PLACEHOLDER.findall(text)) | {name for _, name, _ in _SECTION.findall(text)}
    filled = {**values, **(words or {})}
    if unknown := sorted(found - set(filled)):
        raise InputError(f"{path}: unknown placeholder {{{{{unknown[0]}}}}}; there are {', '.join(sorted(filled))}")
    if missing := sorted(set(values) - found):
        raise InputError(f"{path}: the placeholder {{{{{missing[0]}}}}} is missing; put it back where it belongs")
    system, divider, user = text.partition(f"\n{DIVIDER}\n")
    if not divider:
        raise InputError(f"{path}: needs the line {DIVIDER} between what is said once and what is sent for each trial")
    return _fill(system, filled), _fill(user, filled)


def _fill(template: str, values: Mapping[str, str]) -> str:
    def section(match: re.Match[str]) -> str:
        return match[3] if bool(values[match[2]].strip()) == (match[1] == "#") else ""

    shown = _SECTION.sub(section, template)
    shown = re.sub(r"\n{3,}", "\n\n", shown).strip() + "\n"
    return _PLACEHOLDER.sub(lambda match: values[match[1]].strip(), shown)
