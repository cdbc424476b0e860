"""How long a call to another machine is tried before somebody else decides what to do."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeVar

from pydantic import Field
from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception_type,
    stop_after_attempt,
    stop_after_delay,
    wait_random_exponential,
)

from stope.errors import StorageUnavailableError
from stope.models.frozen import Frozen

log = logging.getLogger(__name__)

ResultT = TypeVar("ResultT")


class Patience(Frozen):
    """Time-outs and attempts of calls to a store or a server.

    They bridge a hiccup. A longer absence is for whoever called: an activity fails, retryably, and
    its run waits.
    """

    connect: float = Field(default=5.0, gt=0, description="seconds until a connection stands")
    request: float = Field(
        default=120.0,
        gt=0,
        description="seconds of one request; a part over a slow line takes most of them",
    )
    attempts: int = Field(default=4, ge=1)
    longest_wait: float = Field(default=4.0, ge=0, description="seconds between two attempts")

    def call(self, do: Callable[[], ResultT]) -> ResultT:
        """What a call gives, tried again while the other side is away. Blocks.

        Raises:
            StorageUnavailableError: it was away at every attempt.
        """
        retrying = Retrying(
            retry=retry_if_exception_type(StorageUnavailableError),
            # Whoever waits for the end of this process waits for a call that hangs, once.
            stop=stop_after_attempt(self.attempts) | stop_after_delay(self.request),
            wait=wait_random_exponential(multiplier=0.25, max=self.longest_wait),
            before_sleep=_tell,
            reraise=True,
        )
        return retrying(do)


def _tell(state: RetryCallState) -> None:
    if state.outcome is not None:
        log.info("attempt %d: %s", state.attempt_number, state.outcome.exception())
