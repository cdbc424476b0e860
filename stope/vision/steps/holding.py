"""Pictures that units name are needed as long as their run is, whoever made them."""

from __future__ import annotations

from collections.abc import Iterable

from stope.models.dataprep import DataPrepConfig
from stope.models.vision import Digest
from stope.steps.context import StepContext


async def hold(step: StepContext[DataPrepConfig], digests: Iterable[Digest], what: str) -> None:
    """Note that this run needs some artifacts, so that they are kept as long as it is.

    What an attempt of this run has put or read is noted already; what units name that an earlier
    run made is not.
    """
    await step.artifacts.hold_all(list(dict.fromkeys(digests)), what)
