"""A study's LLM transcripts as one archive, from which another study can take its replies (`replay_from`)."""

import zipfile
from pathlib import Path

from tmelt.errors import InputError
from tmelt.llm.replay_source import ReplaySource
from tmelt.storage.files import atomic_path

_TIME = (1980, 1, 1, 0, 0, 0)  # the same study gives the same bytes


def export_transcripts(study: Path, output: Path) -> list[Path]:
    """Write `output`/{study}_transcripts.zip with what tmelt.llm.replay_source lists.

    Args:
        study: folder of the study.
        output: folder for the archive.

    Returns:
        the archive.

    Raises:
        InputError: no study, or one without a recorded call.
    """
    if not (study / "protocol.json").is_file():
        raise InputError(f"{study}: no study here (protocol.json is missing); give results/NAME")
    source = ReplaySource(study)
    if not source.trials:
        raise InputError(f"{study}: no LLM call is recorded here; there is nothing to replay")
    target = output / f"{study.resolve().name}_transcripts.zip"
    with (
        atomic_path(target) as temporary,
        zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive,
    ):
        for name in source.names:
            archive.writestr(zipfile.ZipInfo(name, _TIME), source.read(name), zipfile.ZIP_DEFLATED)
    return [target]
