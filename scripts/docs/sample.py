"""The sample report of the site: page and figures of a small simulated study, made by the project's own code."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def files(folder: str | None) -> dict[str, Path]:
    """Return the files of the sample report by their place in the site.

    Args:
        folder: with report.html and figures/; None to draw them here, which takes a minute the first time.
    """
    report = Path(folder) if folder else _drawn()
    figures = {f"sample/{path.name}": path for path in sorted((report / "figures").glob("*.svg"))}
    return {"sample/report.html": report / "report.html", **figures}


def _drawn() -> Path:
    command = [sys.executable, str(ROOT / "tests" / "report" / "draw.py")]
    printed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return Path(printed.strip().splitlines()[-1]).parent
