"""A step reads what its job was made for, wherever that is, and refuses anything else."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from examples.step_pipeline import PIPELINE, LettersConfig
from stope.artifacts import ArtifactStore
from stope.errors import InputError
from stope.identity import digest_bytes
from stope.models.job import InputFile
from stope.settings import Settings
from stope.sources.digests import DigestMemory
from stope.steps.cache import ContextCache
from stope.steps.context import StepContext
from stope.steps.store import ValueStore

TEXT = b"The quick brown fox"


def step_on(
    file: InputFile,
    artifacts: ArtifactStore,
    home: Path,
    memory: DigestMemory | None = None,
) -> StepContext[LettersConfig]:
    return StepContext(
        config=LettersConfig(),
        files=(file,),
        pipeline=PIPELINE.name,
        step=PIPELINE.step("read"),
        run_guid="nightly-7",
        attempt=1,
        scratch=home / "scratch",
        artifacts=artifacts,
        settings=Settings(home=home),
        context={},
        values=ValueStore(artifacts, ContextCache()),
        units=cast("Any", None),
        unit_seed=(),
        max_workers=None,
        digests=memory,
    )


async def gives(file: InputFile, artifacts: ArtifactStore, home: Path) -> bytes:
    """What the first step of the worked example makes of a file."""
    given = await PIPELINE.step("read").do(step_on(file, artifacts, home))
    text = given["text"]
    assert isinstance(text, np.ndarray)
    return text.tobytes()


async def test_a_file_and_the_copy_of_a_url_are_read_alike(tmp_path: Path) -> None:
    artifacts = ArtifactStore("memory://")
    path = tmp_path / "a.txt"
    path.write_bytes(TEXT)
    digest = await artifacts.put(TEXT)
    for location in (str(path), "https://host.invalid/a.txt"):
        file = InputFile(path=location, digest=digest)
        assert await gives(file, artifacts, tmp_path) == TEXT


async def test_a_file_that_changed_since_its_job_was_made_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(TEXT)
    file = InputFile(path=str(path), digest=digest_bytes(TEXT))
    path.write_bytes(TEXT + b" jumps")
    with pytest.raises(InputError, match="has changed since this job was made"):
        await gives(file, ArtifactStore("memory://"), tmp_path)


async def test_a_file_that_is_gone_is_one_sentence(tmp_path: Path) -> None:
    file = InputFile(path=str(tmp_path / "a.txt"), digest=digest_bytes(TEXT))
    with pytest.raises(InputError, match="cannot be read"):
        await gives(file, ArtifactStore("memory://"), tmp_path)
