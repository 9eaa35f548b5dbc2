"""What the evidence needs from results/{study}/protocol.json."""

from pathlib import Path
from typing import Any

from tmelt.errors import InputError
from tmelt.files import read_json
from tmelt.knobs import KnobError, Space, knobs_from_table


def read_space(protocol: Path) -> Space:
    """The study's knobs.

    Raises:
        InputError: no protocol, or one without knobs.
    """
    try:
        return Space(knobs_from_table(read_json(protocol)["design"]["knobs"]))
    except (KeyError, TypeError, KnobError) as error:
        raise InputError(f"{protocol}: no readable knob table under design.knobs ({error})") from None


def read_data_facts(protocol: Path) -> dict[str, Any]:
    """data.json as the protocol keeps it: counts, split, and for synthetic data the generator's own limits."""
    try:
        return dict(read_json(protocol)["data"])
    except (KeyError, TypeError) as error:
        raise InputError(f"{protocol}: no facts about the data ({error})") from None


def read_reference(protocol: Path) -> str:
    """SHA-256 of the reference training script."""
    try:
        return str(read_json(protocol)["reference_sha256"])
    except (KeyError, TypeError) as error:
        raise InputError(f"{protocol}: no hash of the reference script ({error})") from None
