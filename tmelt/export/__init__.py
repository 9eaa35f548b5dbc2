"""A study for the tools that a lab has already: an Optuna storage, and CSV."""
