"""From a table of proteins (or the generator) to cleaned proteins with splits, and a vault with the hidden labels.

In   design.data of the config
Out  results/data/{dataset}/: proteins.parquet, vault/{val,select,test}.parquet, cleaning tables, audit, data.json
"""


rule prepare_proteins:
    input:
        sources_of_data,
    output:
        f"{DATA}/proteins.parquet",
        f"{DATA}/vault/val.parquet",
        f"{DATA}/vault/select.parquet",
        f"{DATA}/vault/test.parquet",
        report(f"{DATA}/cleaning.parquet", category="Data", caption="../report/cleaning.rst"),
        f"{DATA}/cleaning_rows.parquet",
        f"{DATA}/audit.parquet",
        f"{DATA}/data.json",
    log:
        f"{DATA}/prepare_proteins.log",
    conda:
        "../envs/tmelt.yaml"
    resources:
        runtime=30,
        mem_mb=4000,
    params:
        command=script("prepare_proteins", settings=as_written(CONFIG.design.data), folder=folder_of_output),
    shell:
        "{params.command} 2> >(tee {log:q} >&2)"
