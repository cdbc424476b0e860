"""Which selector a job gets."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from stope.llm.ledger import Ledger
from stope.llm.spec import parse_model
from stope.mining.selection.asked import AskedSelector
from stope.mining.selection.selector import Selector
from stope.models.job import JobConfig, Selection

ENGLISH = frozenset({"en", "und"})
"""Languages of the labelled sentences; a text that does not say is taken for one of them."""


def chosen_selection(config: JobConfig, language: str) -> Selection:
    """What ``auto`` comes to.

    A small embedded model is worse at selecting than the classifier and takes far longer; a large
    one is better, and knows other languages.
    """
    if config.selection is not Selection.AUTO:
        return config.selection
    embedded = parse_model(config.miner_model).provider == "embedded"
    return Selection.LEARNED if embedded and language in ENGLISH else Selection.ASKED


async def open_selector(
    config: JobConfig,
    ledger: Ledger,
    language: str,
    open_learned: Callable[[], Awaitable[Selector]],
) -> Selector:
    """The selector for a job.

    Args:
        config: the job's.
        ledger: asks its mining model.
        language: of the transcript, ISO 639-1 or ``und``.
        open_learned: gives the classifier, when it is that.

    Raises:
        ModelFileError: the embedding model cannot be had.
    """
    if chosen_selection(config, language) is Selection.ASKED:
        return AskedSelector(ledger)
    return await open_learned()
