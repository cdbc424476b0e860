"""The artifact store: immutable bytes by their SHA-256, and small named objects beside them."""

from stope.artifacts.store import ArtifactStore, StoredArtifact

__all__ = ["ArtifactStore", "StoredArtifact"]
