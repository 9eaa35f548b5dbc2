"""One search: propose → train → score, trial after trial; blocks of trials unfold one after the other.

In   protocol.json, data and embedding; the history before the trial
Out  results/{study}/rehearsal.json: the reference script works in the sandbox, before anything is spent;
     results/{study}/models/{model}/dialect.json: how an LLM wants to be asked, before the first trial that asks it;
     results/{study}/{strategy}/t{trajectory}/i{iteration}/: proposal, runs per seed, trial.parquet, history.parquet;
     per search trials_{extent}.parquet and results_{extent}.tsv
"""

PROPOSE = (
    "python scripts/propose.py --protocol {input.protocol:q} --proteins {input.proteins:q}"
    " --embedding {input.embedding:q} --strategy {wildcards.strategy:q}"
    " --settings {params.settings:q} --trajectory {wildcards.trajectory:q} --iteration {wildcards.iteration:q}"
    " --iterations {params.iterations:q} --history {input.history:q} --dialect {input.dialect:q} --replay {params.replay:q} --folder {params.folder:q}"
    " 2> {log:q}"
)
TRAIN = (
    "python scripts/train_run.py --protocol {input.protocol:q} --embedding {input.embedding:q}"
    " --proteins {input.proteins:q} --proposal {input.proposal:q} --seeds {params.seeds:q}"
    " --folders {params.folders:q} --journal {params.journal:q} --cores {threads} 2> {log:q}"
)


rule describe_strategy:
    input:
        frozen_all(f"{STUDY}/protocol.json"),
    output:
        f"{STUDY}/{{strategy}}/strategy.json",
    log:
        f"{STUDY}/{{strategy}}/describe_strategy.log",
    conda:
        "../envs/tmelt.yaml"
    params:
        config=literally(as_json(CONFIG)),
    shell:
        "python scripts/describe_strategy.py --config {params.config:q} --strategy {wildcards.strategy:q}"
        " --described {output:q} 2> {log:q}"


rule rehearse_baseline:
    input:
        protocol=frozen_all(f"{STUDY}/protocol.json"),
        embedding=frozen_all(f"{EMBEDDING}/embedding.json"),
        proteins=frozen_all(f"{DATA}/proteins.parquet"),
    output:
        f"{STUDY}/rehearsal.json",
    log:
        f"{STUDY}/logs/rehearse_baseline.log",
    retries: 2
    conda:
        "../envs/tmelt.yaml"
    threads: CONFIG.runtime.threads
    resources:
        gpu=int(CONFIG.design.device == "cuda"),
        runtime=growing(10),
        mem_mb=training_megabytes,
    shell:
        "python scripts/rehearse_baseline.py --protocol {input.protocol:q} --embedding {input.embedding:q}"
        " --proteins {input.proteins:q} --rehearsal {output:q} 2> {log:q}"


rule probe_model:
    input:
        baseline_of_model,
    output:
        f"{STUDY}/models/{{model}}/dialect.json",
    log:
        f"{STUDY}/models/{{model}}/probe_model.log",
    retries: 2
    localrule: CONFIG.runtime.local_steps
    conda:
        "../envs/tmelt.yaml"
    resources:
        llm=1,
        runtime=growing(60),
        mem_mb=growing(2000),
    params:
        settings=options_of_model,
        longest_prompt=longest_prompt_of_model,
        replay=CONFIG.runtime.replay,
    shell:
        "python scripts/probe_model.py --settings {params.settings:q} --longest-prompt {params.longest_prompt:q}"
        " --replay {params.replay:q} --dialect {output:q} 2> {log:q}"


rule propose_by_agent:
    input:
        protocol=frozen(f"{STUDY}/protocol.json"),
        proteins=frozen(f"{DATA}/proteins.parquet"),
        embedding=frozen(f"{EMBEDDING}/embedding.json"),
        strategy=frozen_all(f"{STUDY}/{{strategy}}/strategy.json"),
        history=previous_history,
        dialect=dialect_of_strategy,
    output:
        proposal=f"{TRIAL}/proposal.json",
        script=f"{TRIAL}/train.py",
    log:
        f"{TRIAL}/propose.log",
    wildcard_constraints:
        strategy=names_of(agents=True),
    retries: 2
    localrule: CONFIG.runtime.local_steps
    conda:
        "../envs/tmelt.yaml"
    threads: proposal_threads
    resources:
        llm=1,
        gpu=proposal_gpus,
        runtime=growing(120),
        mem_mb=proposal_megabytes,
    params:
        settings=settings_of,
        folder=folder_of_output,
        iterations=ITERATIONS,
        replay=CONFIG.runtime.replay,
    shell:
        PROPOSE


use rule propose_by_agent as propose with:
    wildcard_constraints:
        strategy=names_of(agents=False),
    group:
        job_group if CONFIG.runtime.group == "block" else None
    localrule: CONFIG.runtime.local_steps
    threads: 1
    resources:
        gpu=0,
        runtime=growing(5),
        mem_mb=growing(2000),


rule train_run:
    input:
        protocol=frozen(f"{STUDY}/protocol.json"),
        embedding=frozen(f"{EMBEDDING}/embedding.json"),
        proteins=frozen(f"{DATA}/proteins.parquet"),
        proposal=frozen_all(f"{TRIAL}/proposal.json"),
        script=frozen_all(f"{TRIAL}/train.py"),
        rehearsal=rehearsal,
    output:
        [f"{TRIAL}/s{{seed}}/{name}" for name in RUN_FILES],
    log:
        f"{TRIAL}/train_run_s{{seed}}.log",
    retries: 2
    group:
        job_group if CONFIG.runtime.group != "none" else None
    conda:
        "../envs/tmelt.yaml"
    threads: training_threads
    resources:
        gpu=int(CONFIG.design.device == "cuda"),
        runtime=training_minutes,
        mem_mb=training_megabytes,
    params:
        seeds="{seed}",
        folders=folders_of_runs,
        journal=f"{STUDY}/journal/runs",
    shell:
        TRAIN


if CONFIG.runtime.seeds_per_job == "all":

    ruleorder: train_trial > train_run

    use rule train_run as train_trial with:
        output:
            [f"{TRIAL}/s{seed}/{name}" for seed in SEEDS for name in RUN_FILES],
        log:
            f"{TRIAL}/train_trial.log",
        params:
            seeds=SEEDS,
            folders=folders_of_runs,
            journal=f"{STUDY}/journal/runs",


rule score_trial:
    input:
        protocol=frozen(f"{STUDY}/protocol.json"),
        labels=frozen(f"{DATA}/vault/val.parquet"),
        proteins=frozen(f"{DATA}/proteins.parquet"),
        proposal=frozen_all(f"{TRIAL}/proposal.json"),
        script=frozen_all(f"{TRIAL}/train.py"),
        runs=runs_of_trial,
        history=previous_history,
    output:
        trial=f"{TRIAL}/trial.parquet",
        history=f"{TRIAL}/history.parquet",
    log:
        f"{TRIAL}/score_trial.log",
    group:
        job_group if CONFIG.runtime.group != "none" else None
    localrule: CONFIG.runtime.local_steps
    conda:
        "../envs/tmelt.yaml"
    resources:
        runtime=growing(5),
        mem_mb=growing(2000),
    params:
        runs=folders_of_scored_runs,
    shell:
        "python scripts/score_trial.py --protocol {input.protocol:q} --labels {input.labels:q}"
        " --proteins {input.proteins:q}"
        " --proposal {input.proposal:q} --strategy {wildcards.strategy:q} --trajectory {wildcards.trajectory:q}"
        " --iteration {wildcards.iteration:q} --runs {params.runs:q} --history-before {input.history:q}"
        " --trial {output.trial:q} --history {output.history:q} 2> {log:q}"


checkpoint close_block:
    input:
        frozen_all(f"{TRIAL}/history.parquet"),
    output:
        f"{TRAJECTORY}/blocks/{{iteration}}.json",
    log:
        f"{TRAJECTORY}/blocks/{{iteration}}.log",
    conda:
        "../envs/tmelt.yaml"
    shell:
        "python scripts/close_block.py --history {input:q} --block {output:q} 2> {log:q}"


rule gather_trajectory:
    input:
        blocks_and_what_they_lack,
    output:
        trials=f"{TRAJECTORY}/trials_{EXTENT_NAME}.parquet",
        ledger=f"{TRAJECTORY}/results_{EXTENT_NAME}.tsv",
    log:
        f"{TRAJECTORY}/gather_trajectory_{EXTENT_NAME}.log",
    conda:
        "../envs/tmelt.yaml"
    params:
        trajectory=folder_of_trajectory,
        iterations=ITERATIONS,
    shell:
        "python scripts/gather_trajectory.py --trajectory {params.trajectory:q} --iterations {params.iterations:q}"
        " --trials {output.trials:q} --ledger {output.ledger:q} 2> {log:q}"
