"""The simulator of tmelt.testing, for many trials: the check of a script's integrity is made once per script."""

from functools import cache

from tmelt.search import scoring
from tmelt.testing.simulation import (
    REFERENCE,
    RULE,
    Landscape,
    context_of,
    outcome,
    simulate,
    without_proteins,
    write_history,
)

__all__ = [
    "REFERENCE",
    "RULE",
    "Landscape",
    "context_of",
    "outcome",
    "simulate",
    "without_proteins",
    "write_history",
]

# A pure function of the script, of which hundreds of simulated trials have the same.
scoring.integrity_of = cache(scoring.integrity_of)
