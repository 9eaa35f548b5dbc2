"""The page for readers.

In   the tables, the protocol, what is known of the data
Out  results/{study}/report/: report.html, figures/, config.json (what `tmelt verify` makes the same page with)
"""

# As a user would name them on a command line.
CONFIG_FILES = VERIFIED["configs"] if VERIFIED else [os.path.relpath(path) for path in workflow.configfiles]


use rule choose_winners as write_report with:
    input:
        [f"{TABLES}/{name}.parquet" for name in TABLE_NAMES],
        frozen_all(f"{DATA}/data.json"),
        protocol=frozen_all(f"{STUDY}/protocol.json"),
    output:
        report(
            f"{STUDY}/report/report.html",
            caption="../report/page.rst",
            category="Report",
            labels={"page": "the whole report"},
        ),
        # A folder: which figures there are depends on what the tables hold.
        report(
            directory(f"{STUDY}/report/figures"),
            patterns=["{figure}.svg", "{figure}.csv"],
            caption="../report/figure.rst",
            category="Figures",
            subcategory="{figure}",
            labels={"figure": "{figure}"},
        ),
        f"{STUDY}/report/config.json",
    log:
        f"{STUDY}/logs/write_report.log",
    params:
        command=script(
            "write_report",
            study=STUDY,
            tables=TABLES,
            data=DATA,
            folder=folder_of_output,
            configs=CONFIG_FILES,
            references=json.dumps([reference.model_dump() for reference in CONFIG.references]),
            config=as_json(CONFIG),
        ),
