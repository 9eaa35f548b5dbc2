"""What a lab takes home: the winner as one file that predicts, and the searches and tables for other tools.

In   tables/, evidence/, confirm/ with the checkpoints that the journal kept
Out  results/{study}/bundle/: {study}.zip (the model bundle), model_card.md; export/: optuna.db, *.csv;
     ro-crate-metadata.json: what these files are
"""


use rule confirm_candidate as write_bundle with:
    input:
        protocol=frozen_all(f"{STUDY}/protocol.json"),
        embedding=frozen_all(f"{EMBEDDING}/embedding.json"),
        proteins=frozen_all(f"{DATA}/proteins.parquet"),
        trials=INPUTS["trials"],
        plan=PLAN,
        confirmed_predictions=INPUTS["confirmed_predictions"],
        labels=INPUTS["labels"],
        floors=INPUTS["floors"],
        endpoints=INPUTS["endpoints"],
    output:
        bundle=f"{STUDY}/bundle/{CONFIG.study}.zip",
        card=f"{STUDY}/bundle/model_card.md",
    log:
        f"{STUDY}/logs/write_bundle.log",
    retries: 0
    params:
        command=script(
            "write_bundle",
            study=STUDY,
            backbone=as_json(CONFIG.design.backbone),
            nonstandard=CONFIG.design.data.nonstandard,
            cores=cores,
        ),


use rule choose_winners as export_optuna with:
    input:
        trials=INPUTS["trials"],
        runs=INPUTS["runs"],
        protocol=frozen_all(f"{STUDY}/protocol.json"),
    output:
        database=f"{STUDY}/export/optuna.db",
    log:
        f"{STUDY}/logs/export_optuna.log",
    params:
        command=script("export_optuna"),


use rule choose_winners as export_csv with:
    input:
        tables=[f"{TABLES}/{name}.parquet" for name in TABLE_NAMES],
    output:
        [f"{STUDY}/export/{name}.csv" for name in TABLE_NAMES],
    log:
        f"{STUDY}/logs/export_csv.log",
    params:
        command=script("export_csv", folder=folder_of_output),


use rule choose_winners as export_crate with:
    input:
        protocol=frozen_all(f"{STUDY}/protocol.json"),
        files=results_of_study,
    output:
        f"{STUDY}/ro-crate-metadata.json",
    log:
        f"{STUDY}/logs/export_crate.log",
    params:
        command=script("export_crate", study=STUDY),
