"""What a coding agent cost, as its tool says in JSON of its own: a file, or the last JSON object that it printed."""

import json
import math
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from tmelt.text.safe import one_line

_VERSION = 80  # letters


class Reported(BaseModel):
    """Where the tool's own figures are. A key of an inner object is written with dots: `info.model_stats.cost`."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    file: str | None = Field(
        None, pattern=r"^[^/].*$", description="file in the workspace that the tool writes; null: what it prints"
    )
    cost_usd: str = Field("total_cost_usd", description="key of the dollars of the session")
    calls: str = Field("num_turns", description="key of the number of calls of a model")
    prompt_tokens: str = Field("usage.input_tokens", description="key of the tokens sent")
    completion_tokens: str = Field("usage.output_tokens", description="key of the tokens received")
    version: str = Field("version", description="key of the tool's version")


def version(text: str | None, keys: Reported) -> str | None:
    """The tool's version in what it reported, in one line; None where it reported none."""
    value = _at(last_object(text or ""), keys.version)
    return one_line(value, _VERSION) if isinstance(value, str | int | float) and str(value).strip() else None


def figures(text: str | None, keys: Reported) -> dict[str, float | int | None]:
    """Dollars, calls and tokens; None for what is not reported, or is no number from 0.

    Args:
        text: of the file, or of standard output.
        keys: where they are.
    """
    report = last_object(text or "")
    found: dict[str, float | int | None] = {}
    for name, kind in (("cost_usd", float), ("calls", int), ("prompt_tokens", int), ("completion_tokens", int)):
        value = _at(report, getattr(keys, name))
        usable = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value >= 0
        found[name] = kind(value) if usable else None
    return found


def last_object(text: str) -> Mapping[str, Any]:
    """The whole text as a JSON object, or the last line that is one; else an empty one."""
    for part in (text, *reversed(text.splitlines()[-200:])):
        if part.lstrip().startswith("{"):
            try:
                value = json.loads(part)
            except (ValueError, RecursionError):
                continue
            if isinstance(value, dict):
                return value
    return {}


def _at(value: Any, key: str) -> Any:
    for part in key.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value
