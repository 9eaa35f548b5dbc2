"""The front door: what `tmelt study`, `status`, `report` and `watch` do around a run of Snakemake."""
