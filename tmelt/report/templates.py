"""Jinja's settings for every page of the project."""

from pathlib import Path

import jinja2

from tmelt.text.safe import for_html


def page_environment(folder: Path) -> jinja2.Environment:
    """Return an environment for the templates in `folder`, in which no text of a study can become markup.

    Text is escaped, and characters that reorder or hide others are made visible. A missing name is an error.
    """
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder),
        autoescape=True,
        finalize=lambda value: for_html(value) if isinstance(value, str) else value,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
