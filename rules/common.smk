"""Names and helpers that all rules share: the validated config, folders, frozen files, the study's guard.

In   config (config.yaml or --configfile), results/ as it stands
Out  CONFIG, DATA, EMBEDDING, STUDY, TRAJECTORY, TRIAL and the functions below. Reading this file also checks the study
     (tmelt.study.protocol.guard; a revision is recorded) and reopens searches whose stop no longer holds (tmelt.study.resume);
     a dry run leaves both alone.
"""

import functools
import json
import os
import sys
import time
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import polars
from snakemake.exceptions import WorkflowError

from tmelt.study import external, lock as study_lock, protocol, resume
from tmelt.bundle import BUNDLED
from tmelt.study.config import FRESH_SEEDS, parse_config
from tmelt.errors import InputError
from tmelt.evidence.make import MAKERS, inputs_of
from tmelt.evidence.make import TABLES as TABLE_NAMES
from tmelt.jobs.failed_jobs import describe_failures, describe_full_disk
from tmelt.study.identity import PACKAGE, backbone_id, dataset_id
from tmelt.jobs import amounts
from tmelt.jobs.command_line import script_command
from tmelt.jobs.known_files import know_files
from tmelt.llm.model_id import longest_prompt, model_id
from tmelt.jobs.orphans import job_name, refuse_orphans
from tmelt.study.replay_from import check_replay_from
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
        check_replay_from(CONFIG, Path(STUDY))
except InputError as error:
    raise WorkflowError(str(error)) from None

if workflow.is_main_process:
    know_files()

# As a path from here, wherever the checkout lies: also with --directory, and where this workflow is a module.
SCRIPTS = os.path.relpath(os.path.join(workflow.current_basedir.get_path_or_uri(secret_free=True), "../scripts"))
STARTED = time.time()
SEEDS = list(CONFIG.extent.seeds)
TABLES = f"{STUDY}/tables"
EVIDENCE = f"{STUDY}/evidence"
JOURNAL = f"{STUDY}/journal/runs"
PLAN = f"{STUDY}/confirm/{amounts.plan_name(CONFIG)}"
RUN = "{params.command} 2> {log:q}"
CONFIRM_SEEDS = [FRESH_SEEDS + number for number in range(CONFIG.extent.confirm_seeds)]
STRATEGIES = list(CONFIG.extent.strategies)
TRAJECTORIES = range(CONFIG.extent.trajectories)
TRAJECTORY = f"{STUDY}/{{strategy}}/t{{trajectory}}"
TRIAL = f"{TRAJECTORY}/i{{iteration}}"
AHEAD = []  # files from the future, by this machine's clock
LOCKS = []  # held until this process ends (tmelt.study.lock)
FINISHED = {}  # files that were found, and when they were changed; what is complete stays
# More fresh seeds are more runs and more predictions.
CONFIRMED = f"runs_c{len(CONFIRM_SEEDS)}.parquet"
PERTURBED = f"perturbed_c{len(CONFIRM_SEEDS)}.parquet"
PREDICTED = f"external_{{external}}_c{len(CONFIRM_SEEDS)}.parquet"
RUN_FILE = "run.parquet"  # written last, so that it stands for curve, predictions and log beside it


wildcard_constraints:
    strategy="[a-z][a-z0-9_]*",
    trajectory=r"\d+",
    iteration=r"\d+",
    seed=r"\d+",
    candidate="[0-9a-f]+",
    external="[a-z][a-z0-9_]*",
    model="[0-9a-f]+",
    extent=r"n\d+_s\d+(_(device_s|usd)[0-9.]+)?",


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
                resume.reopen(folder, strategy.options, *CONFIG.extent.limits_of(name))
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
    if CONFIG.full_dag or not workflow.is_main_process or not is_finished(path):
        return path
    if FINISHED[path] > time.time():
        # A clock was ahead; Snakemake refuses outputs that are older than inputs.
        os.utime(path) if executes() else AHEAD.append(path)
        FINISHED[path] = time.time()
    return before_update(path)


def is_finished(path):
    """Whether a file is there. It is looked for until it is, and no more: a look costs time on a shared file system."""
    if path in FINISHED:
        return True
    try:
        FINISHED[path] = os.stat(path).st_mtime
    except FileNotFoundError:
        return False
    return True


def file_of_package(name):
    """A file of the package that the rules run with, as a path from here: the same name wherever the checkout lies."""
    return os.path.relpath(PACKAGE / name)


def trials_of_searches(wildcards):
    """The gathered trials of every search."""
    return [
        frozen(f"{STUDY}/{strategy}/t{trajectory}/trials_{amounts.extent_name(CONFIG, strategy)}.parquet")
        for strategy in STRATEGIES
        for trajectory in TRAJECTORIES
    ]


def candidates_of_plan(*purposes):
    """The candidates that the plan asks for; with `purposes`, for one of these."""
    plan = polars.read_parquet(checkpoints.plan_confirmation.get().output.plan)
    wanted = plan.filter(polars.col("purpose").is_in(purposes)) if purposes else plan
    return wanted["candidate"].unique().sort()


def runs_of_confirmation(wildcards):
    """The runs of each candidate that the plan asks for."""
    return [frozen(f"{STUDY}/confirm/{candidate}/{CONFIRMED}") for candidate in candidates_of_plan()]


def perturbed_of_confirmation(wildcards):
    """Predictions for changed proteins, of each candidate whose checkpoints the confirmation keeps."""
    return [frozen(f"{STUDY}/confirm/{candidate}/{PERTURBED}") for candidate in candidates_of_plan(*BUNDLED)]


def of_external_sets(path):
    """A file of each external set, with the set's name for `{external}`: nothing where no winner is confirmed."""
    confirmed = CONFIRM_SEEDS and BUNDLED & set(CONFIG.evidence.purposes)
    return [path.replace("{external}", name) for name in CONFIG.design.external] if confirmed else []


def settings_of_set(job):
    """What an external set's table is read with, as JSON."""
    name = job.wildcards.external
    return as_written(CONFIG.design.external[name].data(name, CONFIG.design.data))


def identity_of_set(job):
    """Hash of the same and of the files."""
    return external.identity_of(CONFIG, job.wildcards.external)


def sources_of_set(wildcards):
    """The files that an external set comes from."""
    told = CONFIG.design.external[wildcards.external]
    return [path for path in (told.source, told.fasta) if path]


def embeddings_of_set(job):
    """Where the embeddings of a set are, if the config says so."""
    return CONFIG.design.external[job.wildcards.external].embeddings


def predicted_of_set(wildcards):
    """What each candidate with kept checkpoints predicted of a set."""
    name = PREDICTED.format(external=wildcards.external)
    return [frozen(f"{STUDY}/confirm/{candidate}/{name}") for candidate in candidates_of_plan(*BUNDLED)]


def bundle_of_study(wildcards):
    """The model bundle; without a confirmation of winners there is none."""
    confirmed = CONFIRM_SEEDS and BUNDLED & set(CONFIG.evidence.purposes)
    return [f"{STUDY}/bundle/{CONFIG.study}.zip"] if confirmed else []


def results_of_study(wildcards):
    """The files that RO-Crate metadata describe."""
    bundle = bundle_of_study(wildcards)
    return [
        f"{STUDY}/report/report.html",
        f"{STUDY}/export/optuna.db",
        *(f"{TABLES}/{name}.parquet" for name in TABLE_NAMES),
        *(f"{STUDY}/export/{name}.csv" for name in TABLE_NAMES),
        *bundle,
        *([f"{STUDY}/bundle/model_card.md"] if bundle else []),
    ]


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
    """Say where the model and the page are."""
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
    """The files that the user's own data come from."""
    data = CONFIG.design.data
    return [path for path in (None if data.source == "synthetic" else data.source, data.fasta) if path]


def growing(amount):
    """A resource that grows with each attempt: what one was too short or too small for, the next may not be."""

    def resource(wildcards, attempt):
        return amount * attempt

    return resource


def training_threads(wildcards):
    """Cores of a training job."""
    return amounts.training_threads(CONFIG)


def training_minutes(wildcards, attempt, threads):
    """Upper bound for the wall-clock time of a training job."""
    seeds = len(SEEDS) if CONFIG.runtime.seeds_per_job == "all" else 1
    return amounts.training_minutes(CONFIG, seeds, threads) * attempt


def confirmation_minutes(wildcards, attempt, threads):
    """The same for a job after the search, some of which train four times as long."""
    return 4 * amounts.training_minutes(CONFIG, len(CONFIRM_SEEDS), threads) * attempt


def runs_scripts(wildcards):
    """Whether an agent's proposal may run scripts, because it has tools."""
    return options_in_force(wildcards.strategy).get("tools") not in (None, "none")


def options_in_force(strategy):
    """The options of a strategy, with those that count where the config is silent."""
    chosen = CONFIG.extent.strategies[strategy]
    return {**kind_of(chosen.kind).defaults, **chosen.options}


def proposal_threads(wildcards):
    """Cores of a proposal: those of one run, where the agent's tools run scripts."""
    return CONFIG.runtime.threads if runs_scripts(wildcards) else 1


def proposal_gpus(wildcards):
    """GPUs of a proposal."""
    return int(CONFIG.design.device == "cuda" and runs_scripts(wildcards))


def proposal_megabytes(wildcards, attempt):
    """Memory of a proposal, of the script that its tools run, and of a program of the user's."""
    program = options_in_force(wildcards.strategy).get("memory_mb", 0)
    return (2000 + program + (CONFIG.design.budget.memory_mb if runs_scripts(wildcards) else 0)) * attempt


def training_megabytes(wildcards, attempt, threads):
    """Upper bound for the memory of a training job."""
    return amounts.training_megabytes(CONFIG, threads) * attempt


def job_group(wildcards):
    """Which jobs make one job of a cluster."""
    return amounts.job_group(CONFIG, wildcards.strategy, int(wildcards.trajectory), int(wildcards.iteration))


def script(name, *words, **values):
    """Command line of a script: the rule's inputs and outputs that have names, and `values`, as `--name value …`.

    A value that is a function is called with the job (wildcards, input, output, threads). An input or output that the
    script is not told has no name.
    """

    def command(wildcards, input, output, threads):
        job = SimpleNamespace(wildcards=wildcards, input=input, output=output, threads=threads)
        told = {option: value(job) if callable(value) else value for option, value in values.items()}
        return script_command(f"{SCRIPTS}/{name}", *words, **dict(input.items()), **dict(output.items()), **told)

    return command


def script_of_trial(name, **values):
    """The same, told the trial that the job is part of."""
    trial = {option: partial(wildcard, option) for option in ("strategy", "trajectory", "iteration")}
    return script(name, **trial, **values)


def wildcard(name, job):
    """The value of one of a job's wildcards."""
    return job.wildcards[name]


def cores(job):
    """The cores of a job."""
    return job.threads


def folder_of_output(job):
    """The folder of a job's first output."""
    return Path(job.output[0]).parent


def folders_of_output(job):
    """The folder of each output: those of the seeds that a training job trains, in their order."""
    return [Path(path).parent for path in job.output]


def folders_of_seeds(job):
    """The folder of each seed of a trial."""
    return [f"{TRIAL.format(**job.wildcards)}/s{seed}" for seed in SEEDS]


def folder_of_candidate(job):
    """The folder of a candidate that is trained after the search."""
    return f"{STUDY}/confirm/{job.wildcards.candidate}"


def iterations_of(job):
    """Trials of a search after the baseline, at most; cheap ones count as shares of a full one."""
    return CONFIG.extent.trials_of(job.wildcards.strategy)


def most_trials_of(job):
    """The same, where every trial counts."""
    return CONFIG.extent.most_trials_of(job.wildcards.strategy)


def budget_of_search():
    """Options of a proposal: the budget of its search, where it is not one of trials alone."""
    return dict(zip(("unit", "limit"), CONFIG.extent.limit or ()))


def settings_of(job):
    """One strategy of the config as JSON."""
    return as_json(CONFIG.extent.strategies[job.wildcards.strategy])


def model_of(strategy):
    """The name of the model that a strategy asks; None for the playbook and for strategies that ask none."""
    chosen = CONFIG.extent.strategies[strategy]
    return model_id(chosen.kind, chosen.options, MEMORY_TOKENS) if chosen.kind in AGENTS else None


def strategy_of_model(model):
    """One of the strategies that ask a model; what a probe depends on is the same for all of them."""
    return next(name for name in STRATEGIES if model_of(name) == model)


def options_of_model(job):
    """The options of a model's strategy as JSON."""
    return json.dumps(CONFIG.extent.strategies[strategy_of_model(job.wildcards.model)].options, sort_keys=True)


def longest_prompt_of_model(job):
    """Tokens of the longest prompt for a model."""
    chosen = CONFIG.extent.strategies[strategy_of_model(job.wildcards.model)]
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
    return [frozen(f"{STUDY}/{strategy_of_model(wildcards.model)}/t0/i0/history.parquet")]


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
        return before_update(path)  # a group ends with its block: what came before it does not matter to it
    return frozen(path)


def runs_of_trial(wildcards):
    """A trial's runs, seed by seed."""
    trial = TRIAL.format(**wildcards)
    return [frozen(f"{trial}/s{seed}/{RUN_FILE}") for seed in SEEDS]


def blocks_of_trajectory(wildcards):
    """The blocks of a search in ascending order, each with its marker and its trials; a stopped search has fewer.

    They unfold one after another. That keeps Snakemake's recursion shallow: an unbroken chain of 300 trials exceeds
    its limit.
    """
    begin(executes())
    folder = TRAJECTORY.format(**wildcards)
    for trials in amounts.blocks(CONFIG.extent.most_trials_of(wildcards.strategy), CONFIG.runtime.block):
        marker = f"{folder}/blocks/{trials[-1]}.json"
        if not is_finished(marker):
            checkpoints.close_block.get(**wildcards, iteration=trials[-1])
        stop = first_stopped(marker)
        yield marker, [f"{folder}/i{iteration}" for iteration in trials if stop is None or iteration < stop]
        if stop is not None:
            return


@functools.cache
def first_stopped(marker):
    """The first trial of a block that the search's stop left out; None if the search goes on."""
    last = json.loads(Path(marker).read_text(encoding="utf-8"))
    return last["stopped_at"] if last["status"] == "stopped" else None


def blocks_and_what_they_lack(wildcards):
    """The marker of each closed block of a search, or what is missing of the block: seeds added to the extent later are
    trained for earlier trials as well. Listing what is there would only cost time: 4,000 files for 1,000 trials.
    """
    needed = []
    for marker, trials in blocks_of_trajectory(wildcards):
        files = [
            f"{trial}/{name}"
            for trial in trials
            for name in ["trial.parquet", *(f"s{seed}/{RUN_FILE}" for seed in SEEDS)]
        ]
        missing = [path for path in files if CONFIG.full_dag or not is_finished(path)]
        needed += missing or [frozen(marker)]
    return needed
