"""Spellings of organisms: which names mean one organism, and which only may.

Case, blanks, underscores, a common name in parentheses and an abbreviated genus (`E. coli`) make no other organism.
Strains and near misspellings may: they are named, not merged.
"""

import re
import unicodedata
from collections.abc import Mapping
from difflib import SequenceMatcher

COMMON = {
    "human": "homo sapiens",
    "mouse": "mus musculus",
    "rat": "rattus norvegicus",
    "baker's yeast": "saccharomyces cerevisiae",
    "fruit fly": "drosophila melanogaster",
    "zebrafish": "danio rerio",
    "thale cress": "arabidopsis thaliana",
}
ABBREVIATED = re.compile(r"([a-z])\.? (?=[a-z]{2})(.+)")
COMMON_NAME = re.compile(r"\s*\((?![^()]*(?:strain|subsp|serovar|atcc|dsm))[^()]*\)\s*$")
ALIKE = 0.9  # similarity of two names (difflib) above which they may be one organism
MOST_COMPARED = 300  # names; beyond, strains and misspellings are not looked for


def plain_name(name: str) -> str:
    """A name without case, surplus blanks, underscores, and a common name in parentheses."""
    text = unicodedata.normalize("NFKC", name).replace("_", " ").casefold().strip("\"' ")
    text = re.sub(r"^([a-z])\.(?=\S)", r"\1. ", " ".join(text.split()))
    text = COMMON_NAME.sub("", text) or text
    text = re.sub(r"[\s.,;]+$", "", text)
    if found := ABBREVIATED.fullmatch(text):
        text = f"{found.group(1)}. {found.group(2)}"
    return COMMON.get(text, text)


def one_spelling(counts: Mapping[str, int]) -> dict[str, str]:
    """The spelling to use for each name.

    Args:
        counts: names, and how often each occurs.

    Returns:
        For every name the most frequent full spelling of its organism. An abbreviated genus joins a full one if only
        one fits. The result does not depend on the order of the names.
    """
    plain = {name: plain_name(name) for name in counts}
    full = {text for text in plain.values() if not ABBREVIATED.fullmatch(text)}
    joined: dict[str, str] = {}
    for text in set(plain.values()) - full:
        found = ABBREVIATED.fullmatch(text)
        fitting = [
            each for each in full if found and each[0] == found.group(1) and each.partition(" ")[2] == found.group(2)
        ]
        joined[text] = fitting[0] if len(fitting) == 1 else text
    groups: dict[str, list[str]] = {}
    for name, text in plain.items():
        groups.setdefault(joined.get(text, text), []).append(name)
    chosen: dict[str, str] = {}
    for text, names in groups.items():
        whole = [name for name in names if plain[name] == text] or names
        best = min(whole, key=lambda name: (-counts[name], name))
        chosen |= dict.fromkeys(names, best)
    return chosen


def may_be_one(names: list[str]) -> list[tuple[str, str]]:
    """Pairs of organisms that may be one: a name and its strain, an unresolved abbreviation, a near misspelling."""
    plain = {name: plain_name(name) for name in sorted(names)[:MOST_COMPARED]}
    pairs = []
    for at, (one, first) in enumerate(plain.items()):
        for other, second in list(plain.items())[at + 1 :]:
            short, long = sorted((first, second), key=len)
            strain = " " in short and long.startswith(short + " ")
            abbreviation = ABBREVIATED.fullmatch(short)
            abbreviated = bool(abbreviation) and long[0] == short[0] and long.endswith(" " + abbreviation.group(2))
            digits = [re.sub(r"\D", "", text) for text in (short, long)]
            alike = digits[0] == digits[1] and len(short) > 6 and _similar(short, long)
            if strain or abbreviated or alike:
                pairs.append((one, other))
    return pairs


def _similar(short: str, long: str) -> bool:
    return len(short) / len(long) > ALIKE and SequenceMatcher(None, short, long, autojunk=False).ratio() > ALIKE
