"""The embedded model: llama.cpp's own OpenAI-compatible server inside the worker process.

It is started on first use, on loopback, on a port the system chooses. See
https://github.com/xorbitsai/xllamacpp.
"""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

from stope.errors import ModelFileError

log = logging.getLogger(__name__)

PARALLEL = 2
"""Answers written at once: two share every pass over the weights."""


class EmbeddedServer:
    """One model served from this process.

    Args:
        weights: a verified GGUF file.
        context: tokens per answer slot, prompt and answer together.
        threads: processor threads.
    """

    def __init__(self, weights: Path, context: int, threads: int) -> None:
        self.context = context
        self.parallel = PARALLEL
        self._weights = weights
        self._threads = threads
        self._server: object | None = None
        self._starting = asyncio.Lock()

    async def base_url(self) -> str:
        """The server's address with ``/v1``; the first call loads the model.

        Raises:
            ModelFileError: llama.cpp cannot load the file.
        """
        async with self._starting:
            if self._server is None:
                self._server = await asyncio.to_thread(self._start)
        return f"{self._server.listening_address}/v1"  # type: ignore[attr-defined]  # untyped extension

    def _start(self) -> object:
        import xllamacpp

        params = xllamacpp.CommonParams()
        params.model.path = str(self._weights)
        params.hostnames = ["127.0.0.1"]
        params.port = 0
        params.use_jinja = True
        params.n_parallel = PARALLEL
        params.n_ctx = self.context * PARALLEL
        params.cpuparams.n_threads = self._threads
        params.cpuparams_batch.n_threads = self._threads
        # Quotes and field names stand in the prompt or in the answer already: llama.cpp drafts
        # them from there and checks a run of tokens in one pass over the weights.
        speculative = params.speculative
        speculative.types = [xllamacpp.common_speculative_type.COMMON_SPECULATIVE_TYPE_NGRAM_MAP_K]
        speculative.ngram_map_k.size_n, speculative.ngram_map_k.size_m = 3, 8
        params.speculative = speculative
        params.ui = False
        params.verbosity = -1
        log.info("loading %s", self._weights.name)
        try:
            return xllamacpp.Server(params)
        except Exception as error:
            raise ModelFileError(
                f"llama.cpp could not load {self._weights} ({error}); check the memory that is "
                "free, or choose another model with --llm."
            ) from error

    def stop(self) -> None:
        """Give the model's memory back."""
        self._server = None
