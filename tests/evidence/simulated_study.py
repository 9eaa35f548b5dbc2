"""A complete results tree of a study whose truth is known, made in seconds and without training anything.

    python tests/evidence/simulated_study.py --root /tmp/simulated [--trajectories 3 --iterations 14]

Every file is written through the project's own schemas, `Proposal`, `History` and scoring; only the predictions are
drawn: measured tm plus an error whose mean absolute value is `true_mae(script, knobs)`. Five strategies search by
simple rules of their own (uniform, near the best, few knobs, scripts, both in turn), some trials crash, some proposals
are refused, and the agents' calls cost money.
"""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from study_records import data_record, design, embedding_record, protocol

from tmelt.evidence.confirmation import plan_confirmation, write_candidates
from tmelt.evidence.schema import PERTURBED, PLAN
from tmelt.evidence.selection import choose
from tmelt.evidence.tables import write
from tmelt.llm import Conversation, LLMSettings, Spent
from tmelt.llm.settings import Price
from tmelt.proteins.record import read_data
from tmelt.search.decision import Rule
from tmelt.search.history import History, Proposal, Trial
from tmelt.search.knobs import Knob, Space, Value
from tmelt.search.scoring import score
from tmelt.storage.files import sha256_file, sha256_text, write_json, write_text
from tmelt.storage.records import to_json
from tmelt.storage.schema import (
    CURVE,
    HIDDEN,
    LABELS,
    PREDICTIONS,
    PROTEINS,
    RUN,
    SPLITS,
    TRIAL,
    read_table,
    write_table,
)
from tmelt.study.protocol_record import Environment, MeasuredInputs

RULE = Rule(z=1.0, seed_sd=0.0)
REFERENCE = '''"""Reference candidate of the simulated study."""

import torch

HIDDEN = 64
FEATURES = []
AVERAGES = []


def features(proteins):
    """Mean embedding per protein."""
    return torch.cat([proteins.mean(), *(feature(proteins) for feature in FEATURES)], dim=1)


def loss_function(prediction, target):
    return ((prediction - target) ** 2).mean()


def fit(task, knobs, checkpoint):
    x = features(task.fit)
    model = torch.nn.Sequential(torch.nn.Linear(x.shape[1], HIDDEN), torch.nn.Linear(HIDDEN, 1))
    loss_function(model(x).squeeze(1), task.fit.tm).backward()
    weights = {**model.state_dict(), "knobs": dict(knobs)}
    for average in AVERAGES:
        weights |= average(weights, weights, 0.99)
    torch.save(weights, checkpoint / "model.pt")


def predict(task, checkpoint):
    return [0.0] * len(task.pool)
'''
COMPOSITION = """def residue_composition(proteins):
    rows = [[s.count(a) / len(s) for a in "ACDEFGHIKLMNPQRSTVWY"] for s in proteins.sequences]
    return torch.tensor(rows)


FEATURES.append(residue_composition)


"""
AVERAGE = """def weight_average(model, average, decay):
    return {key: decay * average[key] + (1 - decay) * value for key, value in model.items()}


AVERAGES.append(weight_average)


"""
WIDER = "HIDDEN = 256\n"
BROKEN = 'raise RuntimeError("the unleashed agent made a mistake")\n'

# What each choice does to the true MAE in °C: the truth that the evidence has to find.
POOLING = {"mean": 0.0, "max": -0.1, "attention": -0.6}
LOSS = {"mse": 0.0, "huber": -0.3, "mae": -0.25}
COMPOSITION_EFFECT = -0.8
AVERAGE_EFFECT = -0.3
BASELINE_MAE = 5.5
LAST_INCUMBENTS = 3  # among which select chooses
FLOOR_MAE = 2.0
DEFAULT_STRATEGIES = ("random", "bo", "ra", "ua", "ra_bo")
KINDS = {"random": "random", "bo": "bo", "ra": "ra", "ua": "ua", "ra_bo": "ra_bo"}


def true_mae(script: str, knobs: Mapping[str, Value], *, budget_factor: float = 1, fit_fraction: float = 1) -> float:
    """The expected MAE in °C of a candidate on proteins without end."""

    def rate(value: float) -> float:
        return -max(0.0, 1 - abs(math.log10(value / 1e-3)))

    def patience(value: float) -> float:
        return -0.4 * (1 - math.exp(-(value - 5) / 5))

    mae = BASELINE_MAE + rate(float(knobs["learning_rate"])) - rate(3e-4)
    mae += (
        POOLING[str(knobs["pooling"])] + LOSS[str(knobs["loss"])] + patience(float(knobs["patience"]) / budget_factor)
    )
    mae += 2 * (float(knobs["dropout"]) - 0.1) ** 2
    mae += COMPOSITION_EFFECT * ("residue_composition" in script) + AVERAGE_EFFECT * ("weight_average" in script)
    mae += -0.1 * math.log2(budget_factor) + 1.2 * (1 - fit_fraction)
    return max(FLOOR_MAE, mae)


@dataclass
class Errors:
    """Draws prediction errors with the correlations of real ones; half normal, so that E|error| is the true MAE.

    Shares of the variance: relatives err alike, all candidates err alike on a protein, a candidate has its own
    weaknesses, and so has each training seed.
    """

    protein_ids: Sequence[str]
    clusters: Sequence[str]
    family_share: float = 0.2
    protein_share: float = 0.4
    candidate_share: float = 0.25
    salt: str = ""
    _shared: np.ndarray = field(init=False, repr=False)

    def __post_init__(self) -> None:
        families = np.array([_normal(f"{self.salt}family/{name}", 1)[0] for name in self.clusters])
        own = np.array([_normal(f"{self.salt}protein/{name}", 1)[0] for name in self.protein_ids])
        self._shared = math.sqrt(self.family_share) * families + math.sqrt(self.protein_share) * own

    def draw(self, mae: float, candidate: str, seed: int) -> np.ndarray:
        """Errors in °C of one run, (proteins,); the same candidate and seed give the same."""
        n = len(self.protein_ids)
        seed_share = 1 - self.family_share - self.protein_share - self.candidate_share
        unit = (
            self._shared
            + math.sqrt(self.candidate_share) * _normal(f"{self.salt}candidate/{candidate}", n)
            + math.sqrt(seed_share) * _normal(f"{self.salt}run/{candidate}/{seed}", n)
        )
        return unit * mae * math.sqrt(math.pi / 2)


def _generator(name: str) -> np.random.Generator:
    return np.random.default_rng(int(sha256_text(name)[:16], 16))


def _normal(name: str, size: int) -> np.ndarray:
    return _generator(name).normal(size=size)


@dataclass
class SimulatedStudy:
    """Where a simulated study lies, and what is true in it."""

    root: Path
    study: Path
    data: Path
    seeds: list[int]
    fresh_seeds: list[int]
    strategies: list[str]
    trajectories: int
    iterations: int
    space: Space
    errors: Errors
    proteins: pl.DataFrame  # val, select and test with their tm

    @property
    def histories(self) -> list[Path]:
        """The file of trials of each search."""
        return [
            self.study / strategy / f"t{trajectory}" / f"trials_{self.iterations}.parquet"
            for strategy in self.strategies
            for trajectory in range(self.trajectories)
        ]


def write_study(
    root: Path,
    *,
    strategies: Sequence[str] = DEFAULT_STRATEGIES,
    trajectories: int = 3,
    iterations: int = 14,
    seeds: Sequence[int] = (0, 1),
    fresh_seeds: Sequence[int] = (1_000_000, 1_000_001, 1_000_002),
    proteins: int = 500,
    organisms: bool = True,
    failing: Callable[[str, int, int], str | None] | None = None,
) -> SimulatedStudy:
    """Write results/data/… and results/simulated/… under `root`, searches only.

    Args:
        failing: (strategy, trajectory, iteration) → status of that trial's runs, or None; the default lets every
            ninth trial crash and every thirteenth time out.
    """
    data = root / "results" / "data" / "simulated-00000000"
    study = root / "results" / "simulated"
    frame, hidden = _write_proteins(data, proteins, organisms)
    space = Space()
    reference = sha256_text(REFERENCE)
    labels = {split: sha256_file(data / "vault" / f"{split}.parquet") for split in HIDDEN}
    protocol(
        study="simulated",
        title="Simulated study",
        design=design(dataset=data.name, knobs=tuple(space.table()), decision=RULE),
        measured=MeasuredInputs(labels, sha256_file(data / "proteins.parquet"), embedding_record(untrained=False)),
        data=read_data(data),
        reference_sha256=reference,
        reference_lines=REFERENCE.count("\n"),
        environment=Environment("3", {}, "simulated", "simulated", 1),
    ).write(study / "protocol.json")
    simulated = SimulatedStudy(
        root=root,
        study=study,
        data=data,
        seeds=list(seeds),
        fresh_seeds=list(fresh_seeds),
        strategies=list(strategies),
        trajectories=trajectories,
        iterations=iterations,
        space=space,
        errors=Errors(hidden["protein_id"].to_list(), hidden["family"].to_list()),
        proteins=hidden,
    )
    del frame
    for strategy in strategies:
        for trajectory in range(trajectories):
            _search(simulated, strategy, trajectory, failing or _some_fail)
    return simulated


def train_confirmation(
    simulated: SimulatedStudy, *, purposes: Sequence[str] = ("winner", "baseline", "incumbent")
) -> Path:
    """Plan what is trained after the search and "train" it; returns the plan's path."""
    from tmelt.evidence.reading import concat_histories

    organisms = simulated.proteins["organism"].drop_nulls().unique().sort().to_list()
    trials = concat_histories(simulated.histories)
    select = read_table(simulated.data / "vault" / "select.parquet", LABELS)
    plan, candidates = plan_confirmation(
        trials,
        choose(trials, simulated.study, select, LAST_INCUMBENTS),
        simulated.study,
        simulated.space,
        simulated.fresh_seeds,
        purposes=purposes,
        organisms=organisms,
    )
    folder = simulated.study / "confirm"
    write_candidates(folder, plan, candidates)
    for name, candidate in candidates.items():
        proposal = Proposal.read(folder / name)
        for seed in simulated.fresh_seeds:
            _write_run(
                simulated,
                folder / name / f"s{seed}",
                proposal,
                seed,
                "ok",
                budget_factor=candidate.budget_factor,
                fit_fraction=candidate.fit_fraction,
                without_organism=candidate.without_organism,
            )
    for name in plan.filter(pl.col("purpose").is_in(["winner", "baseline"]))["candidate"].unique().sort():
        _write_perturbed(simulated, folder / name)
    path = folder / "plan.parquet"
    write(path, plan, PLAN)
    return path


def _write_perturbed(simulated: SimulatedStudy, folder: Path, proteins: int = 60) -> None:
    """perturbed.parquet of an honest candidate: it predicts changed proteins nearly alike, joined ones in between."""
    length = dict(simulated.proteins.select("protein_id", pl.col("sequence").str.len_chars()).iter_rows())
    rows = []
    for seed in simulated.fresh_seeds:
        frame = pl.read_parquet(folder / f"s{seed}" / "predictions.parquet").head(proteins)
        said = dict(frame.select("protein_id", "prediction").iter_rows())
        names, noise = list(said), _generator(f"perturbed/{folder.name}/{seed}")
        for place, name in enumerate(names):
            partner = names[place - 1]
            share = length[name] / (length[name] + length[partner])
            expected = dict.fromkeys(("same", "noise", "trimmed"), said[name])
            expected["joined"] = share * said[name] + (1 - share) * said[partner]
            rows += [
                {
                    "candidate": folder.name,
                    "seed": seed,
                    "protein_id": name,
                    "kind": kind,
                    "partner": partner if kind == "joined" else None,
                    "prediction": value if kind == "same" else value + float(noise.normal(0, 0.1)),
                    "note": None,
                }
                for kind, value in expected.items()
            ]
    write_table(folder / "perturbed.parquet", rows, PERTURBED)


def _some_fail(strategy: str, trajectory: int, iteration: int) -> str | None:
    number = int(sha256_text(f"{strategy}/{trajectory}/{iteration}")[:8], 16)
    if iteration and number % 9 == 0:
        return "crash"
    if iteration and number % 13 == 0:
        return "timeout"
    return None


def _write_proteins(data: Path, count: int, organisms: bool) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Families of similar sequences, split by family; tm by organism, family and chance."""
    rng = np.random.default_rng(7)
    letters = np.array(list("ACDEFGHIKLMNPQRSTVWY"))
    means = {"Escherichia mesophila": 47.0, "Homo simulatus": 51.0, "Thermus fictus": 68.0, "Bacillus medius": 57.0}
    names = list(means)
    rows: list[dict[str, Any]] = []
    family = 0
    while len(rows) < count:
        parent = rng.integers(20, size=int(rng.integers(60, 140)))
        split = str(rng.choice(["fit", "stop", "val", "select", "test"], p=[0.4, 0.1, 0.15, 0.1, 0.25]))
        level = rng.normal(0, 2)
        for _ in range(min(int(rng.choice([1, 1, 2, 4])), count - len(rows))):
            mutated = np.where(rng.random(len(parent)) < 0.25, rng.integers(20, size=len(parent)), parent)
            organism = names[int(rng.integers(len(names)))]
            rows.append(
                {
                    "protein_id": f"P{len(rows):05d}",
                    "sequence": "".join(letters[mutated]),
                    "organism": organism if organisms else None,
                    "split": split,
                    "tm": round(means[organism] + level + rng.normal(0, 3), 3),
                    "family": f"F{family}",
                }
            )
        family += 1
    frame = pl.DataFrame(rows, schema_overrides={"organism": pl.String})
    hidden = frame.filter(pl.col("split").is_in(HIDDEN))
    shown = [
        {**{key: row[key] for key in PROTEINS.names}, "tm": row["tm"] if row["split"] in ("fit", "stop") else None}
        for row in rows
    ]
    write_table(data / "proteins.parquet", shown, PROTEINS)
    for split in HIDDEN:
        part = hidden.filter(pl.col("split") == split).select("protein_id", "tm", "family", parent=pl.lit(None))
        write_table(data / "vault" / f"{split}.parquet", part.to_dicts(), LABELS)
    counts = {split: int((frame["split"] == split).sum()) for split in SPLITS}
    bounds = {"expected_mae": 1.2, "noiseless_mae": 1.25, "sequence_only_mae": 2.4}
    record = data_record(
        name="simulated",
        description=f"{count} simulated proteins",
        rows=count,
        proteins=count,
        splits=counts,
        generator={"floors": dict.fromkeys(counts, bounds)},
    )
    write_json(data / "data.json", to_json(record))
    return frame, hidden


def _search(simulated: SimulatedStudy, strategy: str, trajectory: int, failing) -> None:
    """One search: propose, run, score, trial after trial."""
    folder = simulated.study / strategy / f"t{trajectory}"
    history = History()
    for iteration in range(simulated.iterations + 1):
        rng = _generator(f"search/{strategy}/{trajectory}/{iteration}")
        trial = folder / f"i{iteration}"
        proposal = _propose(simulated, strategy, history, folder, rng)
        if proposal.origin == "agent":
            proposal = _paid(proposal, trial / "llm", rng)
        proposal.write(trial)
        status = "refused" if proposal.status == "refused" else failing(strategy, trajectory, iteration) or "ok"
        if "raise RuntimeError" in proposal.script:
            status = "crash"
        for seed in simulated.seeds:
            _write_run(simulated, trial / f"s{seed}", proposal, seed, status)
        row = score(
            proposal=proposal,
            strategy=strategy,
            trajectory=trajectory,
            iteration=iteration,
            runs=[trial / f"s{seed}" for seed in simulated.seeds],
            labels=simulated.data / "vault" / "val.parquet",
            history=history,
            rule=RULE,
            proteins=simulated.data / "proteins.parquet",
        )
        write_table(trial / "trial.parquet", [row], TRIAL)
        history = History([*history, Trial.of(row)])
        write_table(trial / "history.parquet", [entry.row for entry in history], TRIAL)
    write_table(folder / f"trials_{simulated.iterations}.parquet", [entry.row for entry in history], TRIAL)


def _propose(
    simulated: SimulatedStudy, strategy: str, history: History, folder: Path, rng: np.random.Generator
) -> Proposal:
    """The next candidate by a rule of thumb per strategy."""
    space = simulated.space
    if not len(history):
        return Proposal(knobs=space.defaults(), script=REFERENCE, origin="baseline")
    held = history.incumbent or history[0]
    parent = held.iteration
    script = (folder / f"i{parent}" / "train.py").read_text(encoding="utf-8")
    own = {name: value for name, value in held.knobs.items() if name not in space}
    base = {name: value for name, value in held.knobs.items() if name in space}
    if strategy == "random":
        return Proposal(knobs=space.complete(_draw(list(space), rng)), script=REFERENCE, origin="random")
    if strategy == "bo" or (strategy == "ra_bo" and len(history) % 5):
        if len(history) < 5 and strategy == "bo":
            return Proposal(knobs=space.complete(_draw(list(space), rng)), script=REFERENCE, origin="startup")
        chosen = [knob for knob in space if rng.random() < 0.25]
        return Proposal(
            knobs=space.complete(base | _draw(chosen, rng)) | own,
            script=script,
            origin="sampler",
            parent=parent,
            subspace={"pooling": {"fixed": "attention"}} if strategy == "ra_bo" else None,
        )
    by_agent = {"origin": "agent", "parent": parent}
    if rng.random() < 0.05:
        return Proposal(
            knobs=base | own, script=script, status="refused", error="three replies without JSON", **by_agent
        )
    if strategy in ("ra", "ra_bo") or rng.random() < 0.4:
        useful = {"pooling": "attention", "learning_rate": 1e-3, "patience": 20, "loss": "huber"}
        name = str(rng.choice(list(useful)))
        change = {name: useful[name]}
        if name == "learning_rate":
            change[name] = float(np.clip(1e-3 * math.exp(rng.normal(0, 0.4)), 1e-5, 1e-2))
        if rng.random() < 0.4:
            change |= _draw([space["dropout"]], rng)
        return Proposal(
            knobs=space.complete(base | change) | own,
            script=script,
            rationale=f"{name} limits the baseline; try {change[name]}",
            hypothesis="validation error falls",
            expected_effect=float(rng.choice([-0.5, -0.3, -0.2])),
            subspace={name: {"fixed": change[name]}} if strategy == "ra_bo" else None,
            **by_agent,
        )
    edit = str(rng.choice(["composition", "average", "wider", "broken"], p=[0.35, 0.35, 0.2, 0.1]))
    changed, declared, knobs = script, [], dict(base) | own
    if edit == "composition" and "residue_composition" not in script:
        changed = script.replace("def loss_function", COMPOSITION + "def loss_function")
    elif edit == "average" and "weight_average" not in script:
        changed = script.replace("def fit(", AVERAGE + "def fit(")
        declared = [Space((_DECAY,)).table()[0]]
        knobs["average_decay"] = 0.99
    elif edit == "broken":
        changed = script.replace("import torch\n", "import torch\n\n" + BROKEN, 1)
    else:
        changed = script.replace("HIDDEN = 64\n", WIDER)
    if rng.random() < 0.3 and knobs["pooling"] != "attention":
        knobs["pooling"] = "attention"
    return Proposal(
        knobs=knobs,
        script=changed,
        rationale=f"rewrite: {edit}",
        hypothesis="the model sees what mean pooling hides",
        expected_effect=-0.6,
        declared_knobs=declared,
        **by_agent,
    )


_DECAY = Knob("average_decay", "float", 0.99, "decay of the weight average", 0.9, 0.9999)


def _draw(knobs: Sequence[Knob], rng: np.random.Generator) -> dict[str, Value]:
    """A uniform (or log-uniform) value of each knob."""
    values: dict[str, Value] = {}
    for knob in knobs:
        if knob.kind == "choice":
            values[knob.name] = knob.choices[int(rng.integers(len(knob.choices)))]
        elif knob.kind == "int":
            values[knob.name] = int(rng.integers(knob.low, knob.high + 1))
        else:
            low, high = (math.log(knob.low), math.log(knob.high)) if knob.log else (knob.low, knob.high)
            value = rng.uniform(low, high)
            values[knob.name] = float(np.clip(math.exp(value) if knob.log else value, knob.low, knob.high))
    return values


def _paid(proposal: Proposal, folder: Path, rng: np.random.Generator) -> Proposal:
    """The proposal with the transcript and the price of the one call that it came from, by the project's own layer."""
    from langchain_core.language_models import GenericFakeChatModel
    from langchain_core.messages import AIMessage

    sent, received = int(rng.integers(3000, 9000)), int(rng.integers(300, 1500))
    usage = {"input_tokens": sent, "output_tokens": received, "total_tokens": sent + received}
    reply = json.dumps({"rationale": proposal.rationale, "knobs": dict(proposal.knobs)})
    model = GenericFakeChatModel(messages=iter([AIMessage(reply, usage_metadata=usage)]))
    settings = LLMSettings(model="openai:simulated", price=Price(input=3, output=15))
    call = Conversation(settings, folder, Spent(), model=model)
    call.ask(system="You search.", user="Propose the next candidate.", parse=str, purpose="propose")
    return replace(
        proposal,
        transcripts=call.transcripts,
        llm_calls=call.calls,
        prompt_tokens=call.prompt_tokens,
        completion_tokens=call.completion_tokens,
        cost_usd=call.cost_usd,
    )


def _write_run(
    simulated: SimulatedStudy,
    folder: Path,
    proposal: Proposal,
    seed: int,
    status: str,
    *,
    budget_factor: float = 1.0,
    fit_fraction: float = 1.0,
    without_organism: str | None = None,
) -> None:
    """run.parquet, curve.parquet, predictions.parquet and log.txt of one run."""
    identity = json.dumps([proposal.script, dict(proposal.knobs), budget_factor, fit_fraction], sort_keys=True)
    rng = _generator(f"run/{identity}/{seed}")
    predictions: list[dict[str, Any]] = []
    curve: list[dict[str, Any]] = []
    ok, refused = status == "ok", status == "refused"
    mae = None
    if ok:
        mae = true_mae(proposal.script, proposal.knobs, budget_factor=budget_factor, fit_fraction=fit_fraction)
        error = simulated.errors.draw(mae, sha256_text(identity), seed)
        hidden = simulated.proteins
        if without_organism is not None:
            error = np.where((hidden["organism"] == without_organism).to_numpy(), 1.5 * error, error)
        predictions = [
            {"protein_id": name, "split": split, "prediction": float(value)}
            for name, split, value in zip(hidden["protein_id"], hidden["split"], hidden["tm"] + error, strict=True)
        ]
        curve = [
            {
                "epoch": epoch,
                "fit_loss": float(0.2 + math.exp(-epoch / 3)),
                "stop_mae": float(mae + 6 * math.exp(-epoch / 3)),
                "learning_rate": float(proposal.knobs["learning_rate"]),
                "reports": None,
            }
            for epoch in range(1, 9)
        ]
    fit_s = 0.0 if refused else float(rng.uniform(8, 20) * (1.4 if "residue_composition" in proposal.script else 1))
    width = int(proposal.knobs["width"])
    write_table(folder / "curve.parquet", curve, CURVE)
    write_table(folder / "predictions.parquet", predictions, PREDICTIONS)
    write_text(folder / "log.txt", "" if ok else f"RuntimeError: simulated {status}\n")
    row = {
        "seed": seed,
        "status": status,
        "reason": None if ok or refused else "exception" if status == "crash" else status,
        "fit_mae": mae and 0.8 * mae,
        "stop_mae": mae,
        "parameter_count": width * 640 + 12 * width**2 if ok else None,
        "checkpoint_mb": 4e-6 * (width * 640 + 12 * width**2) if ok else None,
        "epochs": len(curve) or None,
        "reports": None,
        "fit_s": fit_s * budget_factor,
        "predict_s": float(rng.uniform(0.5, 1.0)) if ok else 0.0,
        "cut_by_clock": False,
        "cpu_s": fit_s * 1.1,
        "wall_s": fit_s * 1.2,
        "ended_at": None if refused else _clock(folder) + fit_s * 1.2,
        "device_s": 0.0,
        "memory_mb": 900.0 if not refused else 0.0,
        "sandbox": "none",
        "device": "cpu",
        "host_cpu": "simulated",
    }
    write_table(folder / "run.parquet", [row], RUN)


def _clock(folder: Path) -> float:
    """Unix time at which the run in …/t{trajectory}/i{iteration}/s{seed} begins: searches take turns."""
    trajectory, iteration = (name[1:] for name in folder.parts[-3:-1])
    return 1.8e9 + 100.0 * int(iteration) + 50 * int(trajectory) if iteration.isdigit() else 1.9e9


if __name__ == "__main__":
    from tmelt.command import run_command

    def simulate(*, root: Path, trajectories: int = 3, iterations: int = 14, tables: bool = True) -> None:
        """Write a simulated study, and its tables by the project's own scripts."""
        simulated = write_study(root, trajectories=trajectories, iterations=iterations)
        train_confirmation(
            simulated,
            purposes=["winner", "baseline", "ablation", "projection", "interaction", "budget", "fraction", "organism"],
        )
        if tables:
            from make_tables import make_tables

            make_tables(simulated)
        print(simulated.study)

    run_command(simulate)
