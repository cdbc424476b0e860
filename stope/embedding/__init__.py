"""Sentence embeddings: sentences in, unit vectors out; near vectors mean near meanings."""
