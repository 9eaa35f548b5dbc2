"""What a lab takes home: the winner as one file that predicts, and the searches and tables for other tools.

In   tables/, evidence/, confirm/ with the checkpoints that the journal kept
Out  results/{study}/bundle/: {study}.zip (the model bundle), model_card.md; export/: optuna.db, *.csv
"""


rule write_bundle:
    input:
        protocol=frozen_all(f"{STUDY}/protocol.json"),
        embedding=frozen_all(f"{EMBEDDING}/embedding.json"),
        proteins=frozen_all(f"{DATA}/proteins.parquet"),
        trials=f"{TABLES}/trials.parquet",
        plan=PLAN,
        confirmed_predictions=f"{EVIDENCE}/confirmed_predictions.parquet",
        labels=f"{EVIDENCE}/labels.parquet",
        floors=f"{TABLES}/floors.parquet",
    output:
        bundle=f"{STUDY}/bundle/{CONFIG.study}.zip",
        card=f"{STUDY}/bundle/model_card.md",
    log:
        f"{STUDY}/logs/write_bundle.log",
    conda:
        "../envs/tmelt.yaml"
    threads: training_threads
    resources:
        gpu=int(CONFIG.design.device == "cuda"),
        runtime=confirmation_minutes,
        mem_mb=training_megabytes,
    params:
        study=folder_of_study,
        backbone=literally(as_json(CONFIG.design.backbone)),
        nonstandard=CONFIG.design.data.nonstandard,
    shell:
        "python scripts/write_bundle.py --study {params.study:q} --protocol {input.protocol:q}"
        " --embedding {input.embedding:q} --proteins {input.proteins:q} --trials {input.trials:q} --plan {input.plan:q}"
        " --confirmed-predictions {input.confirmed_predictions:q} --labels {input.labels:q} --floors {input.floors:q}"
        " --backbone {params.backbone:q} --nonstandard {params.nonstandard:q} --cores {threads} --bundle {output.bundle:q}"
        " --card {output.card:q} 2> {log:q}"


rule export_optuna:
    input:
        trials=f"{TABLES}/trials.parquet",
        protocol=frozen_all(f"{STUDY}/protocol.json"),
    output:
        database=f"{STUDY}/export/optuna.db",
    log:
        f"{STUDY}/logs/export_optuna.log",
    conda:
        "../envs/tmelt.yaml"
    resources:
        runtime=30,
        mem_mb=4000,
    shell:
        "python scripts/export_optuna.py --trials {input.trials:q} --protocol {input.protocol:q}"
        " --database {output.database:q} 2> {log:q}"


rule export_csv:
    input:
        tables=[f"{TABLES}/{name}.parquet" for name in TABLE_NAMES],
    output:
        [f"{STUDY}/export/{name}.csv" for name in TABLE_NAMES],
    log:
        f"{STUDY}/logs/export_csv.log",
    conda:
        "../envs/tmelt.yaml"
    resources:
        runtime=30,
        mem_mb=4000,
    params:
        folder=folder_of_output,
    shell:
        "python scripts/export_csv.py --tables {input.tables:q} --folder {params.folder:q} 2> {log:q}"
