"""What a candidate cannot touch: it runs the training script, and measures it."""
