"""Frozen domain types, one noun per file. They import nothing but each other."""
