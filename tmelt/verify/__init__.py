"""`tmelt verify`: recompute a finished study from its raw files, and list what differs from what is stored."""
