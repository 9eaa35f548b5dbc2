"""What a lab takes home: a study's winner as one file, and predictions from it. `tmelt predict proteins.fasta`."""

# Of the confirmation: their checkpoints are kept, for the bundle and the memorisation check.
BUNDLED = frozenset({"winner", "baseline"})
