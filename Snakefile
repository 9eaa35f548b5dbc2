"""Which way of searching finds the best model of protein melting temperature on the same budget?

    snakemake --profile profiles/default                                       # config.yaml
    snakemake --profile profiles/default --configfile studies/meltome_small.yaml

From a config to results/{study}/report/report.html, by way of data, embeddings, searches and evidence; beside it, for a
lab to take home, the winner (bundle/) and the searches and tables for other tools (export/).
"""

from snakemake.utils import min_version

min_version("9.27")


# A study file given on the command line is a whole config of its own: laid over config.yaml, its strategies would
# mix with the default's.
if "design" not in config:

    configfile: "config.yaml"


report: "report/workflow.rst"


include: "rules/common.smk"
include: "rules/data.smk"
include: "rules/embed.smk"
include: "rules/trial.smk"
include: "rules/external.smk"
include: "rules/evidence.smk"
include: "rules/report.smk"
include: "rules/bundle.smk"


onstart:
    refuse_second_writers()
    warn_of_power()


onsuccess:
    show_report()


onerror:
    show_failures()


localrules:
    all,
    write_protocol,
    describe_strategy,
    close_block,
    gather_trajectory,


rule all:
    default_target: True
    input:
        # These two here as well: what is extended is made, and so is what follows, whatever Snakemake remembers.
        trials_of_searches,
        PLAN,
        f"{STUDY}/report/report.html",
        f"{STUDY}/report/config.json",
        f"{STUDY}/export/optuna.db",
        [f"{STUDY}/export/{name}.csv" for name in TABLE_NAMES],
        bundle_of_study,
        f"{STUDY}/ro-crate-metadata.json",
