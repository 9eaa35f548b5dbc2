"""What the playbook knows before a proposal: the briefing, and the seed that tells searches apart."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from tmelt.search.knobs import Knob, Value
from tmelt.strategies.briefing import Briefing


@dataclass(frozen=True)
class Situation(Briefing):
    """A briefing and the seed of the search, which no LLM is told."""

    search_seed: int = 0  # see variation.py

    @classmethod
    def of(cls, raw: Mapping[str, Any], search_seed: int) -> "Situation":
        """The situation of a briefing as `Briefing.to_json` writes it."""
        briefing = Briefing.from_json(raw)
        return cls(**{each.name: getattr(briefing, each.name) for each in fields(briefing)}, search_seed=search_seed)


def typed(knob: Knob, text: str) -> Value:
    """The value that a table of trials prints as `text`; a choice that is not in the range stays as it is written."""
    if knob.kind == "choice":
        return next((choice for choice in knob.choices if str(choice) == text), text)
    return int(float(text)) if knob.kind == "int" else float(text)
