"""Recipes: the versions of our own that decide a job type's output, as part of its job ids.

Kept free of engines, so that a cached answer does not wait for them to be imported.
"""

from __future__ import annotations

from stope.flagship.ranking import RANKING_VERSION
from stope.flagship.stage import flagship_recipe
from stope.identity import digest_of
from stope.mining.claims import ASSEMBLY_VERSION
from stope.mining.stage import mining_recipe
from stope.models.audio import CHUNK_PLAN_VERSION
from stope.models.diarization import DIARIZATION_VERSION
from stope.models.job import JobType
from stope.models.route import EPISODE
from stope.models.transcript import QUALITY_VERSION, TRANSCRIPT_SCHEMA
from stope.models.upload import ITEMS_VERSION
from stope.report.document import EXPORT_SCHEMA


def recipe_of(job_type: JobType, *, uploads: bool = False) -> str:
    """The digest of everything of ours that decides what a job of a type gives.

    ``uploads``: whether a pipeline publishes its result, too.
    """
    transcribe = digest_of(
        [CHUNK_PLAN_VERSION, TRANSCRIPT_SCHEMA, QUALITY_VERSION, DIARIZATION_VERSION]
    )[:16]
    mine = digest_of([mining_recipe(), ASSEMBLY_VERSION])[:16]
    flagship = digest_of([flagship_recipe(), RANKING_VERSION])[:16]
    upload = digest_of([ITEMS_VERSION, EXPORT_SCHEMA])[:16]
    version = steps_recipe(EPISODE.version)
    stages = [transcribe, mine, flagship, *([upload] if uploads else [])]
    return {
        JobType.TRANSCRIBE: transcribe,
        JobType.MINE: mine,
        JobType.FLAGSHIP: flagship,
        JobType.UPLOAD: upload,
        JobType.PIPELINE: digest_of([*stages, *([version] if version else [])])[:16],
        # That of a step pipeline is its version: ``steps_recipe``.
        JobType.STEPS: "",
    }[job_type]


def steps_recipe(version: int) -> str:
    """What a pipeline's version adds to the ids of its jobs; the first one adds nothing."""
    return "" if version == 1 else str(version)
