"""The upload stage as an activity."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from temporalio import activity

from activities.services import Services
from activities.stage_shell import run_stage_activity
from stope import names
from stope.models.checkpoint import UploadCheckpoint
from stope.models.job import Job
from stope.models.messages import StageDone, StageRequest
from stope.records.givers import ResultGivers
from stope.records.receipts import UploadReceipts
from stope.records.speakers import SpeakerNames
from stope.stage import StageOutcome, StageRun
from stope.upload.destination import Destination
from stope.upload.places import open_destination

if TYPE_CHECKING:
    from stope.report.document import Document


class UploadActivities:
    """Publishing: files or requests, and no model.

    Args:
        services: stores of this process.
        open_place: the destination at a URL; None: the real one.
    """

    def __init__(
        self, services: Services, open_place: Callable[[str], Destination] | None = None
    ) -> None:
        self._services = services
        self._open_place = open_place or partial(open_destination, settings=services.settings)

    @activity.defn(name=names.UPLOAD_KNOWLEDGE)
    async def upload_knowledge(self, request: StageRequest) -> StageDone:
        """What a run knows is published at its destination."""
        return await run_stage_activity(self._services, request, _checkpoint, self._stage)

    async def _stage(self, run: StageRun[UploadCheckpoint]) -> StageOutcome:
        # Imported here: every worker has this queue, and few upload; it renders the exports.
        from stope.upload.source import read_document
        from stope.upload.stage import upload

        services = self._services.of_run(run.run.run_id)

        async def document() -> Document:
            return await read_document(
                run.job,
                services.artifacts,
                ResultGivers(services.database, services.jobs).oldest,
                SpeakerNames(services.database).of,
            )

        return await upload(
            run,
            units=services.units,
            receipts=UploadReceipts(services.database),
            read_document=document,
            open_destination=self._open_place,
        )


def _checkpoint(_job: Job) -> UploadCheckpoint:
    return UploadCheckpoint()
