"""Names and helpers that all rules share: the validated config, folders, frozen files, the study's guard.

In   config (config.yaml or --configfile), results/ as it stands
Out  CONFIG, DATA, EMBEDDING, STUDY, TRAJECTORY, TRIAL and the functions below. Reading this file also checks the study
     (tmelt.protocol.guard; a revision is recorded) and reopens searches whose stop no longer holds (tmelt.resume);
     a dry run leaves both alone.
"""

import functools
import json
import os
import sys
import time
from pathlib import Path

from snakemake.exceptions import WorkflowError

from tmelt import protocol, resume, study_lock
from tmelt.bundle import BUNDLED
from tmelt.config import FRESH_SEEDS, parse_config
from tmelt.errors import InputError
from tmelt.evidence.schema import TABLES as TABLE_NAMES
from tmelt.failed_jobs import describe_failures, describe_full_disk
from tmelt.identity import PACKAGE, backbone_id, dataset_id
from tmelt.llm.model_id import longest_prompt, model_id
from tmelt.orphans import job_name, refuse_orphans
from tmelt.strategies.agent import MEMORY_TOKENS
from tmelt.strategies.check_options import check_options
from tmelt.strategies.registry import kind_of

# Given by `tmelt verify`, which runs the evidence rules on links to a study's raw files: nothing is guarded, reopened or
# touched there, and the folders are those of its protocol, because the source of the data may be elsewhere.
VERIFIED = config.pop("verify", None)

try:
    CONFIG = parse_config(config)
    for name, strategy in CONFIG.extent.strategies.items():
        check_options(name, strategy.kind, strategy.options, CONFIG)
    AGENTS = {each.kind for each in CONFIG.extent.strategies.values() if kind_of(each.kind).agent}
    DATA = f"results/data/{VERIFIED['dataset'] if VERIFIED else dataset_id(CONFIG.design.data)}"
    BACKBONE = (
        VERIFIED["backbone"]
        if VERIFIED
        else backbone_id(CONFIG.design.backbone, CONFIG.runtime.embed_tokens, CONFIG.design.device)
    )
    EMBEDDING = f"results/embeddings/{Path(DATA).name}/{BACKBONE}"
    STUDY = f"results/{CONFIG.study}"
    if workflow.is_main_process and not VERIFIED:
        protocol.guard(CONFIG, Path(STUDY), record=False)
except InputError as error:
    raise WorkflowError(str(error)) from None

STARTED = time.time()
ITERATIONS = CONFIG.extent.iterations
SEEDS = list(CONFIG.extent.seeds)
CONFIRM_SEEDS = [FRESH_SEEDS + number for number in range(CONFIG.extent.confirm_seeds)]
STRATEGIES = list(CONFIG.extent.strategies)
TRAJECTORIES = range(CONFIG.extent.trajectories)
TRAJECTORY = f"{STUDY}/{{strategy}}/t{{trajectory}}"
TRIAL = f"{TRAJECTORY}/i{{iteration}}"
# The extent is in the names of what is gathered over it: an extended study is never mistaken for a finished one.
EXTENT_NAME = f"n{ITERATIONS}_s{len(SEEDS)}"
AHEAD = []  # files from the future, by this machine's clock
LOCKS = []  # held until this process ends (tmelt.study_lock)
PERTURBED = f"perturbed_c{len(CONFIRM_SEEDS)}.parquet"  # more fresh seeds are more predictions
RUN_FILES = ["run.parquet", "curve.parquet", "predictions.parquet", "log.txt"]


wildcard_constraints:
    strategy="[a-z][a-z0-9_]*",
    trajectory=r"\d+",
    iteration=r"\d+",
    seed=r"\d+",
    candidate="[0-9a-f]+",
    model="[0-9a-f]+",


def executes():
    """Whether this process is to run jobs. Snakemake knows it from the building of the DAG on, not when it reads these
    lines: there a dry run, --summary or --unlock look like a run.
    """
    running = workflow.is_main_process and workflow.executor_plugin is not None
    return running and not (workflow.dryrun or workflow.touch or VERIFIED)


@functools.cache
def begin(executing):
    """Before the first file is looked for: take the study's lock, open what stopped and may go on, record a revision.

    Unless this process is to run jobs, write nothing.
    """
    if not executing:
        return
    try:
        LOCKS.append(study_lock.hold(Path(STUDY), CONFIG.study))
        for product in (f"{DATA}/data.json", f"{EMBEDDING}/embedding.json"):  # studies share them
            if not os.path.exists(product):
                LOCKS.append(study_lock.hold_shared(Path(product).parent, CONFIG.study, Path(product)))
        if hasattr(workflow.executor_settings, "jobname_prefix"):
            prefix = workflow.executor_settings.jobname_prefix
            workflow.executor_settings.jobname_prefix = job_name(prefix, CONFIG.study)
        for name, strategy in CONFIG.extent.strategies.items():
            for folder in Path(STUDY, name).glob("t*"):
                resume.reopen(folder, strategy.options)
        protocol.guard(CONFIG, Path(STUDY), record=True)
    except (InputError, OSError) as error:
        raise WorkflowError(str(error)) from None
    for path in AHEAD:
        os.utime(path)


def frozen(path):
    """A finished file is a source: its job leaves the DAG, so nothing can run it again, and planning stays small.

    Sound because every file is written under another name and renamed: what exists is complete. `full_dag: true`
    brings all jobs back, for --report, --summary and --dag. A process that runs one job leaves out nothing: a group
    that is tried again finds files of its first attempt, and must make them again in the same order.
    """
    begin(executes())
    if CONFIG.full_dag or not workflow.is_main_process or not os.path.exists(path):
        return path
    if os.path.getmtime(path) > time.time():
        # A clock was ahead; Snakemake refuses outputs that are older than inputs.
        os.utime(path) if executes() else AHEAD.append(path)
    return before_update(path)


def file_of_package(name):
    """A file of the package that the rules run with, as a path from here: the same name wherever the checkout lies."""
    return os.path.relpath(PACKAGE / name)


def folder_of_study(wildcards):
    """The study's folder."""
    return STUDY


def trials_of_searches(wildcards):
    """The gathered trials of every search."""
    return [
        frozen(f"{STUDY}/{strategy}/t{trajectory}/trials_{EXTENT_NAME}.parquet")
        for strategy in STRATEGIES
        for trajectory in TRAJECTORIES
    ]


def runs_of_candidate(candidate):
    """Every file of the runs of one candidate that is trained after the search."""
    return [f"{STUDY}/confirm/{candidate}/s{seed}/{name}" for seed in CONFIRM_SEEDS for name in RUN_FILES]


def runs_of_confirmation(wildcards):
    """Every file of the runs that the plan asks for."""
    import polars  # here: every job of a cluster reads these lines, and few need it

    plan = checkpoints.plan_confirmation.get().output.plan
    candidates = polars.read_parquet(plan)["candidate"].unique().sort()
    return [frozen(path) for candidate in candidates for path in runs_of_candidate(candidate)]


def perturbed_of_confirmation(wildcards):
    """Predictions for changed proteins, of each candidate whose checkpoints the confirmation keeps."""
    import polars

    plan = polars.read_parquet(checkpoints.plan_confirmation.get().output.plan)
    kept = plan.filter(polars.col("purpose").is_in(list(BUNDLED)))["candidate"].unique().sort()
    return [frozen(f"{STUDY}/confirm/{candidate}/{PERTURBED}") for candidate in kept]


def bundle_of_study(wildcards):
    """The model bundle; without a confirmation of winners there is none."""
    confirmed = CONFIRM_SEEDS and BUNDLED & set(CONFIG.evidence.purposes)
    return [f"{STUDY}/bundle/{CONFIG.study}.zip"] if confirmed else []


def frozen_all(*paths):
    """`frozen` for paths with wildcards, as an input function. Each one is called for each job, at 0.3 ms."""
    return lambda wildcards: [frozen(path.format(**wildcards)) for path in paths]


def refuse_second_writers():
    """Before the first job: this run holds the study's lock, and none of an earlier run may be left in SLURM's queue."""
    if VERIFIED:
        return
    begin(executes())
    try:
        refuse_orphans(Path.cwd(), CONFIG.study)
    except InputError as error:
        raise WorkflowError(str(error)) from None


def warn_of_power():
    """Before the first job: why the design cannot answer its question."""
    if VERIFIED:
        return
    from tmelt.evidence.design_power import warnings  # here: every job reads these lines, and none needs it

    for line in warnings(CONFIG):
        print(f"warning: {line}", file=sys.stderr, flush=True)


def show_report():
    """Say where the model is that a lab takes home, and the page that a person wants to read."""
    bundle, page = Path(STUDY, "bundle", f"{CONFIG.study}.zip"), Path(STUDY, "report", "report.html")
    if bundle.exists():
        print(f"bundle: {bundle}", flush=True)
    if page.exists():
        print(f"report: {page}", flush=True)


def show_failures():
    """After a run that failed: why, from the logs of the jobs."""
    if said := describe_failures([Path(STUDY), Path(DATA), Path(EMBEDDING)], STARTED):
        print(said, file=sys.stderr)
    if said := describe_full_disk(Path(STUDY)):
        print(said, file=sys.stderr)


def as_json(part):
    """A part of the config as one word of a command line."""
    return json.dumps(part.model_dump(mode="json"), sort_keys=True)


def as_written(part):
    """The same with only the keys that the config has: a column that it names must be in the table."""
    return json.dumps(part.model_dump(mode="json", exclude_unset=True), sort_keys=True)


def sources_of_data(wildcards):
    """The files that a person's own data come from."""
    data = CONFIG.design.data
    return [path for path in (None if data.source == "synthetic" else data.source, data.fasta) if path]


def growing(amount):
    """A resource that grows with each attempt: what one was too short or too small for, the next may not be."""

    def resource(wildcards, attempt):
        return amount * attempt

    return resource


def training_threads(wildcards):
    """Cores of a training job: on a GPU its seeds train side by side, and each of them needs a core that feeds it."""
    together = CONFIG.design.device == "cuda" and CONFIG.runtime.seeds_per_job == "all"
    return CONFIG.runtime.threads * (len(SEEDS) if together else 1)


def side_by_side(threads):
    """How many seeds of a candidate train at once: as many as there are cores for."""
    at_once = max(1, threads // CONFIG.runtime.threads)
    return min(at_once, len(SEEDS)) if CONFIG.runtime.seeds_per_job == "all" else 1


def minutes_of(seeds, threads):
    """Upper bound for training so many seeds: a rehearsal, then one after another as far as they are not side by side."""
    budget = CONFIG.design.budget
    rounds = 1 + -(-seeds // side_by_side(threads))
    longest = max(1.5, budget.wall_factor if CONFIG.design.device == "cpu" else 1.0)  # in wall-clock time
    return int(3 + rounds * longest * (budget.fit_s + 3 * budget.predict_s) / 60)


def training_minutes(wildcards, attempt, threads):
    """Upper bound for a training job."""
    return minutes_of(len(SEEDS) if CONFIG.runtime.seeds_per_job == "all" else 1, threads) * attempt


def confirmation_minutes(wildcards, attempt, threads):
    """The same for a job after the search, some of which train four times as long."""
    return 4 * minutes_of(len(CONFIRM_SEEDS), threads) * attempt


def runs_scripts(wildcards):
    """Whether an agent's proposal may run scripts, because it has tools."""
    return CONFIG.extent.strategies[wildcards.strategy].options.get("tools") not in (None, "none")


def proposal_threads(wildcards):
    """Cores of a proposal: those of one run, where the agent's tools run scripts."""
    return CONFIG.runtime.threads if runs_scripts(wildcards) else 1


def proposal_gpus(wildcards):
    """GPUs of a proposal."""
    return int(CONFIG.design.device == "cuda" and runs_scripts(wildcards))


def proposal_megabytes(wildcards, attempt):
    """Memory of a proposal, and of the script that its tools run."""
    return (2000 + (CONFIG.design.budget.memory_mb if runs_scripts(wildcards) else 0)) * attempt


def training_megabytes(wildcards, attempt, threads):
    """The candidates' memory budgets, and what Snakemake (twice, in a job of a cluster) and the harness need."""
    return (CONFIG.design.budget.memory_mb * side_by_side(threads) + 1500) * attempt


def job_group(wildcards):
    """Which jobs make one job of a cluster: train and score of a trial, or the whole trials of a block.

    An agent's proposals stay out, for a compute node may have no network.
    """
    iteration = int(wildcards.iteration)
    search = f"{CONFIG.study}-{wildcards.strategy}-t{wildcards.trajectory}"
    if CONFIG.runtime.group == "trial" or CONFIG.extent.strategies[wildcards.strategy].kind in AGENTS:
        return f"{search}-i{iteration}"
    return f"{search}-b{iteration // CONFIG.runtime.block}"


def literally(text):
    """`text` as a parameter; Snakemake would take the braces of a plain string for wildcards."""

    def parameter(wildcards):
        return text

    return parameter


def folder_of_output(wildcards, output):
    """The folder of a rule's first output."""
    return str(Path(output[0]).parent)


def folder_of_tables(wildcards, input):
    """The folder of the tables that the report reads."""
    return str(Path(input.tables[0]).parent)


def folders_of_runs(wildcards, output):
    """The folder of each seed whose files a training job makes, in the order of the seeds."""
    return list(dict.fromkeys(str(Path(path).parent) for path in output))


def folders_of_scored_runs(wildcards, input):
    """The folder of each seed whose files a scoring job reads."""
    return list(dict.fromkeys(str(Path(path).parent) for path in input.runs))


def folder_of_trajectory(wildcards):
    """The folder of a search."""
    return TRAJECTORY.format(strategy=wildcards.strategy, trajectory=wildcards.trajectory)


def settings_of(wildcards):
    """One strategy of the config as JSON."""
    return as_json(CONFIG.extent.strategies[wildcards.strategy])


def model_of(strategy):
    """The name of the model that a strategy asks; None for the playbook and for strategies that ask none."""
    chosen = CONFIG.extent.strategies[strategy]
    return model_id(chosen.kind, chosen.options, MEMORY_TOKENS) if chosen.kind in AGENTS else None


def strategy_of_model(wildcards):
    """One of the strategies that ask a model; what a probe depends on is the same for all of them."""
    return next(name for name in STRATEGIES if model_of(name) == wildcards.model)


def options_of_model(wildcards):
    """The options of a model's strategy as JSON."""
    return json.dumps(CONFIG.extent.strategies[strategy_of_model(wildcards)].options, sort_keys=True)


def longest_prompt_of_model(wildcards):
    """Tokens of the longest prompt for a model."""
    chosen = CONFIG.extent.strategies[strategy_of_model(wildcards)]
    return longest_prompt(chosen.kind, chosen.options, MEMORY_TOKENS)


def dialect_of_strategy(wildcards):
    """What a probe found out about a strategy's model; nothing where no LLM is asked, as for the baseline."""
    model = model_of(wildcards.strategy)
    return [] if model is None or int(wildcards.iteration) == 0 else [frozen(f"{STUDY}/models/{model}/dialect.json")]


def rehearsal(wildcards):
    """That the reference script works in the sandbox, before trial 0 is trained."""
    return [frozen(f"{STUDY}/rehearsal.json")] if int(wildcards.iteration) == 0 else []


def baseline_of_model(wildcards):
    """A scored baseline: no model is asked before there is one."""
    return [frozen(f"{STUDY}/{strategy_of_model(wildcards)}/t0/i0/history.parquet")]


def names_of(agents):
    """Regular expression of the strategies that call an LLM, or of those that do not."""
    chosen = [name for name, strategy in CONFIG.extent.strategies.items() if (strategy.kind in AGENTS) == agents]
    return "|".join(chosen) or "none^"


def previous_history(wildcards):
    """The history before this trial; none before the first."""
    iteration = int(wildcards.iteration)
    if iteration == 0:
        return []
    path = f"{STUDY}/{wildcards.strategy}/t{wildcards.trajectory}/i{iteration - 1}/history.parquet"
    if not workflow.is_main_process and iteration % CONFIG.runtime.block == 0:
        return before_update(path)  # a group ends with its block: what came before it is none of its business
    return frozen(path)


def runs_of_trial(wildcards):
    """Every file of a trial's runs, seed by seed."""
    trial = TRIAL.format(**wildcards)
    return [frozen(f"{trial}/s{seed}/{name}") for seed in SEEDS for name in RUN_FILES]


def block_ends():
    """The last trial of each block, in order."""
    block = CONFIG.runtime.block
    return [min(start + block - 1, ITERATIONS) for start in range(0, ITERATIONS + 1, block)]


def blocks_of_trajectory(wildcards):
    """The blocks of a search in ascending order, each with its marker and its trials; a stopped search has fewer.

    They unfold one after another. That keeps Snakemake's recursion shallow: an unbroken chain of 300 trials exceeds
    its limit.
    """
    begin(executes())
    folder = TRAJECTORY.format(**wildcards)
    start = 0
    for end in block_ends():
        marker = f"{folder}/blocks/{end}.json"
        if not os.path.exists(marker):
            checkpoints.close_block.get(**wildcards, iteration=end)
        last = json.loads(Path(marker).read_text(encoding="utf-8"))
        stopped = last["status"] == "stopped"
        yield marker, [
            f"{folder}/i{iteration}" for iteration in range(start, last["stopped_at"] if stopped else end + 1)
        ]
        if stopped:
            return
        start = end + 1


def blocks_and_what_they_lack(wildcards):
    """The marker of each closed block of a search, or what is missing of the block: seeds added to the extent later are
    trained for earlier trials, too. Listing what is there would only cost time: 4,000 files for 1,000 trials.
    """
    needed = []
    for marker, trials in blocks_of_trajectory(wildcards):
        files = [
            f"{trial}/{name}"
            for trial in trials
            for name in ["trial.parquet", *(f"s{seed}/run.parquet" for seed in SEEDS)]
        ]
        missing = [path for path in files if CONFIG.full_dag or not os.path.exists(path)]
        needed += missing or [frozen(marker)]
    return needed
