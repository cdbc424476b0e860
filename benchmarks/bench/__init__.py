"""What Stope costs: every figure a ratio of two sides that took turns within one run."""
