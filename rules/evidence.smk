"""After the searches: what their winners are worth, measured on fresh seeds and on test, and where the gains came from.

In   the gathered trials of all searches, the vault
Out  results/{study}/confirm/ (what was trained afterwards, and what it predicts for changed proteins), tables/*.parquet, vault_log.json (each opening of the labels)
"""

TABLES = f"{STUDY}/tables"
EVIDENCE = f"{STUDY}/evidence"
LAST_INCUMBENTS = f"{EVIDENCE}/last_incumbents_k{CONFIG.evidence.incumbents}.parquet"
# What is wanted is in the name: more seeds or purposes are planned anew, and finished runs stay.
WANTED = [
    f"k{CONFIG.evidence.incumbents}",
    f"c{len(CONFIRM_SEEDS)}",
    *sorted(set(CONFIG.evidence.purposes)),
    *["every"] * CONFIG.evidence.every_search,
]
if "interaction" in CONFIG.evidence.purposes:
    WANTED.append(f"i{CONFIG.evidence.interaction_runs}")
PLAN = f"{STUDY}/confirm/plan_{'_'.join(WANTED)}.parquet"


rule tabulate_trials:
    input:
        trials_of_searches,
    output:
        trials=f"{TABLES}/trials.parquet",
        not_tried=f"{TABLES}/not_tried.parquet",
    log:
        f"{STUDY}/logs/tabulate_trials.log",
    conda:
        "../envs/tmelt.yaml"
    resources:
        runtime=30,
        mem_mb=4000,
    shell:
        "python scripts/tabulate_trials.py --histories {input:q} --trials {output.trials:q}"
        " --not-tried {output.not_tried:q} 2> {log:q}"


rule choose_winners:
    input:
        trials=f"{TABLES}/trials.parquet",
        select=frozen_all(f"{DATA}/vault/select.parquet"),
    output:
        last_incumbents=LAST_INCUMBENTS,
    log:
        f"{STUDY}/logs/choose_winners.log",
    conda:
        "../envs/tmelt.yaml"
    resources:
        runtime=30,
        mem_mb=4000,
    params:
        study=folder_of_study,
        incumbents=CONFIG.evidence.incumbents,
    shell:
        "python scripts/choose_winners.py --study {params.study:q} --trials {input.trials:q} --select {input.select:q}"
        " --count {params.incumbents} --last-incumbents {output.last_incumbents:q} 2> {log:q}"


checkpoint plan_confirmation:
    input:
        trials=f"{TABLES}/trials.parquet",
        last_incumbents=LAST_INCUMBENTS,
        protocol=frozen_all(f"{STUDY}/protocol.json"),
        proteins=frozen_all(f"{DATA}/proteins.parquet"),
    output:
        plan=PLAN,
    log:
        f"{STUDY}/logs/plan_confirmation.log",
    conda:
        "../envs/tmelt.yaml"
    resources:
        runtime=30,
        mem_mb=4000,
    params:
        study=folder_of_study,
        seeds=CONFIRM_SEEDS,
        purposes=CONFIG.evidence.purposes,
        every_search="--every-search" if CONFIG.evidence.every_search else "--no-every-search",
        interaction_runs=CONFIG.evidence.interaction_runs,
    shell:
        "python scripts/plan_confirmation.py --study {params.study:q} --trials {input.trials:q}"
        " --last-incumbents {input.last_incumbents:q} --protocol {input.protocol:q} --proteins {input.proteins:q}"
        " --seeds {params.seeds} --purposes {params.purposes:q} {params.every_search}"
        " --interaction-runs {params.interaction_runs} --plan {output.plan:q} 2> {log:q}"


rule confirm_candidate:
    input:
        plan=PLAN,
        protocol=frozen_all(f"{STUDY}/protocol.json"),
        embedding=frozen_all(f"{EMBEDDING}/embedding.json"),
        proteins=frozen_all(f"{DATA}/proteins.parquet"),
    output:
        [f"{STUDY}/confirm/{{candidate}}/s{seed}/{name}" for seed in CONFIRM_SEEDS for name in RUN_FILES],
    log:
        f"{STUDY}/confirm/{{candidate}}/confirm_candidate.log",
    retries: 2
    conda:
        "../envs/tmelt.yaml"
    threads: training_threads
    resources:
        gpu=int(CONFIG.design.device == "cuda"),
        runtime=confirmation_minutes,
        mem_mb=training_megabytes,
    params:
        candidate=f"{STUDY}/confirm/{{candidate}}",
        seeds=CONFIRM_SEEDS,
        folders=folders_of_runs,
        journal=f"{STUDY}/journal/runs",
    shell:
        "python scripts/confirm_candidate.py --protocol {input.protocol:q} --embedding {input.embedding:q}"
        " --proteins {input.proteins:q} --plan {input.plan:q} --candidate {params.candidate:q} --seeds {params.seeds}"
        " --folders {params.folders:q} --journal {params.journal:q} --cores {threads} 2> {log:q}"


rule perturb_candidate:
    input:
        protocol=frozen_all(f"{STUDY}/protocol.json"),
        embedding=frozen_all(f"{EMBEDDING}/embedding.json"),
        proteins=frozen_all(f"{DATA}/proteins.parquet"),
        runs=frozen_all(*[f"{STUDY}/confirm/{{candidate}}/s{seed}/run.parquet" for seed in CONFIRM_SEEDS]),
    output:
        perturbed=f"{STUDY}/confirm/{{candidate}}/{PERTURBED}",
    log:
        f"{STUDY}/confirm/{{candidate}}/perturb_candidate.log",
    retries: 2
    conda:
        "../envs/tmelt.yaml"
    threads: training_threads
    resources:
        gpu=int(CONFIG.design.device == "cuda"),
        runtime=confirmation_minutes,
        mem_mb=training_megabytes,
    params:
        candidate=f"{STUDY}/confirm/{{candidate}}",
        journal=f"{STUDY}/journal/runs",
    shell:
        "python scripts/perturb_candidate.py --protocol {input.protocol:q} --embedding {input.embedding:q}"
        " --proteins {input.proteins:q} --candidate {params.candidate:q} --runs {input.runs:q}"
        " --journal {params.journal:q} --cores {threads} --perturbed {output.perturbed:q} 2> {log:q}"


rule open_test_labels:
    input:
        trials=f"{TABLES}/trials.parquet",
        plan=PLAN,
        confirmation=runs_of_confirmation,
        proteins=frozen_all(f"{DATA}/proteins.parquet"),
        val=frozen_all(f"{DATA}/vault/val.parquet"),
        select=frozen_all(f"{DATA}/vault/select.parquet"),
        test=frozen_all(f"{DATA}/vault/test.parquet"),
    output:
        runs=f"{TABLES}/runs.parquet",
        confirmed_runs=f"{TABLES}/confirmed_runs.parquet",
        confirmed_predictions=f"{EVIDENCE}/confirmed_predictions.parquet",
        labels=f"{EVIDENCE}/labels.parquet",
    log:
        f"{STUDY}/logs/open_test_labels.log",
    conda:
        "../envs/tmelt.yaml"
    resources:
        runtime=30,
        mem_mb=4000,
    params:
        study=folder_of_study,
        seeds=SEEDS,
    shell:
        "python scripts/open_test_labels.py --study {params.study:q} --seeds {params.seeds} --trials {input.trials:q}"
        " --plan {input.plan:q} --proteins {input.proteins:q} --val {input.val:q} --select {input.select:q}"
        " --test {input.test:q}"
        " --runs {output.runs:q} --confirmed-runs {output.confirmed_runs:q}"
        " --confirmed-predictions {output.confirmed_predictions:q} --labels {output.labels:q} 2> {log:q}"


rule tabulate_curves:
    input:
        trials=f"{TABLES}/trials.parquet",
    output:
        curves=f"{TABLES}/curves.parquet",
    log:
        f"{STUDY}/logs/tabulate_curves.log",
    conda:
        "../envs/tmelt.yaml"
    resources:
        runtime=30,
        mem_mb=4000,
    params:
        study=folder_of_study,
        seeds=SEEDS,
    shell:
        "python scripts/tabulate_curves.py --study {params.study:q} --seeds {params.seeds}"
        " --trials {input.trials:q} --curves {output.curves:q} 2> {log:q}"


rule tabulate_incumbents:
    input:
        trials=f"{TABLES}/trials.parquet",
        runs=f"{TABLES}/runs.parquet",
    output:
        incumbents=f"{TABLES}/incumbents.parquet",
        bands=f"{TABLES}/bands.parquet",
        efficiency=f"{TABLES}/efficiency.parquet",
    log:
        f"{STUDY}/logs/tabulate_incumbents.log",
    conda:
        "../envs/tmelt.yaml"
    resources:
        runtime=30,
        mem_mb=4000,
    shell:
        "python scripts/tabulate_incumbents.py --trials {input.trials:q} --runs {input.runs:q}"
        " --incumbents {output.incumbents:q} --bands {output.bands:q} --efficiency {output.efficiency:q}"
        " 2> {log:q}"


rule tabulate_winners:
    input:
        trials=f"{TABLES}/trials.parquet",
        last_incumbents=LAST_INCUMBENTS,
        runs=f"{TABLES}/runs.parquet",
        incumbents=f"{TABLES}/incumbents.parquet",
        efficiency=f"{TABLES}/efficiency.parquet",
        plan=PLAN,
        confirmed_predictions=f"{EVIDENCE}/confirmed_predictions.parquet",
        labels=f"{EVIDENCE}/labels.parquet",
    output:
        choices=f"{TABLES}/choices.parquet",
        winners=f"{TABLES}/winners.parquet",
        baseline=f"{TABLES}/baseline.parquet",
        strategies=f"{TABLES}/strategies.parquet",
        winner_predictions=f"{TABLES}/winner_predictions.parquet",
    log:
        f"{STUDY}/logs/tabulate_winners.log",
    conda:
        "../envs/tmelt.yaml"
    resources:
        runtime=30,
        mem_mb=4000,
    params:
        study=folder_of_study,
    shell:
        "python scripts/tabulate_winners.py --study {params.study:q} --trials {input.trials:q}"
        " --last-incumbents {input.last_incumbents:q} --runs {input.runs:q}"
        " --incumbents {input.incumbents:q} --efficiency {input.efficiency:q} --plan {input.plan:q}"
        " --confirmed-predictions {input.confirmed_predictions:q} --labels {input.labels:q}"
        " --choices {output.choices:q} --winners {output.winners:q} --baseline {output.baseline:q} --strategies {output.strategies:q}"
        " --winner-predictions {output.winner_predictions:q} 2> {log:q}"


rule tabulate_comparison:
    input:
        trials=f"{TABLES}/trials.parquet",
        winners=f"{TABLES}/winners.parquet",
        efficiency=f"{TABLES}/efficiency.parquet",
        plan=PLAN,
        confirmed_predictions=f"{EVIDENCE}/confirmed_predictions.parquet",
        labels=f"{EVIDENCE}/labels.parquet",
        floors=f"{TABLES}/floors.parquet",
        floor_predictions=f"{TABLES}/floor_predictions.parquet",
        protocol=frozen_all(f"{STUDY}/protocol.json"),
    output:
        comparison=f"{TABLES}/comparison.parquet",
        power=f"{TABLES}/power.parquet",
    log:
        f"{STUDY}/logs/tabulate_comparison.log",
    conda:
        "../envs/tmelt.yaml"
    resources:
        runtime=30,
        mem_mb=4000,
    params:
        study=folder_of_study,
    shell:
        "python scripts/tabulate_comparison.py --study {params.study:q} --protocol {input.protocol:q}"
        " --trials {input.trials:q} --winners {input.winners:q}"
        " --efficiency {input.efficiency:q} --plan {input.plan:q}"
        " --confirmed-predictions {input.confirmed_predictions:q} --labels {input.labels:q}"
        " --floors {input.floors:q} --floor-predictions {input.floor_predictions:q}"
        " --comparison {output.comparison:q} --power {output.power:q} 2> {log:q}"


rule tabulate_floors:
    input:
        proteins=frozen_all(f"{DATA}/proteins.parquet"),
        labels=f"{EVIDENCE}/labels.parquet",
        protocol=frozen_all(f"{STUDY}/protocol.json"),
    output:
        floors=f"{TABLES}/floors.parquet",
        floor_predictions=f"{TABLES}/floor_predictions.parquet",
    log:
        f"{STUDY}/logs/tabulate_floors.log",
    conda:
        "../envs/tmelt.yaml"
    resources:
        runtime=30,
        mem_mb=4000,
    shell:
        "python scripts/tabulate_floors.py --proteins {input.proteins:q} --labels {input.labels:q}"
        " --protocol {input.protocol:q} --floors {output.floors:q}"
        " --floor-predictions {output.floor_predictions:q} 2> {log:q}"


rule tabulate_subgroups:
    input:
        winner_predictions=f"{TABLES}/winner_predictions.parquet",
        floor_predictions=f"{TABLES}/floor_predictions.parquet",
        labels=f"{EVIDENCE}/labels.parquet",
    output:
        subgroups=f"{TABLES}/subgroups.parquet",
        calibration=f"{TABLES}/calibration.parquet",
        coverage=f"{TABLES}/coverage.parquet",
    log:
        f"{STUDY}/logs/tabulate_subgroups.log",
    conda:
        "../envs/tmelt.yaml"
    resources:
        runtime=30,
        mem_mb=4000,
    shell:
        "python scripts/tabulate_subgroups.py --winner-predictions {input.winner_predictions:q}"
        " --floor-predictions {input.floor_predictions:q} --labels {input.labels:q}"
        " --subgroups {output.subgroups:q} --calibration {output.calibration:q}"
        " --coverage {output.coverage:q} 2> {log:q}"


rule tabulate_cost:
    input:
        trials=f"{TABLES}/trials.parquet",
        runs=f"{TABLES}/runs.parquet",
        winners=f"{TABLES}/winners.parquet",
        incumbents=f"{TABLES}/incumbents.parquet",
        # Inputs, so that an edited price makes these tables and the report again, and nothing else.
        prices=file_of_package("evidence/prices.yaml"),
        token_prices=file_of_package("llm/prices.yaml"),
    output:
        cost=f"{TABLES}/cost.parquet",
        cost_curves=f"{TABLES}/cost_curves.parquet",
        crossovers=f"{TABLES}/crossovers.parquet",
        dollar_bands=f"{TABLES}/dollar_bands.parquet",
        dollar_efficiency=f"{TABLES}/dollar_efficiency.parquet",
    log:
        f"{STUDY}/logs/tabulate_cost.log",
    conda:
        "../envs/tmelt.yaml"
    resources:
        runtime=30,
        mem_mb=4000,
    shell:
        "python scripts/tabulate_cost.py --trials {input.trials:q} --runs {input.runs:q}"
        " --winners {input.winners:q} --incumbents {input.incumbents:q} --prices {input.prices:q}"
        " --token-prices {input.token_prices:q} --cost {output.cost:q} --cost-curves {output.cost_curves:q}"
        " --crossovers {output.crossovers:q} --dollar-bands {output.dollar_bands:q}"
        " --dollar-efficiency {output.dollar_efficiency:q} 2> {log:q}"


rule tabulate_changes:
    input:
        trials=f"{TABLES}/trials.parquet",
        runs=f"{TABLES}/runs.parquet",
        confirmed_runs=f"{TABLES}/confirmed_runs.parquet",
        plan=PLAN,
        confirmed_predictions=f"{EVIDENCE}/confirmed_predictions.parquet",
        labels=f"{EVIDENCE}/labels.parquet",
        protocol=frozen_all(f"{STUDY}/protocol.json"),
    output:
        changes=f"{TABLES}/changes.parquet",
        attribution=f"{TABLES}/attribution.parquet",
        improvements=f"{TABLES}/improvements.parquet",
        interactions=f"{TABLES}/interactions.parquet",
    log:
        f"{STUDY}/logs/tabulate_changes.log",
    conda:
        "../envs/tmelt.yaml"
    resources:
        runtime=30,
        mem_mb=4000,
    params:
        study=folder_of_study,
    shell:
        "python scripts/tabulate_changes.py --study {params.study:q} --trials {input.trials:q}"
        " --runs {input.runs:q} --confirmed-runs {input.confirmed_runs:q} --plan {input.plan:q}"
        " --confirmed-predictions {input.confirmed_predictions:q} --labels {input.labels:q}"
        " --protocol {input.protocol:q} --changes {output.changes:q} --attribution {output.attribution:q}"
        " --improvements {output.improvements:q} --interactions {output.interactions:q} 2> {log:q}"


rule tabulate_behaviour:
    input:
        trials=f"{TABLES}/trials.parquet",
        runs=f"{TABLES}/runs.parquet",
        protocol=frozen_all(f"{STUDY}/protocol.json"),
    output:
        behaviour=f"{TABLES}/behaviour.parquet",
        failures=f"{TABLES}/failures.parquet",
        integrity=f"{TABLES}/integrity.parquet",
    log:
        f"{STUDY}/logs/tabulate_behaviour.log",
    conda:
        "../envs/tmelt.yaml"
    resources:
        runtime=30,
        mem_mb=4000,
    params:
        study=folder_of_study,
    shell:
        "python scripts/tabulate_behaviour.py --study {params.study:q} --trials {input.trials:q}"
        " --runs {input.runs:q} --protocol {input.protocol:q} --behaviour {output.behaviour:q}"
        " --failures {output.failures:q} --integrity {output.integrity:q} 2> {log:q}"


rule tabulate_importance:
    input:
        trials=f"{TABLES}/trials.parquet",
        protocol=frozen_all(f"{STUDY}/protocol.json"),
    output:
        importance=f"{TABLES}/importance.parquet",
    log:
        f"{STUDY}/logs/tabulate_importance.log",
    conda:
        "../envs/tmelt.yaml"
    resources:
        runtime=30,
        mem_mb=4000,
    shell:
        "python scripts/tabulate_importance.py --trials {input.trials:q} --protocol {input.protocol:q}"
        " --importance {output.importance:q} 2> {log:q}"


rule tabulate_generalisation:
    input:
        plan=PLAN,
        confirmed_predictions=f"{EVIDENCE}/confirmed_predictions.parquet",
        labels=f"{EVIDENCE}/labels.parquet",
    output:
        generalisation=f"{TABLES}/generalisation.parquet",
        horizons=f"{TABLES}/horizons.parquet",
    log:
        f"{STUDY}/logs/tabulate_generalisation.log",
    conda:
        "../envs/tmelt.yaml"
    resources:
        runtime=30,
        mem_mb=4000,
    shell:
        "python scripts/tabulate_generalisation.py --plan {input.plan:q}"
        " --confirmed-predictions {input.confirmed_predictions:q} --labels {input.labels:q}"
        " --generalisation {output.generalisation:q} --horizons {output.horizons:q} 2> {log:q}"


rule tabulate_agreement:
    input:
        trials=f"{TABLES}/trials.parquet",
        runs=f"{TABLES}/runs.parquet",
    output:
        agreement=f"{TABLES}/agreement.parquet",
    log:
        f"{STUDY}/logs/tabulate_agreement.log",
    conda:
        "../envs/tmelt.yaml"
    resources:
        runtime=30,
        mem_mb=4000,
    shell:
        "python scripts/tabulate_agreement.py --trials {input.trials:q} --runs {input.runs:q}"
        " --agreement {output.agreement:q} 2> {log:q}"


rule tabulate_spread:
    input:
        winners=f"{TABLES}/winners.parquet",
    output:
        spread=f"{TABLES}/spread.parquet",
    log:
        f"{STUDY}/logs/tabulate_spread.log",
    conda:
        "../envs/tmelt.yaml"
    resources:
        runtime=30,
        mem_mb=4000,
    shell:
        "python scripts/tabulate_spread.py --winners {input.winners:q} --spread {output.spread:q} 2> {log:q}"


rule tabulate_robustness:
    input:
        perturbed=perturbed_of_confirmation,
        plan=PLAN,
        labels=f"{EVIDENCE}/labels.parquet",
    output:
        robustness=f"{TABLES}/robustness.parquet",
    log:
        f"{STUDY}/logs/tabulate_robustness.log",
    conda:
        "../envs/tmelt.yaml"
    resources:
        runtime=30,
        mem_mb=4000,
    shell:
        "python scripts/tabulate_robustness.py --perturbed {input.perturbed:q} --plan {input.plan:q}"
        " --labels {input.labels:q} --robustness {output.robustness:q} 2> {log:q}"
