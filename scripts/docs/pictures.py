"""Make the pictures of README.md and of docs/ from the sample report, after a change of its look.

    python scripts/docs/pictures.py

Writes docs/images/incumbents.svg, a figure of the sample report under a line that says that its study is simulated, and
docs/images/report-1280.png, the top of the report. The second needs Chromium.
"""

import re
import sys
import tempfile
from pathlib import Path

import sample

ROOT = Path(__file__).resolve().parents[2]
IMAGES = ROOT / "docs" / "images"
NOTE = "Sample: simulated study, not a result. Error of the best candidate so far."
NOTE_HEIGHT = 22  # pixels


def noted(svg: str, note: str) -> str:
    """Return a figure with a line of text above it, on white, so that it can be read on a dark page.

    Args:
        svg: the figure as the report writes it, with its size in the first element.
        note: the line.
    """
    head = re.match(r'<svg [^>]*width="(\d+)" height="(\d+)" viewBox="0 0 \1 \2">', svg)
    if head is None:
        raise ValueError("the figure does not begin with its size")
    width, height = int(head[1]), int(head[2]) + NOTE_HEIGHT
    opened = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}">'
    )
    text = f'<text x="6" y="15" font-family="sans-serif" font-size="11" font-weight="bold" fill="#8a5a00">{note}</text>'
    below = f'<g transform="translate(0,{NOTE_HEIGHT})">{svg}</g>'
    return f'{opened}<rect width="100%" height="100%" fill="#fff"/>{text}{below}</svg>\n'


def main() -> None:
    """Write the pictures."""
    files = sample.files(None)
    figure = files["sample/incumbents_trials.svg"].read_text(encoding="utf-8")
    (IMAGES / "incumbents.svg").write_text(noted(figure, NOTE), encoding="utf-8")
    sys.path.insert(0, str(ROOT / "tests"))
    from browser import Browser

    with tempfile.TemporaryDirectory() as profile:
        browser = Browser(Path(profile))
        browser.open(files["sample/report.html"], width=1280, height=760)
        browser.screenshot(IMAGES / "report-1280.png")
        browser.close()


if __name__ == "__main__":
    main()
