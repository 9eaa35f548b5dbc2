"""Complete records of a study that was never run: protocol, data and embedding, with the fields that a test changes."""

from tmelt.embed.record import EmbeddingRecord, ViewRecord
from tmelt.proteins.record import DataRecord
from tmelt.search.decision import Rule
from tmelt.search.knobs import Space
from tmelt.storage.records import from_json
from tmelt.storage.schema import HIDDEN
from tmelt.study.config import Budget
from tmelt.study.protocol_record import (
    Environment,
    MeasuredInputs,
    Protocol,
    ProtocolVersion,
    RegisteredHypothesis,
    Revision,
    StudyDesign,
)

BUDGET = Budget(fit_s=30, predict_s=10).model_dump(mode="json")


def hypothesis(**changes) -> RegisteredHypothesis:
    """Ten searches of ua and bo each, in one look."""
    asked = {"a": "ua", "b": "bo", "metric": "test_mae", "effect": 0.5, "searches": 10, "looks": [10]}
    return from_json(RegisteredHypothesis, asked | changes)


def data_record(**changes) -> DataRecord:
    """Synthetic proteins."""
    fields = {
        "name": "small", "description": "100 simulated proteins", "source": "synthetic", "synthetic": True, "files": {},
        "rows": 100, "proteins": 100, "residues": 6000, "longest": 80, "splits": {"fit": 60, "test": 40},
        "organisms": {}, "split": {"method": "cluster"}, "shuffled_labels": False, "generator": None,
    }  # fmt: skip
    return DataRecord(**(fields | changes))


def embedding_record(**changes) -> EmbeddingRecord:
    """An untrained backbone's."""
    fields = {
        "backbone": "tiny", "id": "tiny-0", "weights_sha256": "e" * 64, "untrained": True, "released": False,
        "layer": 2, "width": 16, "precision": "fp32", "device": "cpu", "tokens": 4096, "per_protein": False,
        "proteins": {"fit": 60, "test": 40}, "decoys": 6, "beyond_crop": 0, "tables": {},
        "views": {"fit": ViewRecord(60, 3600, 115_200, {"tm.npy": "b" * 64})},
    }  # fmt: skip
    return EmbeddingRecord(**(fields | changes))


def design(**changes) -> StudyDesign:
    """A design on CPUs with the published baseline; its hashes are made up."""
    fields = {
        "dataset": "small-0", "backbone": "tiny-0", "budget": BUDGET, "decision": Rule(1.8, 0.5), "precision": "fp32",
        "device": "cpu", "sequences": "none", "sandbox": "auto", "sandbox_image": None, "threads": 1,
        "baseline": "published", "knobs": tuple(Space().table()), "code": {},
    }  # fmt: skip
    return StudyDesign(**(fields | changes))


def protocol(**changes) -> Protocol:
    """A protocol whose hashes are made up."""
    fields = {
        "study": "small", "title": "Small study", "design": design(), "hypothesis": None,
        "measured": MeasuredInputs(dict.fromkeys(HIDDEN, "1" * 64), "2" * 64, embedding_record()),
        "data": data_record(), "reference_sha256": "a" * 64, "reference_lines": 200, "sha256": "5" * 64,
        "environment": Environment("3.11", {"torch": "2"}, "Linux", "some processor", 2),
        "created": "2026-01-01T00:00:00Z", "revisions": (),
    }  # fmt: skip
    return Protocol(**(fields | changes))


def revision(*changes: str, openings: int = 0, **before) -> Revision:
    """A recorded change; `before` are fields of the version that it replaced."""
    version = {"design": design(), "hypothesis": None, "sha256": "4" * 64} | before
    return Revision("2026-02-03T00:00:00Z", changes, openings, ProtocolVersion(**version))
