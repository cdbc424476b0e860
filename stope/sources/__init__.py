"""Inputs by path or URL: read by range, where they lie, and known by their content."""
