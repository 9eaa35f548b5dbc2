"""The forms of `tmelt export`, by name: a study's searches as they are at the moment."""

from collections.abc import Callable
from pathlib import Path

from tmelt.errors import InputError
from tmelt.study.results import Study, read_study


def export_form(form: str, study: Path, output: Path | None) -> list[Path]:
    """Write the searches of the study in folder `study`; return what was written.

    Args:
        form: a key of FORMS.
        study: results/{study}; it may still be running.
        output: folder to write to; by default one in the study's export/.

    Raises:
        InputError: an unknown form, no study, no trial yet, or a folder that cannot be written.
    """
    if form not in FORMS:
        raise InputError(f"export: no form {form!r}; expected one of {', '.join(FORMS)}")
    write, name = FORMS[form]
    try:
        return write(study, output or study / "export" / name)
    except (PermissionError, FileExistsError, NotADirectoryError) as error:
        raise InputError(f"--output: {error.filename}: cannot be written ({error.strerror or error})") from None


def _git(folder: Path, output: Path) -> list[Path]:
    from tmelt.export.git_history import export_git

    return export_git(folder, output)


def _transcripts(folder: Path, output: Path) -> list[Path]:
    from tmelt.export.transcripts import export_transcripts

    return export_transcripts(folder, output)


def _csv(folder: Path, output: Path) -> list[Path]:
    from tmelt.export.csv_tables import write_csv

    write_csv(_begun(folder).trials, output / "trials.csv")
    return [output / "trials.csv"]


def _optuna(folder: Path, output: Path) -> list[Path]:
    from tmelt.export.optuna_storage import export_optuna

    study = _begun(folder)
    export_optuna(study.trials, study.runs, study.protocol, output / "optuna.db")
    return [output / "optuna.db"]


def _begun(folder: Path) -> Study:
    study = read_study(folder)
    if not study.searches:
        raise InputError(f"{folder}: no trial yet; try again later")
    return study


# What writes each form, and the folder below export/ that it goes to unless another is named.
FORMS: dict[str, tuple[Callable[[Path, Path], list[Path]], str]] = {
    "git": (_git, "git"),
    "csv": (_csv, "interim"),
    "optuna": (_optuna, "interim"),
    "transcripts": (_transcripts, "transcripts"),
}
