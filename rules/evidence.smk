"""After the searches: what their winners are worth, measured on fresh seeds and on test, and where the gains came from.

In   the gathered trials of all searches, the vault
Out  results/{study}/confirm/ (what was trained afterwards, and what it predicts for changed proteins), tables/*.parquet,
     vault_log.json (each opening of the labels)
"""

LAST_INCUMBENTS = f"{EVIDENCE}/last_incumbents_k{CONFIG.evidence.incumbents}.parquet"
# The inputs of tables (tmelt/evidence/make) that are no tables themselves.
INPUTS = {
    "histories": trials_of_searches,
    "perturbed": perturbed_of_confirmation,
    "plan": PLAN,
    "last_incumbents": LAST_INCUMBENTS,
    "labels": f"{EVIDENCE}/labels.parquet",
    "confirmed_predictions": f"{EVIDENCE}/confirmed_predictions.parquet",
    "protocol": frozen_all(f"{STUDY}/protocol.json"),
    "proteins": frozen_all(f"{DATA}/proteins.parquet"),
    # Inputs, so that an edited price makes the cost tables and the report again, and nothing else.
    "prices": file_of_package("prices/compute.yaml"),
    "token_prices": file_of_package("prices/tokens.yaml"),
}
INPUTS |= {name: f"{TABLES}/{name}.parquet" for name in TABLE_NAMES}
OPENED = {name: f"{EVIDENCE}/external/{{external}}_{name}.parquet" for name in ("scores", "facts", "predictions")}
INPUTS |= {f"opened_{name}": of_external_sets(path) for name, path in OPENED.items()}
VALUES = {"study": STUDY, "seeds": SEEDS, "asked": as_json(CONFIG.evidence.endpoints)}


rule choose_winners:
    input:
        trials=INPUTS["trials"],
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
        command=script("choose_winners", study=STUDY, count=CONFIG.evidence.incumbents),
    shell:
        RUN


checkpoint plan_confirmation:
    input:
        trials=INPUTS["trials"],
        last_incumbents=LAST_INCUMBENTS,
        protocol=INPUTS["protocol"],
        proteins=INPUTS["proteins"],
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
        command=script(
            "plan_confirmation",
            study=STUDY,
            seeds=CONFIRM_SEEDS,
            purposes=CONFIG.evidence.purposes,
            every_search=CONFIG.evidence.every_search,
            interaction_runs=CONFIG.evidence.interaction_runs,
        ),
    shell:
        RUN


rule confirm_candidate:
    input:
        plan=PLAN,
        protocol=INPUTS["protocol"],
        embedding=frozen_all(f"{EMBEDDING}/embedding.json"),
        proteins=INPUTS["proteins"],
    output:
        runs=f"{STUDY}/confirm/{{candidate}}/{CONFIRMED}",
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
        command=script(
            "confirm_candidate",
            candidate=folder_of_candidate,
            seeds=CONFIRM_SEEDS,
            journal=JOURNAL,
            cores=cores,
        ),
    shell:
        RUN


use rule confirm_candidate as perturb_candidate with:
    input:
        protocol=INPUTS["protocol"],
        embedding=frozen_all(f"{EMBEDDING}/embedding.json"),
        proteins=INPUTS["proteins"],
        runs=frozen_all(f"{STUDY}/confirm/{{candidate}}/{CONFIRMED}"),
    output:
        perturbed=f"{STUDY}/confirm/{{candidate}}/{PERTURBED}",
    log:
        f"{STUDY}/confirm/{{candidate}}/perturb_candidate.log",
    params:
        command=script("perturb_candidate", candidate=folder_of_candidate, journal=JOURNAL, cores=cores),


use rule choose_winners as open_test_labels with:
    input:
        runs_of_confirmation,
        trials=INPUTS["trials"],
        plan=PLAN,
        proteins=INPUTS["proteins"],
        val=frozen_all(f"{DATA}/vault/val.parquet"),
        select=frozen_all(f"{DATA}/vault/select.parquet"),
        test=frozen_all(f"{DATA}/vault/test.parquet"),
    output:
        runs=INPUTS["runs"],
        confirmed_runs=INPUTS["confirmed_runs"],
        confirmed_predictions=INPUTS["confirmed_predictions"],
        labels=INPUTS["labels"],
    log:
        f"{STUDY}/logs/open_test_labels.log",
    params:
        command=script("open_test_labels", study=STUDY, seeds=SEEDS),


use rule choose_winners as open_external_labels with:
    input:
        # After test, so that no order of openings lets a look at an external set come first.
        INPUTS["labels"],
        trials=INPUTS["trials"],
        plan=PLAN,
        proteins=INPUTS["proteins"],
        external=frozen_all(f"{EXTERNAL}/proteins.parquet"),
        vault=frozen_all(f"{EXTERNAL}/vault/labels.parquet"),
        predicted=predicted_of_set,
    output:
        **OPENED,
    log:
        f"{STUDY}/logs/open_external_labels_{{external}}.log",
    params:
        command=script("open_external_labels", study=STUDY, asked=VALUES["asked"], called=partial(wildcard, "external")),


for maker, made in MAKERS.items():

    rule:
        name:
            f"tabulate_{maker}"
        input:
            **{name: INPUTS[name] for name in inputs_of(made) if name in INPUTS},
        output:
            **{name: INPUTS[name] for name in made.TABLES},
        log:
            f"{STUDY}/logs/tabulate_{maker}.log",
        conda:
            "../envs/tmelt.yaml"
        resources:
            runtime=30,
            mem_mb=4000,
        params:
            command=script("make_tables", maker, **{name: VALUES[name] for name in inputs_of(made) if name in VALUES}),
        shell:
            RUN
