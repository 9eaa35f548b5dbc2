"""Pages that are Markdown files elsewhere in the repository, and links between files as links between pages.

A page is written as it reads best in the repository: links are relative paths of files. In the site a link to a file
that is a page becomes a link to that page, and a link to any other file of the repository becomes its path as text.
"""

import posixpath
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCS = "docs"

# Files of the repository that are pages of the site as well.
PAGES = {
    "profiles/slurm/README.md": "slurm.md",
    "config/README.md": "reference/configuration.md",
    "tmelt/candidate/CONTRACT.md": "reference/contract.md",
    "tests/chaos/README.md": "faults.md",
    "benchmarks/README.md": "benchmarks.md",
    "examples/hill_climb/README.md": "extend/package.md",
    "CONTRIBUTING.md": "extend/contributing.md",
    "CHANGELOG.md": "changelog.md",
    "SECURITY.md": "security.md",
}
_LINK = re.compile(r"(?<!!)\[(?P<text>[^\]\[]+)\]\((?P<target>[^)\s#]+)(?P<fragment>#[^)\s]*)?\)")


def page_text(source: str) -> str:
    """Return the Markdown of a repository file that is a page."""
    return (ROOT / source).read_text(encoding="utf-8")


def with_page_links(text: str, page: str) -> str:
    """Return a page's Markdown with links to files of the repository as links to pages, or as plain paths.

    Args:
        text: the Markdown, with links relative to its file in the repository.
        page: where the page is in the site, such as `reference/contract.md`.
    """
    source = next((file for file, name in PAGES.items() if name == page), f"{DOCS}/{page}")

    def replaced(link: re.Match[str]) -> str:
        target = link["target"]
        if re.match(r"[a-z]+:", target):
            return link[0]
        file = posixpath.normpath(posixpath.join(posixpath.dirname(source), target))
        if file in PAGES:
            to = posixpath.relpath(PAGES[file], posixpath.dirname(page) or ".")
            return f"[{link['text']}]({to}{link['fragment'] or ''})"
        if file.startswith(f"{DOCS}/"):
            to = posixpath.relpath(file.removeprefix(f"{DOCS}/"), posixpath.dirname(page) or ".")
            return f"[{link['text']}]({to}{link['fragment'] or ''})"
        if (ROOT / file).exists():
            return link["text"] if link["text"].strip("`") == file else f"{link['text']} (`{file}`)"
        return link[0]

    parts = re.split(r"(^```.*?^```$)", text, flags=re.MULTILINE | re.DOTALL)
    return "".join(part if part.startswith("```") else _LINK.sub(replaced, part) for part in parts)
