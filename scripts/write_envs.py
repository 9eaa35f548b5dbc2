"""Make the conda environment and the Apptainer definition from the one list of pins, requirements.lock.

    python scripts/write_envs.py            # writes envs/tmelt.yaml and envs/apptainer.def

A test fails when they drift from the lock.
"""

from pathlib import Path

from tmelt.command import run_command
from tmelt.storage.files import write_text

ROOT = Path(__file__).resolve().parents[1]
PYTHON = "3.11"
# What a wheel is made from: the package, and the workflow as its data files.
PACKAGED = (
    "pyproject.toml", "README.md", "tmelt", "Snakefile", "config.yaml", "rules", "scripts", "profiles", "envs",
    "report", "studies",
)  # fmt: skip


def environment(lock: list[str]) -> str:
    """The conda environment: Python and pip from conda, everything else by its pin through pip."""
    pins = "\n".join(f"      - {pin}" for pin in lock)
    return (
        "# Made from requirements.lock by scripts/write_envs.py; edit that, not this.\n"
        "channels:\n  - conda-forge\n"
        f"dependencies:\n  - python ={PYTHON}\n  - pip\n  - pip:\n{pins}\n"
    )


def definition(lock: list[str]) -> str:
    """The Apptainer image: what a candidate needs, or a whole study on a cluster."""
    pins = " \\\n        ".join(f"'{pin}'" for pin in lock)
    files = "".join(f"    {name} /opt/tmelt/{name}\n" for name in PACKAGED)
    return (
        "# Made from requirements.lock by scripts/write_envs.py; edit that, not this.\n"
        "#     apptainer build tmelt.sif envs/apptainer.def      (from the project's folder)\n"
        f"Bootstrap: docker\nFrom: python:{PYTHON}-slim\n\n"
        f"%files\n{files}\n"
        f"%post\n    pip install --no-cache-dir \\\n        {pins}\n"
        "    pip install --no-cache-dir --no-deps /opt/tmelt\n\n"
        '%runscript\n    exec python "$@"\n'
    )


def write_envs(*, folder: Path = ROOT / "envs") -> None:
    """Write both files."""
    lock = [line for line in (ROOT / "requirements.lock").read_text().splitlines() if line and line[0] != "#"]
    write_text(folder / "tmelt.yaml", environment(lock))
    write_text(folder / "apptainer.def", definition(lock))


if __name__ == "__main__":
    run_command(write_envs)
