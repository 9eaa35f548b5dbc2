"""The page that a person reads.

In   the tables, the protocol, what is known of the data
Out  results/{study}/report/: report.html, figures/, config.json (what `tmelt verify` makes the same page with)
"""

# As a person would name them on a command line.
CONFIG_FILES = VERIFIED["configs"] if VERIFIED else [os.path.relpath(path) for path in workflow.configfiles]


rule write_report:
    input:
        tables=[f"{TABLES}/{name}.parquet" for name in TABLE_NAMES],
        protocol=frozen_all(f"{STUDY}/protocol.json"),
        data=frozen_all(f"{DATA}/data.json"),
    output:
        page=report(
            f"{STUDY}/report/report.html",
            caption="../report/page.rst",
            category="Report",
            labels={"page": "the whole report"},
        ),
        # A folder: which figures there are depends on what the tables hold.
        figures=report(
            directory(f"{STUDY}/report/figures"),
            patterns=["{figure}.svg", "{figure}.csv"],
            caption="../report/figure.rst",
            category="Figures",
            subcategory="{figure}",
            labels={"figure": "{figure}"},
        ),
        config=f"{STUDY}/report/config.json",
    log:
        f"{STUDY}/logs/write_report.log",
    conda:
        "../envs/tmelt.yaml"
    resources:
        runtime=30,
        mem_mb=4000,
    params:
        study=folder_of_study,
        tables=folder_of_tables,
        folder=folder_of_output,
        configs=CONFIG_FILES,
        references=json.dumps([reference.model_dump() for reference in CONFIG.references]),
        config=literally(as_json(CONFIG)),
    shell:
        "python scripts/write_report.py --study {params.study:q} --tables {params.tables:q} --protocol {input.protocol:q}"
        ' --data "$(dirname {input.data:q})" --folder {params.folder:q}'
        " --configs {params.configs:q} --references {params.references:q} --config {params.config:q} 2> {log:q}"
