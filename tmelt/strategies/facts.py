"""What a strategy may know about the task: never a label of val, select or test, never a score of select or test."""

from typing import Any

from tmelt.protocol_record import Protocol


def facts_of(protocol: Protocol) -> dict[str, Any]:
    """Data, embedding and budget of a study, from its protocol, for an agent's prompt."""
    data, embedding, design = protocol.data, protocol.measured.embedding, protocol.design
    return {
        "objective": "mean over training seeds of the validation MAE in °C; lower is better",
        "proteins": data.splits,
        "data": data.description,
        "embedding": {key: getattr(embedding, key) for key in ("backbone", "width", "layer", "untrained")},
        "budget": design.budget,
        "clock of the budget": "wall-clock time" if design.device == "cuda" else "CPU time per granted thread",
        "sequences": design.sequences,
        "precision": design.precision,
        "device": design.device,
    }
