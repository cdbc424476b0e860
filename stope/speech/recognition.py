"""The chunks of one recording and one engine: their keys, and the answers kept on the way.

Beside its output a doubtful chunk keeps the answer of every way it was decoded, each under a key
of its own: what was paid for once is not asked for again after a crash.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from stope.audio.decode import Audio
from stope.identity import digest_of
from stope.models.audio import Chunk
from stope.models.transcript import QUALITY_VERSION, ChunkTranscript, LanguageGuess
from stope.speech.hearing import hear
from stope.speech.transcriber import Transcriber, Way
from stope.units import UnitStore

STAGE = "transcribe"


class Recognition:
    """Hears the chunks of a recording.

    Args:
        engine: the recognizer.
        store: where answers are kept.
        namespace: of the job.
        read: gives the samples of a chunk, as for ``Transcriber``.
    """

    def __init__(
        self,
        engine: Transcriber,
        store: UnitStore,
        namespace: str,
        read: Callable[[Chunk], Awaitable[Audio]],
    ) -> None:
        self.engine = engine
        self.store = store
        self.namespace = namespace
        self._read = read

    def key(self, chunk: Chunk, language: str | None) -> str:
        """What decides a chunk's output."""
        return digest_of([*self._sound(chunk), language, QUALITY_VERSION])

    def guess_key(self, chunk: Chunk) -> str:
        """What decides a guess at the language."""
        return digest_of([*self._sound(chunk), "language"])

    async def hear(self, chunk: Chunk, language: str | None) -> ChunkTranscript:
        """The best answer for a chunk; see ``stope.speech.hearing``."""
        keys = {self._try_key(chunk, language, way): way for way in Way}
        stored = await self.store.read_outputs(list(keys))

        async def keep(way: Way, answer: ChunkTranscript) -> None:
            await self.keep(chunk, language, way, answer)

        return await hear(
            self.engine,
            await self._read(chunk),
            language,
            kept={
                keys[key]: ChunkTranscript.model_validate_json(text) for key, text in stored.items()
            },
            keep=keep,
        )

    async def guess(self, chunk: Chunk) -> LanguageGuess:
        """What the engine takes the language of a chunk for."""
        return await self.engine.detect_language(await self._read(chunk))

    async def keep(
        self, chunk: Chunk, language: str | None, way: Way, answer: ChunkTranscript
    ) -> None:
        """Keep one way's answer for a chunk."""
        await self.store.commit(
            self._try_key(chunk, language, way),
            STAGE,
            answer.model_dump_json(),
            answer.engine_seconds,
        )

    def _try_key(self, chunk: Chunk, language: str | None, way: Way) -> str:
        return digest_of([*self._sound(chunk), language, "way", way])

    def _sound(self, chunk: Chunk) -> list[object]:
        return [STAGE, self.namespace, chunk.digest, self.engine.identity]
