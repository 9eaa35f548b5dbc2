"""Figures as functions of a study: `figure_x(study)` gives a `Figure`, or None where nothing is to be shown."""
