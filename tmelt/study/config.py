"""The config file's shape: one strict model, whose fields and descriptions are the reference of every key.

`design` is what makes scores comparable (fingerprinted; a change stops the study), `extent` is how far the study goes
(it may only grow), `hypothesis` is the question that is registered before it starts, `evidence` is what is measured
after the searches, `runtime` is how and where. The last two are free,
but for `runtime.threads` and `runtime.embed_tokens`: they move the last digits of results, so they belong to the
fingerprint. Options of a strategy are not here: see `Strategy`.
"""

from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from tmelt.errors import InputError, first_complaint
from tmelt.study.group import Group
from tmelt.study.target import Target

NAME = r"^[a-z][a-z0-9_]*$"
# Names that no strategy may have: folders of a study beside those of its strategies, and trial 0 in tables and figures.
RESERVED = {
    "baseline", "bundle", "confirm", "evidence", "export", "external", "journal", "logs", "models", "report", "tables",
}  # fmt: skip
# The winners are retrained with seeds from here on, which no search uses.
FRESH_SEEDS = 1_000_000


class Part(BaseModel):
    """A part of the config: unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Synthetic(Part):
    """The project's own seeded generator of proteins."""

    proteins: int = Field(600, ge=60, description="number of proteins")
    organisms: int = Field(6, ge=2, le=13, description="number of organisms")
    length_median: int = Field(110, ge=40, description="median length in residues")
    length_max: int = Field(400, ge=60, description="longest protein in residues")
    seed: int = Field(0, ge=0)


class Columns(Part):
    """Names of the columns in the user's table; null for one that is not there.

    A column that is named here must be there. Those that are not named are searched for under the names that the field
    uses (`NAMES` of tmelt.proteins.columns), and several that fit stop the study.
    """

    protein_id: str | None = "protein_id"
    sequence: str | None = Field("sequence", description="null when `fasta` holds the sequences")
    tm: str = Field("tm", description="the labels, whatever the target; the same as `target.column`")
    organism: str | None = Field("organism", description="the groups, whatever they are; the same as `group.column`")
    split: str | None = "split"
    validation: str | None = Field("validation", description="True for proteins of train that are for validation")
    mutation: str | None = Field("mutation", description="such as A123G; it is applied to the sequence, and checked")
    parent: str | None = Field(
        None, description="what a variant is derived from; predictions are ranked among the variants of each parent"
    )


# A unit outside these bounds would be lost in rounding (scores have hundredths of it), or would itself be lost in noise
# that the harness takes for equal.
LEAST_WIDTH, LARGEST_WIDTH = 10.0, 250.0


class TargetSettings(Part):
    """The property that is predicted; by default the melting temperature in °C.

    Scores have hundredths of the unit: choose one in which labels spread over whole numbers, such as % for a share.
    """

    column: str | None = Field(None, min_length=1, description="of the table; the same as `columns.tm`")
    name: str = Field(Target.name, pattern=r"^[^\W\d_][\w (),./+-]{0,59}$", description="as it stands in sentences")
    symbol: str | None = Field(
        None, pattern=r"^[^\W\d_][\w (),./+-]{0,19}$", description="short, for axes; null: Tm, or the name"
    )
    unit: str = Field(Target.unit, pattern=r"^[\w %‰°/·.,^*⁰¹²³⁴⁵⁶⁷⁸⁹⁻()+-]{0,20}$", description="may be empty")
    higher_is: str | None = Field(
        None,
        pattern=r"^[\w ,-]{1,60}$",
        description="what a higher value means (more soluble), for prompts and the card",
    )
    plausible: tuple[float, float] = Field(
        (10.0, 120.0), description="least and largest value; others are dropped as absurd, and reported"
    )

    @model_validator(mode="after")
    def _sound(self) -> "TargetSettings":
        low, high = self.plausible
        if not low < high:
            raise ValueError(f"plausible: {low:g} is not below {high:g}")
        if not LEAST_WIDTH <= high - low <= LARGEST_WIDTH:
            raise ValueError(
                f"plausible: {low:g} to {high:g} is a range of {high - low:g}; expected {LEAST_WIDTH:g} to "
                f"{LARGEST_WIDTH:g}, because scores have hundredths: use another unit, such as % for a share of 1"
            )
        if not self.record.is_tm:
            for key in ("column", "unit", "plausible"):
                if key not in self.model_fields_set:
                    raise ValueError(f"{key}: needed for another property than the melting temperature in °C")
        return self

    @property
    def record(self) -> Target:
        """As every part of a study reads it."""
        symbol = self.symbol or (Target.symbol if self.name == Target.name else self.name)
        return Target(self.name, symbol, self.unit, self.higher_is, self.plausible)


class GroupSettings(Part):
    """What proteins are grouped by: predictions are ranked within groups, and each may be left out of training."""

    column: str | None = Field(None, min_length=1, description="of the table; the same as `columns.organism`")
    name: str = Field(Group.name, pattern=r"^[^\W\d_][\w -]{0,39}$", description="of one group, such as `family`")
    plural: str | None = Field(
        None, pattern=r"^[^\W\d_][\w -]{0,39}$", description="of several; null: the name with an s"
    )

    @property
    def record(self) -> Group:
        """As every part of a study reads it."""
        return Group(self.name, self.plural or f"{self.name}s")


class Labels(Part):
    """What is done with a label that is not one number; every such row is counted and listed."""

    uncertain: Literal["value", "drop", "stop"] = Field("value", description="`52.3 ± 0.4`, `44.3 (1.0)`, `~55`")
    ranged: Literal["midpoint", "drop", "stop"] = Field("midpoint", description="`55-57`")
    # Beyond the difference of two experiments on one protein (1 to 4 °C) a midpoint is not a measurement.
    range_max: float = Field(5.0, gt=0, description="in the target's unit; a wider range is dropped")
    censored: Literal["drop", "bound", "stop"] = Field("drop", description="`> 95`: drop it, or take 95")
    mismatched: Literal["stop", "drop"] = Field("stop", description="a mutation that does not fit the wild type")


AuditCheck = Literal[
    "repeats", "spread", "values", "tied", "censored", "organism_labels", "lengths", "organisms", "conditions", "leak"
]


class Audit(Part):
    """When the labels of a table stop a study, or give a caution on its page (tmelt.proteins.audit).

    A share is one of proteins unless it says otherwise. Standard deviations are in the target's unit; their defaults
    are those of melting temperatures in °C, and for another target in proportion to its plausible range.
    """

    # The noisiest of the experiments behind the Meltome Atlas: standard deviations were 1.2 to 4.3 °C.
    noise_sd: float = Field(4.3, gt=0, description="of repeats of one sequence; beyond it they disagree")
    # Of repeats with this noise 1 % disagree; a tenth is another cause: mutants, mixed conditions, mixed units.
    repeats_stop: float = Field(0.1, ge=0, le=1, description="share of repeated proteins that disagree")
    # Within one organism proteins have a standard deviation of 3.0 to 5.8 °C; good experiments repeat to 1 °C.
    spread_stop: float = Field(1.0, ge=0, description="standard deviation of all labels")
    spread_caution: float = Field(2.0, ge=0, description="the same")
    organism_spread_stop: float = Field(0.5, ge=0, description="of labels within organisms: growth temperatures?")
    # Fewer values than these are classes or points of a curve, not measurements.
    values_stop: int = Field(2, ge=0, description="different labels, among 20 proteins or more")
    values_caution: int = Field(10, ge=0, description="the same")
    tied_caution: float = Field(
        0.05, ge=0, le=1, description="share with a value far more frequent than its neighbours"
    )
    tied_stop: float = Field(0.5, ge=0, le=1, description="the same")
    censored_caution: float = Field(0.05, ge=0, le=1, description="share of labels that are bounds (`> 95`)")
    censored_stop: float = Field(0.5, ge=0, le=1, description="the same")
    # Of natural proteins hardly 1 % have the most frequent length.
    lengths_caution: float = Field(0.2, ge=0, le=1, description="share with the most frequent length")
    cut_caution: float = Field(0.03, ge=0, le=1, description="share with exactly the largest length")
    ph_caution: float = Field(1.0, ge=0, description="range of pH among the rows, on which labels depend")
    # By the clusters of this project; a split made by mmseqs2 at 30 % identity has 4 % of such pairs.
    leak_caution: float = Field(0.1, ge=0, le=1, description="share of val and test with a homologue in train")
    leak_stop: float = Field(0.5, ge=0, le=1, description="the same; only for a split that the table gives")
    accept: tuple[AuditCheck, ...] = Field((), description="checks that give a caution where they would stop")


IN_UNITS = ("noise_sd", "spread_stop", "spread_caution", "organism_spread_stop")  # of Audit, in the target's unit


def is_range(allowed: Any) -> bool:
    """Whether a value of `where` is a range, that is two numbers."""
    return (
        isinstance(allowed, list)
        and len(allowed) == 2
        and all(isinstance(value, int | float) and not isinstance(value, bool) for value in allowed)
    )


# Keys of `Data` and `Columns` that only tables have: they are no part of the identity of synthetic proteins.
TABLE_KEYS = ("labels", "where", "audit")
TABLE_COLUMNS = ("validation", "mutation", "parent")


def _with_scaled_defaults(raw: dict[str, Any]) -> dict[str, Any]:
    """The raw `data` part of another target than Tm with defaults in proportion to the target's plausible range."""
    try:
        target = TargetSettings.model_validate(raw.get("target") or {}).record
    except ValidationError:
        return raw  # the field itself says what is wrong
    if target.is_tm:
        return raw
    scaled = {}
    for key, part, names in (("audit", Audit, IN_UNITS), ("labels", Labels, ("range_max",))):
        told = raw.get(key) or {}
        if isinstance(told, dict):
            scaled[key] = {
                name: float(f"{part.model_fields[name].default * target.scale:.3g}") for name in names
            } | told
    return {**raw, **scaled}


class Data(Part):
    """Where proteins and labels come from, and how they are cleaned and split."""

    name: str = Field(pattern=NAME, description="folder name under results/data/")
    source: str = Field(
        "synthetic", description="`synthetic`, or the path of a CSV, TSV or Parquet table, or FASTA with labels"
    )
    fasta: str | None = Field(None, description="FASTA with the sequences, joined on protein_id")
    target: TargetSettings = TargetSettings()
    group: GroupSettings | None = Field(GroupSettings(), description="null: the proteins have no groups")
    columns: Columns = Columns()
    labels: Labels = Labels()
    where: dict[str, Any] = Field(
        default_factory=dict,
        description="rows to keep, by column: `{pH: [6.5, 7.5], assay: DSC}`; two numbers are a range",
    )
    audit: Audit = Audit()
    synthetic: Synthetic = Synthetic()
    split: Literal["auto", "given", "cluster", "hash"] = Field(
        "auto", description="auto: the table's own split where it has one, else by sequence clusters"
    )
    split_fractions: tuple[float, float, float] = Field((0.7, 0.15, 0.15), description="train, val, test")
    stop_fraction: float = Field(0.1, gt=0, lt=0.5, description="share of train set aside for early stopping")
    select_fraction: float = Field(
        0.5, gt=0, lt=1, description="share of validation kept from every search; it chooses among last incumbents"
    )
    select_by: Literal["cluster", "hash"] = Field(
        "cluster", description="divide validation by sequence clusters, or, where there are too few, by hash"
    )
    split_seed: int = Field(0, ge=0)
    nonstandard: Literal["drop", "mask", "stop"] = Field(
        "mask", description="proteins with residues beyond the 20: drop them, write X for the residue, or stop"
    )
    length_min: int = Field(20, ge=1)
    length_max: int = Field(5000, ge=10, description="longer proteins are dropped, and reported")
    subset: int | None = Field(None, ge=60, description="a random part of this many proteins, for quick runs")
    shuffle_labels: bool = Field(
        False,
        description="impossible study, a control: labels change places within each split, so that nothing"
        " can be learnt from a sequence",
    )

    @model_validator(mode="before")
    @classmethod
    def _columns_of_labels_and_groups(cls, raw: Any) -> Any:
        """One place for the columns of labels and groups, `columns`, and one for the bounds of labels."""
        for key in ("tm_min", "tm_max"):
            if isinstance(raw, dict) and key in raw:
                raise ValueError(f"{key}: is no key any more; write target: {{plausible: [lowest, highest]}}")
        if not isinstance(raw, dict) or not isinstance(columns := raw.get("columns") or {}, dict):
            return raw
        for part, key in (("target", "tm"), ("group", "organism")):
            told = raw.get(part)
            name = told.get("column") if isinstance(told, dict) else None
            if part == "group" and part in raw and told is None:
                columns = {**columns, key: None}
            if not isinstance(name, str):
                continue
            if columns.get(key, name) != name:
                raise ValueError(
                    f"columns.{key}: {columns[key]!r}, but {part}.column is {name!r}; leave one of them out"
                )
            columns = {**columns, key: name}
        return _with_scaled_defaults({**raw, "columns": columns} if columns else raw)

    @property
    def groups(self) -> Group:
        """What the proteins are grouped by; without groups a word for what there is none of."""
        return Group("group", "groups") if self.group is None else self.group.record

    def column_key(self, key: str) -> str:
        """The config's key that names a column, for messages."""
        if key == "tm" and self.target.column is not None:
            return "design.data.target.column"
        if key == "organism" and self.group is not None and self.group.column is not None:
            return "design.data.group.column"
        return f"design.data.columns.{key}"

    @model_validator(mode="after")
    def _sound(self) -> "Data":
        if min(self.split_fractions) <= 0 or abs(sum(self.split_fractions) - 1) > 1e-6:
            raise ValueError(f"split_fractions: {list(self.split_fractions)}: three positive numbers that sum to 1")
        if self.length_min > self.length_max:
            raise ValueError(f"length_min {self.length_min} is above length_max {self.length_max}")
        for name, allowed in self.where.items():
            values = allowed if isinstance(allowed, list) else [allowed]
            if not values or not all(isinstance(value, str | int | float) for value in values):
                raise ValueError(f"where.{name}: expected a value, a list of values, or two numbers as a range")
            if is_range(allowed) and not allowed[0] <= allowed[1]:
                raise ValueError(f"where.{name}: {allowed}: the first number is above the second")
        if self.source == "synthetic" and self.where:
            raise ValueError("where: the synthetic source has no such columns; set source to your table")
        if self.source == "synthetic" and not self.target.record.is_tm:
            raise ValueError("target: the synthetic source makes melting temperatures; set source to your table")
        if self.source == "synthetic" and not self.groups.is_organism:
            raise ValueError("group: the synthetic source makes organisms; set source to your table")
        if self.source == "synthetic" and self.fasta:
            raise ValueError("fasta: the synthetic source makes its own sequences; set source to your table")
        return self


class Backbone(Part):
    """The frozen ESM-2 that embeds every residue, or embeddings that were computed elsewhere."""

    name: str = Field(
        "esm2_t30_150M_UR50D",
        description="fair-esm's name; `tiny`, a toy architecture; `transformers` for a model in the folder `weights`;"
        " or `imported` for embeddings at `path`",
    )
    path: str | None = Field(
        None,
        min_length=1,
        description="imported: HDF5 of biotrainer, bio_embeddings or scikit-bio, safetensors, or a folder of fair-esm's"
        " .pt files; rows per residue, or one per protein",
    )
    weights: str = Field(
        "download",
        min_length=1,
        description="`download` (by fair-esm), `random` (untrained), or where they are: fair-esm's .pt file, or a file"
        " or folder in Hugging Face's layout",
    )
    sha256: str | None = Field(
        None, pattern="^[0-9a-f]{64}$", description="of the file of weights; another one stops the study"
    )
    seed: int = Field(0, ge=0, description="of random weights")
    layer: int | None = Field(None, ge=0, description="representation layer; null for the last")
    precision: Literal["auto", "fp32", "bf16"] = Field("auto", description="of the matrix products")

    @model_validator(mode="after")
    def _sound(self) -> "Backbone":
        if self.sha256 is not None and self.weights == "random":
            raise ValueError("sha256: random weights have no file; leave it out")
        if self.name == "transformers" and self.weights in ("download", "random"):
            raise ValueError("weights: name the folder of a model, with its config.json, weights and tokenizer")
        if self.name == "transformers" and self.sha256 is not None:
            raise ValueError("sha256: a folder holds several files; leave it out")
        if (self.name == "imported") != (self.path is not None):
            raise ValueError("path: needed by, and only by, `name: imported`; it says where the embeddings are")
        if self.path is not None and (self.weights != "download" or self.sha256 is not None):
            raise ValueError("weights: imported embeddings have none here; leave weights and sha256 out")
        return self


class Budget(Part):
    """What the harness grants to one run (one training of one candidate with one seed)."""

    # On a CPU the clock is CPU time of all threads and processes of the run, divided by `runtime.threads`; on a GPU it
    # is wall-clock time.
    fit_s: float = Field(600, gt=0, description="seconds of training, by the budget's clock")
    predict_s: float = Field(120, gt=0, description="seconds of one prediction pass, by the budget's clock")
    wall_factor: float = Field(
        4, ge=1, description="on a CPU a run also ends after this many times its seconds of wall-clock time"
    )
    memory_mb: int = Field(8000, ge=500, description="resident memory of the whole process tree")
    disk_mb: int = Field(2000, ge=10, description="the checkpoint and everything else that a run writes")
    processes: int = Field(64, ge=4)


class Decision(Part):
    """When a candidate replaces the incumbent."""

    z: float = Field(
        1.8,
        ge=0,
        le=4,
        description="a difference of means below z standard errors is inconclusive; at 1.8 at most 5 % of the"
        " candidates that are no better are kept (benchmarks/decide.py)",
    )
    seed_sd: float = Field(
        0.5,
        ge=0,
        description="standard deviation between training seeds in the target's unit, assumed while no trial of the"
        " search has two",
    )


class Planted(Part):
    """Faults of trial 0 other than the published ones; see tmelt.study.baseline."""

    planted: int = Field(3, ge=1, le=5, description="faults drawn from those that were never published")
    seed: int = Field(0, ge=0)


Baseline = Literal["published", "good"] | Planted


class ExternalSet(Part):
    """Proteins from elsewhere with measured labels, on which the winners are tested after all searches.

    Target, groups and cleaning are those of `design.data`.
    """

    source: str = Field(min_length=1, description="the path of a CSV, TSV or Parquet table, or FASTA with labels")
    fasta: str | None = Field(None, description="FASTA with the sequences, joined on protein_id")
    columns: Columns = Field(Columns(), description="where they differ from design.data.columns")
    where: dict[str, Any] = Field(default_factory=dict, description="rows to keep, as in design.data.where")
    embeddings: str | None = Field(
        None, min_length=1, description="of its proteins, where the study imports its own; null: design.backbone.path"
    )

    @model_validator(mode="before")
    @classmethod
    def _path_alone(cls, raw: Any) -> Any:
        return {"source": raw} if isinstance(raw, str) else raw

    def data(self, name: str, study: Data) -> Data:
        """The settings to read its table with.

        Args:
            name: of the set.
            study: `design.data`.

        Raises:
            InputError: settings that do not fit each other, such as a column under two names.
        """
        left_out = {"name", "source", "fasta", "columns", "where", "synthetic", "subset", "shuffle_labels"}
        told = study.model_dump(mode="json", exclude_unset=True, exclude=left_out)
        columns = study.columns.model_dump(exclude_unset=True) | self.columns.model_dump(exclude_unset=True)
        columns |= {"split": None, "validation": None}
        for part, key in (("target", "tm"), ("group", "organism")):
            if "column" in (told.get(part) or {}):
                told[part]["column"] = columns[key]
        told |= {"name": name, "source": self.source, "fasta": self.fasta, "columns": columns, "where": self.where}
        try:
            return Data.model_validate(told)
        except ValidationError as error:
            raise InputError(f"config: design.external.{name}: {first_complaint(error)}") from None


class Design(Part):
    """What makes scores comparable."""

    data: Data
    backbone: Backbone = Backbone()
    space: dict[str, dict[str, Any]] = Field(default_factory=dict, description="knobs with other ranges or defaults")
    baseline: Baseline = Field(
        "published",
        description="trial 0: `published` (with its faults), `good`, or `{planted: 3, seed: n}` (with other faults)",
    )
    budget: Budget = Budget()
    decision: Decision = Decision()
    precision: Literal["auto", "fp32", "bf16"] = Field("auto", description="of candidate training (autocast)")
    device: Literal["cpu", "cuda"] = Field("cpu", description="of trainings and embeddings")
    sequences: Literal["none", "fit", "all"] = Field(
        "none",
        description="which phases of a script see amino-acid sequences: none; fit; or all, predict among them. All see"
        " composition and length",
    )
    sandbox: Literal["auto", "bwrap", "apptainer", "landlock", "none"] = Field(
        "auto", description="auto: the first that keeps candidates in on this host, else stop; none: no confinement"
    )
    sandbox_image: str | None = Field(None, description="image for the Apptainer sandbox, made from envs/apptainer.def")
    external: dict[str, ExternalSet] = Field(
        default_factory=dict,
        description="further test sets by name: a table, or its settings. No search sees them or stops for a new one",
    )

    @model_validator(mode="after")
    def _sound(self) -> "Design":
        import re

        for name, external in self.external.items():
            if not re.fullmatch(NAME, name):
                raise ValueError(f"external: {name!r}: a name has lower-case letters, digits and _ only")
            if re.fullmatch(r"t\d+", name):
                raise ValueError(f"external: {name!r}: is the name of a search; choose another name")
            if external.embeddings is not None and self.backbone.name != "imported":
                raise ValueError(f"external.{name}.embeddings: only where backbone.name is imported; leave it out")
        return self


class Strategy(Part):
    """One way to search: a kind and its options.

    The options are those that the kind's module in tmelt/strategies declares in its `KIND` (for `bo` one class per
    sampler) and, for kinds that ask an LLM, those of tmelt.llm.settings.LLMSettings.
    """

    model_config = ConfigDict(extra="allow", frozen=True)
    kind: str = Field(description="a module of tmelt/strategies with a `KIND`, or a kind of an installed package")
    iterations: int | None = Field(
        None,
        ge=1,
        le=5000,
        description="trials of its searches in place of extent.iterations; may only grow",
    )

    @field_validator("kind")
    @classmethod
    def _known(cls, kind: str) -> str:
        from tmelt.strategies.registry import kind_of

        try:
            return kind_of(kind).name
        except InputError as error:
            raise ValueError(str(error).removeprefix("kind: ")) from None

    @property
    def options(self) -> dict[str, Any]:
        """Everything but the kind and the extent; tmelt.strategies.check_options validates it."""
        return dict(self.model_extra or {})


class Until(Part):
    """What each search may use; exactly one of the three. The trial in which it is used up is finished and counts."""

    trials: int | None = Field(None, ge=1, le=5000, description="another way to write extent.iterations")
    device_s: float | None = Field(
        None,
        gt=0,
        allow_inf_nan=False,
        description="GPU seconds of its trainings and tools, on a CPU core seconds; trial 0 counts",
    )
    usd: float | None = Field(
        None,
        gt=0,
        allow_inf_nan=False,
        description="dollars for the same seconds (tmelt/prices/compute.yaml) and for the calls of its LLM",
    )

    @model_validator(mode="after")
    def _one(self) -> "Until":
        if sum(value is not None for value in (self.trials, self.device_s, self.usd)) != 1:
            raise ValueError("expected exactly one of trials, device_s and usd")
        return self

    @property
    def limit(self) -> tuple[Literal["device_s", "usd"], float] | None:
        """(unit, amount) of a budget that is not one of trials."""
        if self.device_s is not None:
            return "device_s", self.device_s
        return ("usd", self.usd) if self.usd is not None else None


class Extent(Part):
    """How far the study goes; it may only grow."""

    iterations: int = Field(
        100,
        ge=1,
        le=5000,
        description="trials of one search after the baseline (trial 0); with `until` in seconds or dollars the most."
        " Cheap trials count as shares of a full one",
    )
    until: Until | None = Field(
        None, description="the budget of each search, e.g. {usd: 2}: it goes on until that is used; null: `iterations`"
    )
    trajectories: int = Field(5, ge=1, description="independent replicates of each search")
    seeds: tuple[int, ...] = Field((0, 1, 2), min_length=1, description="training seeds of every trial")
    confirm_seeds: int = Field(3, ge=0, description="fresh seeds on which each search's winner is retrained")
    strategies: dict[str, Strategy]

    @model_validator(mode="before")
    @classmethod
    def _trials_are_iterations(cls, raw: Any) -> Any:
        """A budget in trials is `iterations`; any other needs an upper bound that the user has thought of."""
        until = raw.get("until") if isinstance(raw, dict) else None
        if not isinstance(until, dict):
            return raw
        if list(until) == ["trials"]:
            if raw.get("iterations", until["trials"]) != until["trials"]:
                raise ValueError("until.trials and iterations differ; write one of them")
            return {**{key: value for key, value in raw.items() if key != "until"}, "iterations": until["trials"]}
        if "iterations" not in raw:
            raise ValueError("until: needs `iterations` beside it, the most trials of a search")
        return raw

    @property
    def limit(self) -> tuple[Literal["device_s", "usd"], float] | None:
        """(unit, amount) that each search may use; None where trials alone are counted."""
        return self.until.limit if self.until is not None else None

    @property
    def trials(self) -> int:
        """Trials of all searches with their baselines, at most."""
        return self.trajectories * sum(self.trials_of(name) + 1 for name in self.strategies)

    def trials_of(self, strategy: str) -> int:
        """Trials of a strategy's searches after the baseline, at most; cheap ones count as shares of a full one."""
        return self.strategies[strategy].iterations or self.iterations

    def most_trials_of(self, strategy: str) -> int:
        """The same, where every trial counts: how many there may be if all are as cheap as they can be."""
        least = self._least_fidelity(strategy)
        if least is None:
            return self.trials_of(strategy)
        from tmelt.search.fidelity import most_trials

        return most_trials(self.trials_of(strategy), least)

    def limits_of(self, strategy: str) -> tuple[tuple[Literal["device_s", "usd", "trials"], float], ...]:
        """(unit, amount) of each budget that ends a strategy's searches by a stop."""
        full = () if self._least_fidelity(strategy) is None else (("trials", self.trials_of(strategy)),)
        return (*([self.limit] if self.limit else []), *full)  # type: ignore[return-value]  # literals

    def _least_fidelity(self, strategy: str) -> float | None:
        from tmelt.strategies.registry import kind_of

        chosen = self.strategies[strategy]
        found = kind_of(chosen.kind).least_fidelity
        return found(chosen.options) if found else None

    @field_validator("strategies")
    @classmethod
    def _names(cls, strategies: dict[str, Strategy]) -> dict[str, Strategy]:
        import re

        for name in strategies:
            if not re.fullmatch(NAME, name):
                raise ValueError(f"{name!r}: a strategy's name has lower-case letters, digits and _ only")
        if not strategies:
            raise ValueError("at least one strategy")
        return strategies

    @field_validator("seeds")
    @classmethod
    def _distinct(cls, seeds: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(seeds)) != len(seeds) or min(seeds) < 0:
            raise ValueError("distinct whole numbers from 0")
        if max(seeds) >= FRESH_SEEDS:
            raise ValueError(f"below {FRESH_SEEDS}: from there on they are kept for retraining the winners")
        return seeds


Purpose = Literal[
    "winner", "baseline", "incumbent", "ablation", "projection", "interaction", "budget", "fraction", "organism"
]


class Endpoints(Part):
    """Decisions that are taken by a prediction, to be scored on test and on external sets."""

    threshold: float | None = Field(
        None,
        allow_inf_nan=False,
        description="in the target's unit; proteins at or above it are positive: AUROC and average precision",
    )
    top: float = Field(
        0.1, gt=0, le=0.5, description="share of proteins picked by prediction, whose enrichment is measured"
    )


class Evidence(Part):
    """What is trained after the search, on fresh seeds, to measure and explain its winners; free to change."""

    # winner and baseline: the numbers that count. incumbent: the other incumbents that a winner was chosen from, which
    # shows whether the search went on too long. ablation: each winner without each of its changes. projection: the
    # in-space part of changes to scripts. interaction: each winner with subsets of its changes, for Shapley values.
    # budget: 2 and 4 times the training budget. fraction: a quarter and half of fit. organism: each organism left out.
    purposes: tuple[Purpose, ...] = Field(
        ("winner", "baseline", "incumbent"), description="what is trained after the search"
    )
    incumbents: int = Field(
        3, ge=1, description="a search's winner is that of its last so many incumbents with the lowest error on select"
    )
    interaction_runs: int = Field(
        12, ge=2, le=126, description="interaction: most candidates per search besides winner and baseline"
    )
    every_search: bool = Field(
        False, description="all purposes for every search's winner, not only each strategy's best"
    )
    endpoints: Endpoints = Endpoints()


class Reference(Part):
    """An external result to show beside the study's own; free to change (`--forcerun write_report` shows it)."""

    name: str = Field(min_length=1, max_length=80, description="label of its line")
    mae: float = Field(gt=0, allow_inf_nan=False, description="test MAE in the unit of the target")
    parameters: int | None = Field(None, gt=0, description="trainable parameters")
    source: str = Field(min_length=1, max_length=400, description="citation or address")


class Hypothesis(Part):
    """The question that is registered before trial 0: one contrast, which the page answers first.

    All other comparisons are exploratory. It is part of the protocol: a change after the start stops the study or is
    recorded as a revision and printed. `tmelt power CONFIG` says what a registered design can find.
    """

    a: str = Field(description="a strategy")
    b: str = Field(description="another strategy, or `baseline`")
    metric: Literal["test_mae"] = Field("test_mae", description="of the searches' winners on fresh seeds")
    effect: float = Field(gt=0, description="smallest difference of interest in the target's unit, two-sided")
    searches: int = Field(ge=1, description="planned searches of each strategy of the contrast")
    looks: tuple[int, ...] = Field(
        (), description="searches at each planned look at test, the last equal to `searches`; by default one look"
    )

    @model_validator(mode="after")
    def _sound(self) -> "Hypothesis":
        if self.a == self.b:
            raise ValueError(f"{self.a!r} on both sides; expected two different names")
        if self.looks and (list(self.looks) != sorted(set(self.looks)) or self.looks[0] < 1):
            raise ValueError(f"looks: {list(self.looks)}: expected increasing numbers of searches")
        if self.looks and self.looks[-1] != self.searches:
            raise ValueError(f"looks: the last is {self.looks[-1]}; expected `searches`, {self.searches}")
        return self

    @property
    def plan(self) -> tuple[int, ...]:
        """Searches at each planned look."""
        return self.looks or (self.searches,)


class Runtime(Part):
    """How the work is done here; no part of a trial's identity, but for `threads` and `embed_tokens`."""

    block: int = Field(10, ge=1, le=100, description="iterations that unfold at a time")
    seeds_per_job: Literal[1, "all"] = Field(1, description="1: a job per seed; all: a trial's seeds in one job")
    group: Literal["none", "trial", "block"] = Field(
        "none",
        description="what makes one job of a cluster. none: a training. trial: a training and its score."
        " block: the same for agents, `block` whole trials for searches without an LLM",
    )
    local_steps: bool = Field(
        True,
        description="proposals and scores outside a group run where Snakemake does, on a cluster's login node;"
        " false: they are jobs, and those of agents need a network",
    )
    embed_shards: int = Field(1, ge=1, description="embedding jobs")
    embed_tokens: int = Field(4096, ge=512, description="tokens per forward pass; a started study keeps them")
    threads: int = Field(1, ge=1, description="of one training; a started study keeps them, last digits depend on it")
    replay: Literal["off", "fill", "strict"] = Field(
        "fill",
        description="recorded LLM replies (tmelt.llm.replay). fill: use them and call for the rest; nothing is paid"
        " twice. strict: use them, never call, stop at any difference. off: ask anew for each proposal that is made"
        " (finished ones stay); what was recorded moves aside, and a proposal that was killed pays again",
    )


class Config(Part):
    """A study."""

    study: str = Field(pattern=NAME, description="names results/<study>/")
    title: str = ""
    source: str | None = Field(None, description="replaces design.data.source: `--config source=my.csv`")
    design: Design
    extent: Extent
    hypothesis: Hypothesis | None = Field(None, description="null: every comparison is exploratory")
    evidence: Evidence = Evidence()
    replay_from: str | None = Field(
        None,
        min_length=1,
        description="another study of the same design, `results/OTHER`, a copy of it, or an archive by `tmelt export"
        " transcripts`: its recorded LLM replies are used, no model is asked, and the proposals are the same",
    )
    references: tuple[Reference, ...] = Field((), description="external results, as lines in the figures of test MAE")
    runtime: Runtime = Runtime()
    on_change: Literal["refuse", "revision"] = Field(
        "refuse", description="a changed design: stop, or record a revision and go on"
    )
    full_dag: bool = Field(False, description="keep finished jobs in the DAG, for --report, --summary and --dag")

    @model_validator(mode="before")
    @classmethod
    def _source_from_the_command_line(cls, raw: Any) -> Any:
        if isinstance(raw, dict) and raw.get("source") and isinstance(raw.get("design"), dict):
            data = raw["design"].get("data") or {}
            if isinstance(data, dict):  # else the model says what is wrong
                data = {**data, "source": raw["source"]}
                raw = {**raw, "source": None, "design": {**raw["design"], "data": data}}
        return raw

    @model_validator(mode="after")
    def _not_reserved(self) -> "Config":
        if self.study in {"data", "embeddings", "benchmarks", "logs"}:
            raise ValueError(f"study: {self.study!r} is a folder of results/; choose another name")
        if reserved := RESERVED & self.extent.strategies.keys():
            raise ValueError(f"extent.strategies: {min(reserved)!r} means something else; choose another name")
        low, high = self.design.data.target.plausible
        threshold = self.evidence.endpoints.threshold
        if threshold is not None and not low <= threshold <= high:
            bounds = f"design.data.target.plausible, {low:g} to {high:g}"
            raise ValueError(f"evidence.endpoints.threshold: {threshold:g} is outside {bounds}")
        if self.hypothesis is not None:
            for side, name in (("a", self.hypothesis.a), ("b", self.hypothesis.b)):
                if name not in self.extent.strategies and (side, name) != ("b", "baseline"):
                    raise ValueError(f"hypothesis.{side}: unknown strategy {name!r}; expected one of extent.strategies")
        return self


def parse_config(raw: dict[str, Any], source: str = "config") -> Config:
    """The validated config.

    Raises:
        InputError: one line with the first offending key and what is wrong with it.
    """
    try:
        return Config.model_validate(raw)
    except ValidationError as error:
        more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
        raise InputError(f"{source}: {first_complaint(error)}{more}") from None


def load_config(path: Path, source: Path | None = None) -> Config:
    """Read and validate a YAML config file.

    Args:
        path: the file.
        source: a table that replaces the config's `design.data.source`.

    Raises:
        InputError: unreadable YAML or an offending key.
    """
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(f"{path}: {' '.join(str(error).split())}") from None
    if source is not None and isinstance(raw, dict):
        raw["source"] = str(source)
    return parse_config(raw or {}, str(path))
