"""all-MiniLM-L6-v2 on ONNX Runtime: mean-pooled and normalised, as sentence-transformers does it.

https://huggingface.co/sentence-transformers/all-MiniLM-L6-v2
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnxruntime
from tokenizers import Tokenizer

from stope.embedding.embedder import Vectors
from stope.errors import ModelFileError

MAX_TOKENS = 256
"""Where the model's authors cut a text."""

DIMENSION = 384
_BATCH = 32


class MiniLmEmbedder:
    """384-dimensional English sentence embeddings.

    Args:
        folder: holds ``model.onnx`` and ``tokenizer.json``, verified.
        identity: what names the weights.
        threads: processor threads.

    Raises:
        ModelFileError: the files cannot be loaded.
    """

    def __init__(self, folder: Path, identity: str, threads: int) -> None:
        self.identity = identity
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        # Its pool would spin between calls, and take the time from the language model's.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
            self._session = onnxruntime.InferenceSession(
                str(folder / "model.onnx"), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:
            raise ModelFileError(
                f"{folder} does not hold the sentence embedding model ({error}); delete it and "
                "run `stope models pull`."
            ) from error
        self._tokenizer.enable_truncation(MAX_TOKENS)
        self._tokenizer.no_padding()

    def embed(self, sentences: Sequence[str]) -> Vectors:
        """See ``SentenceEmbedder``."""
        found = np.zeros((len(sentences), DIMENSION), dtype=np.float32)
        encoded = self._tokenizer.encode_batch(list(sentences))
        # Like lengths together, so that little is padded.
        order = sorted(range(len(encoded)), key=lambda place: len(encoded[place].ids))
        for first in range(0, len(order), _BATCH):
            places = order[first : first + _BATCH]
            width = max(len(encoded[place].ids) for place in places)
            ids = np.zeros((len(places), width), dtype=np.int64)
            mask = np.zeros_like(ids)
            for row, place in enumerate(places):
                tokens = encoded[place].ids
                ids[row, : len(tokens)] = tokens
                mask[row, : len(tokens)] = 1
            (hidden,) = self._session.run(
                None,
                {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)},
            )
            weights = mask[:, :, None].astype(np.float32)
            pooled = (hidden * weights).sum(axis=1) / weights.sum(axis=1)
            found[places] = pooled / np.linalg.norm(pooled, axis=1, keepdims=True)
        return found
