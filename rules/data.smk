"""From a table of proteins (or the generator) to cleaned proteins with splits, and a vault with the hidden labels.

In   design.data of the config
Out  results/data/{dataset}/: proteins.parquet, vault/{val,select,test}.parquet, cleaning tables, audit, data.json
"""


rule prepare_proteins:
    input:
        sources_of_data,
    output:
        proteins=f"{DATA}/proteins.parquet",
        val=f"{DATA}/vault/val.parquet",
        select=f"{DATA}/vault/select.parquet",
        test=f"{DATA}/vault/test.parquet",
        cleaning=report(f"{DATA}/cleaning.parquet", category="Data", caption="../report/cleaning.rst"),
        rows=f"{DATA}/cleaning_rows.parquet",
        audit=f"{DATA}/audit.parquet",
        data=f"{DATA}/data.json",
    log:
        f"{DATA}/prepare_proteins.log",
    conda:
        "../envs/tmelt.yaml"
    resources:
        runtime=30,
        mem_mb=4000,
    params:
        settings=literally(as_written(CONFIG.design.data)),
        folder=folder_of_output,
    shell:
        "python scripts/prepare_proteins.py --settings {params.settings:q} --folder {params.folder:q} 2> >(tee {log:q} >&2)"
