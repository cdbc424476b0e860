"""Step pipelines: declared in one file each, resumed from their checkpoints by one mechanism."""
