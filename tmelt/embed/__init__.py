"""Per-residue embeddings of proteins by a frozen ESM-2, a cache that data sets share, and the views candidates see."""
