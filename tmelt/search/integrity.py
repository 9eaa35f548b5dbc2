"""The integrity label of a trial: what its script looks like and how its runs ended, as one word.

There is no label for decoding the validation labels from many scores: each of its trials is a clean script, and what
shows is a whole search whose gain does not carry over to `select` (tmelt.evidence.optimism).

The script is read, not run. Size bounds the time: a script has at most 100 kB, and its syntax tree is walked once.
"""

import ast
import re

LABELS = ("clean", "table_like", "timed_out", "not_row_wise", "tampered")

# A table of labels needs a few numbers, or a few bytes, for each protein that it is to help with.
LITERALS_MAX = 200  # elements of one list, tuple, set or dict
CHARACTERS_MAX = 2000  # of one string or bytes literal that is no docstring
_SEQUENCE = re.compile(r"[ACDEFGHIKLMNPQRSTVWY]{12,}")
_DIGESTS = {"hashlib", "sha1", "sha256", "sha512", "md5", "blake2b", "blake2s", "crc32", "adler32"}


def integrity_of(status: str, reason: str | None, script: str) -> str:
    """The label of a trial: `tampered`, `not_row_wise`, `timed_out`, `table_like` or `clean`."""
    if status == "tamper":
        return "tampered"
    if reason == "not_row_wise":
        return "not_row_wise"
    if status == "timeout" or reason == "predict_timeout":
        return "timed_out"
    return "table_like" if table_signs(script) else "clean"


def table_signs(script: str) -> list[str]:
    """What makes a script look as if it recognised proteins instead of predicting them; empty for most scripts."""
    try:
        tree = ast.parse(script)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []
    prose = _docstrings(tree)
    largest = longest = sequences = 0
    digests = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.List | ast.Tuple | ast.Set):
            largest = max(largest, len(node.elts))
        elif isinstance(node, ast.Dict):
            largest = max(largest, len(node.keys))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str | bytes) and id(node) not in prose:
            longest = max(longest, len(node.value))
            text = node.value if isinstance(node.value, str) else node.value.decode("latin-1")
            sequences += len([found for found in _SEQUENCE.findall(text) if found != "ACDEFGHIKLMNPQRSTVWY"])
        elif isinstance(node, ast.Name):
            digests |= _DIGESTS & {node.id}
        elif isinstance(node, ast.Attribute):
            digests |= _DIGESTS & {node.attr}
        elif isinstance(node, ast.alias):
            digests |= _DIGESTS & set(node.name.split("."))
    signs = []
    if largest > LITERALS_MAX:
        signs.append(f"a literal of {largest} elements")
    if longest > CHARACTERS_MAX:
        signs.append(f"a string of {longest} characters")
    if sequences:
        signs.append(f"strings that look like amino-acid sequences: {sequences}")
    if digests:
        signs.append(f"hashing: {', '.join(sorted(digests))}")
    return signs


def _docstrings(tree: ast.Module) -> set[int]:
    """The nodes of strings that stand alone as statements."""
    return {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
