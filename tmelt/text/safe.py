"""Make text from outside (servers, models, files) safe to show, in a terminal, in HTML and in a spreadsheet.

What is unsafe differs: a terminal obeys control characters, a page obeys markup, and both are deceived by characters
that reverse the direction of writing. A spreadsheet takes a cell of text for a formula by its first character.
"""

import unicodedata

from markupsafe import Markup, escape

_LONGEST = 300
_FORMULA = tuple("=+-@＝＋－＠|%")  # the wide ones are read alike; the last two begin commands of older programs
# Control characters, characters without a glyph that reorder or hide text, halves of characters, private ones.
_UNSAFE = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


def for_terminal(text: str) -> str:
    """Return `text` with every character that a terminal might obey, or that hides text, replaced by its escape."""
    return "".join(
        letter if letter in "\n\t" or unicodedata.category(letter) not in _UNSAFE else _escape(letter)
        for letter in text
    )


def one_line(text: object, longest: int = _LONGEST) -> str:
    """Return a text as one line for a terminal, a log or a record, of at most `longest` characters."""
    line = for_terminal(" ".join(str(text)[: 20 * longest].split()))
    return line if len(line) <= longest else f"{line[:longest]}…"


def for_html(text: str) -> Markup:
    """Return `text` as the content of an HTML element or of a quoted attribute; Markup passes as it is."""
    return text if isinstance(text, Markup) else escape(for_terminal(text))


def for_spreadsheet(text: str) -> str:
    """Return `text` as a cell that a spreadsheet takes for text: one that could be a formula gets an apostrophe."""
    safe = for_terminal(text)
    return f"'{safe}" if safe.lstrip()[:1] in _FORMULA or text[:1] in ("\t", "\r", "\n") else safe


def _escape(letter: str) -> str:
    code = ord(letter)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
