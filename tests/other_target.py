"""A target that is no melting temperature, and the words that no text of its study may have."""

import re

from tmelt.target import Target

SOLUBILITY = Target("solubility", "solubility", "%", "more soluble", (0.0, 100.0))
SETTINGS = {"column": "soluble", "name": "solubility", "unit": "%", "higher_is": "more soluble", "plausible": [0, 100]}
_FORBIDDEN = re.compile(r"°C|\bTm\b|[Mm]elting|\b[Tt]hermo|\bdegrees C")


def words_of_tm(text):
    """Where a text speaks of melting temperatures, with what stands around it."""
    return [text[max(0, found.start() - 60) : found.end() + 30] for found in _FORBIDDEN.finditer(text)]
