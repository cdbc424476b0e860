"""Pictures that units name are needed as long as their run is, whoever made them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from stope.models.dataprep import DataPrepConfig
from stope.models.vision import Digest
from stope.steps.context import StepContext

_AT_ONCE = 64


async def hold(step: StepContext[DataPrepConfig], digests: Iterable[Digest], what: str) -> None:
    """Note that this run needs some artifacts, so that they are kept as long as it is.

    What an attempt of this run has put or read is noted already; what units name that an earlier
    run made is not.
    """
    wanted = list(dict.fromkeys(digests))
    for begin in range(0, len(wanted), _AT_ONCE):
        await asyncio.gather(
            *(step.artifacts.hold(digest, what) for digest in wanted[begin : begin + _AT_ONCE])
        )
