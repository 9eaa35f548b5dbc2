"""One search: propose → train → score, trial after trial; blocks of trials unfold one after the other.

In   protocol.json, data and embedding; the history before the trial
Out  results/{study}/rehearsal.json: the reference script works in the sandbox, before anything is spent;
     results/{study}/models/{model}/dialect.json: how an LLM wants to be asked, before the first trial that asks it;
     results/{study}/{strategy}/t{trajectory}/i{iteration}/: proposal, runs per seed, trial.parquet, history.parquet;
     per search trials_{extent}.parquet and results_{extent}.tsv
"""


rule describe_strategy:
    input:
        frozen_all(f"{STUDY}/protocol.json"),
    output:
        described=f"{STUDY}/{{strategy}}/strategy.json",
    log:
        f"{STUDY}/{{strategy}}/describe_strategy.log",
    conda:
        "../envs/tmelt.yaml"
    params:
        command=script("describe_strategy", config=as_json(CONFIG), strategy=partial(wildcard, "strategy")),
    shell:
        RUN


rule rehearse_baseline:
    input:
        protocol=frozen_all(f"{STUDY}/protocol.json"),
        embedding=frozen_all(f"{EMBEDDING}/embedding.json"),
        proteins=frozen_all(f"{DATA}/proteins.parquet"),
    output:
        rehearsal=f"{STUDY}/rehearsal.json",
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
    params:
        command=script("rehearse_baseline"),
    shell:
        RUN


rule probe_model:
    input:
        baseline_of_model,
    output:
        dialect=f"{STUDY}/models/{{model}}/dialect.json",
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
        command=script(
            "probe_model",
            settings=options_of_model,
            longest_prompt=longest_prompt_of_model,
            replay=CONFIG.runtime.replay,
            replay_from=CONFIG.replay_from,
        ),
    shell:
        RUN


rule propose_by_agent:
    input:
        frozen_all(f"{STUDY}/{{strategy}}/strategy.json"),
        protocol=frozen(f"{STUDY}/protocol.json"),
        proteins=frozen(f"{DATA}/proteins.parquet"),
        embedding=frozen(f"{EMBEDDING}/embedding.json"),
        history=previous_history,
        dialect=dialect_of_strategy,
    output:
        f"{TRIAL}/proposal.json",
        f"{TRIAL}/train.py",
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
        command=script_of_trial(
            "propose",
            settings=settings_of,
            folder=folder_of_output,
            iterations=iterations_of,
            **budget_of_search(),
            replay=CONFIG.runtime.replay,
            replay_from=CONFIG.replay_from,
        ),
    shell:
        RUN


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
        frozen_all(f"{TRIAL}/train.py"),
        rehearsal,
        protocol=frozen(f"{STUDY}/protocol.json"),
        embedding=frozen(f"{EMBEDDING}/embedding.json"),
        proteins=frozen(f"{DATA}/proteins.parquet"),
        proposal=frozen_all(f"{TRIAL}/proposal.json"),
    output:
        f"{TRIAL}/s{{seed}}/{RUN_FILE}",
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
        command=script(
            "train_run", seeds=partial(wildcard, "seed"), folders=folders_of_output, journal=JOURNAL, cores=cores
        ),
    shell:
        RUN


if CONFIG.runtime.seeds_per_job == "all":

    ruleorder: train_trial > train_run

    use rule train_run as train_trial with:
        output:
            [f"{TRIAL}/s{seed}/{RUN_FILE}" for seed in SEEDS],
        log:
            f"{TRIAL}/train_trial.log",
        params:
            command=script("train_run", seeds=SEEDS, folders=folders_of_output, journal=JOURNAL, cores=cores),


rule score_trial:
    input:
        frozen_all(f"{TRIAL}/train.py"),
        runs_of_trial,
        protocol=frozen(f"{STUDY}/protocol.json"),
        labels=frozen(f"{DATA}/vault/val.parquet"),
        proteins=frozen(f"{DATA}/proteins.parquet"),
        proposal=frozen_all(f"{TRIAL}/proposal.json"),
        history_before=previous_history,
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
        command=script_of_trial("score_trial", runs=folders_of_seeds),
    shell:
        RUN


checkpoint close_block:
    input:
        history=frozen_all(f"{TRIAL}/history.parquet"),
    output:
        block=f"{TRAJECTORY}/blocks/{{iteration}}.json",
    log:
        f"{TRAJECTORY}/blocks/{{iteration}}.log",
    conda:
        "../envs/tmelt.yaml"
    params:
        command=script("close_block"),
    shell:
        RUN


rule gather_trajectory:
    input:
        blocks_and_what_they_lack,
    output:
        trials=f"{TRAJECTORY}/trials_{{extent}}.parquet",
        ledger=f"{TRAJECTORY}/results_{{extent}}.tsv",
    log:
        f"{TRAJECTORY}/gather_trajectory_{{extent}}.log",
    conda:
        "../envs/tmelt.yaml"
    params:
        command=script("gather_trajectory", trajectory=folder_of_output, iterations=most_trials_of),
    shell:
        RUN
