"""Where a study stands: `make status`, or python scripts/show_status.py --config config.yaml

Reads   the config, results/{study}/, the names of Snakemake's notes of begun jobs
Writes  nothing
"""

from pathlib import Path

from tmelt.command import run_command
from tmelt.config import load_config
from tmelt.status import report


def show_status(*, config: Path, results: Path = Path("results")) -> None:
    """Print, per search: trials done, incumbent, what was spent, jobs begun and failed; then the estimated end."""
    print(report(load_config(config), results))


if __name__ == "__main__":
    run_command(show_status)
