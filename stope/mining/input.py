"""Where mining gets its transcript from: an earlier stage, or a text file."""

from __future__ import annotations

from pathlib import PurePath

from stope.artifacts import ArtifactStore
from stope.errors import InputError
from stope.identity import digest_bytes
from stope.mining.parsing import parse_transcript
from stope.models.job import InputKind, JobInput
from stope.models.transcript import Transcript
from stope.sources.copies import read_text


async def load_transcript(source: JobInput, artifacts: ArtifactStore) -> tuple[str, Transcript]:
    """The transcript of a job's input, and the digest of its stored form.

    Raises:
        InputError: the text cannot be read, or changed since the job was made.
        StorageUnavailableError: it is remote and cannot be reached.
        ArtifactError: the stored transcript is gone or damaged.
    """
    if source.kind is InputKind.TRANSCRIPT:
        return source.digest, await artifacts.get_model(source.digest, Transcript)
    data = await read_text(source, artifacts)
    if digest_bytes(data) != source.digest:
        raise InputError(
            f"{source.path} has changed since this job was made; run it again and its new content "
            "becomes a job of its own."
        )
    path = PurePath(source.path)
    transcript = parse_transcript(data, path.suffix.lower(), path.name)
    return await artifacts.put_model(transcript), transcript
