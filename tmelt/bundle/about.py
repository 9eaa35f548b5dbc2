"""Schema of bundle.json; the reader sets the bounds.

A bundle comes from an untrusted author. Matching hashes do not make it trustworthy: an author who changes the content
can change the hashes as well.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from tmelt.bundle.facts import SYNTHETIC, UNTRAINED
from tmelt.errors import InputError, first_complaint
from tmelt.study.config import Budget
from tmelt.study.group import ORGANISMS
from tmelt.study.target import TM
from tmelt.text.safe import one_line

Count = Annotated[int, Field(ge=0, le=10**12)]
Number = Annotated[float, Field(allow_inf_nan=False, ge=-1e6, le=1e6)]
Sha256 = Annotated[str, StringConstraints(pattern="^[0-9a-f]{64}$")]
Line = Annotated[str, StringConstraints(max_length=2000)]
Word = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.:/+@ -]{0,199}$")]
# Beyond any that a study has; a script's own limits are the reader's (`predict --seconds`, this machine's memory).
_WEEK_S = 7 * 24 * 3600


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class _Budget(Budget):
    model_config = ConfigDict(extra="forbid", frozen=True)
    fit_s: float = Field(gt=0, le=_WEEK_S)
    predict_s: float = Field(gt=0, le=_WEEK_S)
    wall_factor: float = Field(ge=1, le=1000)
    memory_mb: int = Field(ge=500, le=10**7)
    disk_mb: int = Field(ge=10, le=10**6)
    processes: int = Field(ge=4, le=10**5)


class _Backbone(_Part):
    name: Word
    weights: Literal["download", "random", "file", "imported"]
    file: Annotated[str, StringConstraints(max_length=255)] | None
    seed: Count
    torch: Word
    weights_sha256: Sha256
    untrained: bool
    released: bool
    layer: int = Field(ge=0, le=1000)
    width: int = Field(ge=1, le=100_000)
    precision: Literal["fp32", "bf16", "imported"]
    per_protein: bool
    tokens: int = Field(ge=512, le=1 << 20)


class _Harness(_Part):
    device: Literal["cpu", "cuda"]
    precision: Literal["fp32", "bf16"]
    threads: int = Field(ge=1, le=1024)
    budget: _Budget
    sequences: Literal["none", "fit", "all"]
    pool_residues: Count


class _Target(_Part):
    name: Annotated[str, StringConstraints(min_length=1, max_length=60)] = TM.name
    symbol: Annotated[str, StringConstraints(min_length=1, max_length=60)] = TM.symbol
    unit: Annotated[str, StringConstraints(max_length=20)] = TM.unit
    higher_is: Annotated[str, StringConstraints(max_length=60)] | None = None
    plausible: Annotated[list[Number], Field(min_length=2, max_length=2)] = list(TM.plausible)


class _Group(_Part):
    name: Annotated[str, StringConstraints(min_length=1, max_length=40)] = ORGANISMS.name
    plural: Annotated[str, StringConstraints(min_length=1, max_length=41)] = ORGANISMS.plural


class _Training(_Part):
    data: Word
    description: Line
    dataset: Word
    proteins: dict[Literal["fit", "stop", "val", "select", "test"], Count]
    length: Annotated[list[Count], Field(min_length=2, max_length=2)]
    tm: Annotated[list[Number], Field(min_length=2, max_length=2)]
    tm_median: Number
    organisms: Annotated[dict[Line, Count], Field(max_length=100_000)]
    nonstandard: Literal["drop", "mask", "stop"]


class _Search(_Part):
    strategy: Word
    kind: Word
    model: Annotated[str, StringConstraints(max_length=300)] | None
    trajectory: Count
    iteration: Count
    origin: Word
    proposal: Annotated[str, StringConstraints(max_length=1 << 20)]  # JSON
    parameter_count: Count | None


class _Winner(_Part):
    candidate: Word
    baseline: bool
    searches: Annotated[list[_Search], Field(max_length=10_000)]
    script_sha256: Sha256
    reference_script: bool


class _PassedOver(_Part):
    candidate: Word
    select_mae: Number
    fault: Line


class _Errors(_Part):
    seeds: Count
    val_mae: Number
    val_low: Number | None
    val_high: Number | None
    test_mae: Number
    test_low: Number | None
    test_high: Number | None


class _WinnersErrors(_Errors):
    test_ensemble_mae: Number


class _Floor(_Part):
    label: Line
    kind: Word
    val_mae: Number | None
    test_mae: Number | None
    low: Number | None
    high: Number | None


class _Coverage(_Part):
    level: float = Field(gt=0, lt=1)
    half_width: Number
    test_coverage: float = Field(ge=0, le=1)


class _Endpoint(_Part):
    metric: Word
    value: Number | None
    low: Number | None
    high: Number | None
    proteins: Count
    positives: Count
    threshold: Number | None
    top: float = Field(gt=0, lt=1)


class _Measured(_Part):
    winner: _WinnersErrors
    baseline: _Errors | None
    floors: Annotated[list[_Floor], Field(max_length=1000)]
    test_proteins: Count
    coverage: Annotated[list[_Coverage], Field(max_length=100)]
    endpoints: Annotated[list[_Endpoint], Field(max_length=100)] = []


class _Software(_Part):
    model_config = ConfigDict(extra="allow", frozen=True)
    python: Word
    packages: Annotated[dict[Word, Word], Field(max_length=1000)]


Knob = bool | int | Number | Annotated[str, StringConstraints(max_length=1000)] | None


class About(_Part):
    """All of bundle.json."""

    format: int
    sha256: Sha256
    members: dict[Annotated[str, StringConstraints(max_length=1000)], Sha256]
    study: Word
    title: Line
    protocol_sha256: Sha256
    revisions: Count
    labels: list[Literal[SYNTHETIC, UNTRAINED]]  # type: ignore[valid-type]
    passed_over: Annotated[list[_PassedOver], Field(max_length=10_000)]
    winner: _Winner
    knobs: Annotated[
        dict[Annotated[str, StringConstraints(pattern=r"^[A-Za-z_]\w{0,99}$")], Knob], Field(max_length=500)
    ]
    seeds: Annotated[list[Annotated[int, Field(ge=0, lt=1 << 63)]], Field(min_length=1, max_length=1000)]
    backbone: _Backbone
    harness: _Harness
    target: _Target = _Target()  # bundles of before targets had a name predict the melting temperature
    group: _Group = _Group()
    training: _Training
    measured: _Measured
    software: _Software

    @model_validator(mode="after")
    def _fits_together(self) -> "About":
        if len(set(self.seeds)) != len(self.seeds):
            raise ValueError("seeds: a seed comes twice")
        if self.backbone.untrained != (UNTRAINED in self.labels) or self.backbone.untrained != (
            self.backbone.weights == "random"
        ):
            raise ValueError("labels: they do not say what `backbone` says of its weights")
        for low, high, key in ((*self.training.length, "length"), (*self.training.tm, "tm")):
            if low > high:
                raise ValueError(f"training.{key}: the first number is above the second")
        return self


def check_about(raw: Mapping[str, Any], path: object) -> None:
    """Refuse what no bundle says.

    Args:
        raw: bundle.json.
        path: of the bundle, for the message.

    Raises:
        InputError: the first key that is missing, unknown or beyond its bounds.
    """
    try:
        About.model_validate(raw)
    except ValidationError as error:
        raise InputError(
            f"{path}: bundle.json: {one_line(first_complaint(error))}; copy the bundle again from its study"
        ) from None
