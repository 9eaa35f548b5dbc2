"""Probe a model before its first paid trial: how it and its server want to be asked.

Reads   nothing but the settings; in a replay the transcripts of an earlier probe, with
        replay_from those of another study
Writes  dialect.json; {question}-{form}/NN.json for every call
"""

import json
from pathlib import Path

from pydantic import ValidationError

from tmelt.command import run_command
from tmelt.errors import InputError, first_complaint
from tmelt.llm import LLMSettings
from tmelt.llm.probe import probe_model as probe
from tmelt.llm.replay_source import ReplaySource


def probe_model(
    *, settings: str, longest_prompt: int, replay: str, dialect: Path, replay_from: Path | None = None
) -> None:
    """Write the dialect of the model that `settings` (a strategy's options as JSON) names."""
    options = json.loads(settings)
    chosen = {key: value for key, value in options.items() if key in LLMSettings.model_fields}
    try:
        checked = LLMSettings.model_validate(chosen)
    except ValidationError as error:
        raise InputError(f"config: {first_complaint(error, 'extent', 'strategies')}") from None
    if replay_from is not None:
        ReplaySource(replay_from).copy_probe(dialect.parent)
        replay = "strict"
    probe(checked, longest_prompt, dialect.parent, replay)


if __name__ == "__main__":
    run_command(probe_model)
