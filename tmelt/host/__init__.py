"""What this machine has, shared out among the jobs that run on it side by side."""
