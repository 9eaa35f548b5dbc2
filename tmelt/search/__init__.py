"""A search: what it may change, what it has tried, what came out, and what was kept."""
