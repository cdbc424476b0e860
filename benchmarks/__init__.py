"""Measurements of Stope: how true its results are, and what they cost."""
