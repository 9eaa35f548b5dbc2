"""A study: its config, what makes its scores comparable, its lock, where it stands, its results."""
