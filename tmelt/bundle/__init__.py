"""What a lab takes home: a study's winner as one file, and predictions from it. `tmelt predict proteins.fasta`."""

BUNDLED = frozenset({"winner", "baseline"})  # of the confirmation: their checkpoints are kept, for the bundle
