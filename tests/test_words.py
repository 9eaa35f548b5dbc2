"""Words that name no role, or that a standard word says better, are in no docstring, comment, message or page."""

import re

import pytest
from test_config import ROOT

# word: what to write. A pattern is a word in any case, or a regular expression.
INSTEAD = {
    r"nobody|somebody|whoever": "the role: user, caller, job, process, agent, provider; or `is not …ed`",
    r"a person(?:'s)?|the person(?:'s)?": "user, reader, or another role",
    r"lest": "so that … not",
    r"shall": "should, must, is to",
    r"mend(?:s|ed|ing)?": "fix",
    r"belongs into": "goes into, belongs to",
    r"(?<!there )(?<!overseen )(?-i:is none)(?! of the)": "a full sentence: is no …, is missing, does not count",
    r"flatter(?:s|ed)? (?:itself|themselves)": "is optimistic",
}
TRAILING = re.compile(r", too\b(?!\s+(?:many|few|long|large|small|old|deep|late|short|much|big|little))")
FOLDERS = (
    "tmelt",
    "scripts",
    "rules",
    "docs",
    "report",
    "profiles",
    "config",
    "studies",
    "benchmarks",
    "slurm",
    "examples",
)
SUFFIXES = {".py", ".md", ".smk", ".yaml", ".rst", ".j2", ".js", ".css", ".html", ".sh", ".ipynb"}
ALONE = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md", "Snakefile", "Makefile", "config.yaml")


def files():
    """Every file with prose of ours."""
    inside = (path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*")))
    kept = [path for path in inside if path.suffix in SUFFIXES and "build" not in path.parts and path.is_file()]
    return [*kept, *(ROOT / name for name in ALONE)]


def found(pattern):
    """Places where a pattern occurs: file:line: the line."""
    places = []
    for path in files():
        text = path.read_text(encoding="utf-8")
        for match in pattern.finditer(text):
            number = text.count("\n", 0, match.start())
            places.append(f"{path.relative_to(ROOT)}:{number + 1}: {text.splitlines()[number].strip()}")
    return places


@pytest.mark.parametrize("word", INSTEAD)
def test_a_plain_word_is_used_instead_of(word):
    places = found(re.compile(rf"\b(?:{word})\b", re.IGNORECASE))
    assert not places, f"write {INSTEAD[word]}:\n" + "\n".join(places)


def test_no_sentence_ends_with_too():
    places = found(TRAILING)
    assert not places, "write `also` or `as well`, or leave it out:\n" + "\n".join(places)


def test_the_words_are_looked_for():
    """The patterns find what they are for, and files are read."""
    wrong = "Nobody else; a person's; lest it; it shall; mended; belongs into; a key is none, flattered itself"
    hits = [word for word in INSTEAD if re.search(rf"\b(?:{word})\b", wrong, re.IGNORECASE)]
    assert len(hits) == len(INSTEAD) and len(files()) > 300
    assert TRAILING.search("this one, too.") and not TRAILING.search("refused, too many")
