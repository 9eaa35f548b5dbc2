"""Several studies in one comparison: the same strategies on several data sets."""
