"""A target that is no melting temperature, groups that are no organisms, and words that their studies may not have."""

import re

from tmelt.study.group import Group
from tmelt.study.target import Target

SOLUBILITY = Target("solubility", "solubility", "%", "more soluble", (0.0, 100.0))
SETTINGS = {"column": "soluble", "name": "solubility", "unit": "%", "higher_is": "more soluble", "plausible": [0, 100]}
HOSTS = Group("host", "hosts")
_ORGANISMS = re.compile(r"\b[Oo]rganisms?\b|\b[Ss]pecies\b")
_FORBIDDEN = re.compile(r"°C|\bTm\b|[Mm]elting|\b[Tt]hermo|\bdegrees C")


def words_of_tm(text):
    """Where a text speaks of melting temperatures, with what stands around it."""
    return _around(_FORBIDDEN, text)


def words_of_organisms(text):
    """The same for organisms."""
    return _around(_ORGANISMS, text)


def _around(pattern, text):
    return [text[max(0, found.start() - 60) : found.end() + 30] for found in pattern.finditer(text)]
