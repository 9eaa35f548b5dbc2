"""Where the workflow's files are, and the command line that runs a study with them."""

import sys
from collections.abc import Sequence
from pathlib import Path

from tmelt.errors import InputError
from tmelt.study.identity import PACKAGE

PROFILE = "profiles/default"
_PARTS = ("Snakefile", "rules", "scripts", PROFILE)


def workflow_folder() -> Path:
    """Return the folder with the Snakefile, rules, scripts and profiles that belong to this package.

    It is the checkout around the package, or share/tmelt below the prefix that a wheel was installed to.

    Raises:
        InputError: the package was installed without them.
    """
    installed = PACKAGE.parents[3] / "share" / "tmelt" if len(PACKAGE.parents) > 3 else PACKAGE.parent
    for folder in (PACKAGE.parent, installed):
        if all((folder / part).exists() for part in _PARTS):
            return folder
    raise InputError(
        f"{PACKAGE}: this installation has no Snakefile beside it or in {installed}; clone the repository and run"
        " `pip install -e .` there"
    )


def snakemake_arguments(config: Path, source: Path | None, profile: str | None, further: Sequence[str]) -> list[str]:
    """Return Snakemake's arguments for a study in the working directory.

    Args:
        config: the study's config file.
        source: a table in place of the config's `design.data.source`.
        profile: a profile of Snakemake, by its folder; by default the one for this machine.
        further: arguments of Snakemake that the caller adds; they win over ours.
    """
    folder = workflow_folder()
    words = ["--snakefile", str(folder / "Snakefile"), "--configfile", str(config)]
    if source is not None:
        words += ["--config", f"source={source}"]
    chosen = _profile(folder, profile)
    # The terminal shows trials; the log is to have the rules as well.
    return [*words, "--profile", chosen, "--quiet", "host", *further]


def _profile(folder: Path, name: str | None) -> str:
    """A profile's folder: as given where it exists, else one of the workflow's own."""
    if name is None:
        return str(folder / PROFILE)
    for place in (Path(name), folder / name, folder / "profiles" / name):
        if (place / "config.yaml").is_file():
            return str(place)
    known = ", ".join(sorted(path.parent.name for path in (folder / "profiles").glob("*/config.yaml")))
    raise InputError(f"--profile: {name}: no folder with a config.yaml; expected a path, or one of {known}")


def is_local(profile: str | None, further: Sequence[str]) -> bool:
    """Return whether the jobs run on this machine."""
    elsewhere = any(word.split("=")[0] in ("--executor", "-e") for word in further)
    return not elsewhere and (profile is None or Path(profile).name == Path(PROFILE).name)


def study_command(config: Path, source: Path | None, arguments: Sequence[str], feed: str | None = None) -> list[str]:
    """Return the command line of the process that runs Snakemake and shows its trials (tmelt.front.run)."""
    # -P: a file of the working directory is not to stand in for a module.
    told = [str(config), str(source or ""), feed or ""]
    return [sys.executable, "-P", "-m", "tmelt.front.run", *told, *arguments]
