"""Evidence: who won, by how much, at what price, and why."""
