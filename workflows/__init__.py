"""Deterministic orchestration: which step comes next, and what happens when one fails."""
