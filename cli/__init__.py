"""``stope …``: one file per command or small family, thin over ``client.py``."""
