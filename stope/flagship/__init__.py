"""Flagship: claims in, verdicts and a rank for each out."""
