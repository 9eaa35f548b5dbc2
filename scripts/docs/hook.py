"""MkDocs' hooks for the documentation: generated pages, pages from elsewhere in the repository, the sample report."""

import os
import sys
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(HERE), str(ROOT)]

import reference  # noqa: E402  (needs the path)
import repository  # noqa: E402
import sample  # noqa: E402


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Add the pages and files that are not in docs/."""
    for name, page in reference.PAGES.items():
        files.append(File.generated(config, name, content=page()))
    for source, name in repository.PAGES.items():
        files.append(File.generated(config, name, content=repository.page_text(source)))
    for name, path in sample.files(os.environ.get("TMELT_SAMPLE_REPORT")).items():
        files.append(File.generated(config, name, abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, *, page: Page, **_: Any) -> str:
    """Turn links to files of the repository into links to pages."""
    return repository.with_page_links(markdown, page.file.src_uri)
