"""Parts of the rules: command lines, amounts of resources, blocks of trials, and what Snakemake knows about files."""
