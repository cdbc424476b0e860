"""Names of speakers: kept by transcript, changed all at once, taken away by an empty name."""

from __future__ import annotations

import asyncio

from stope.records.database import Database
from stope.records.speakers import SpeakerNames

ONE, OTHER = "a" * 64, "b" * 64


async def test_a_transcript_has_no_names_until_somebody_gives_them(database: Database) -> None:
    names = SpeakerNames(database)
    assert await names.of(ONE) == {}
    await names.rename(ONE, {})
    assert await names.of(ONE) == {}


async def test_names_are_kept_by_transcript(database: Database) -> None:
    names = SpeakerNames(database)
    await names.rename(ONE, {"S1": "Ann Lee", "S2": "Zoë O'Neil; DROP TABLE"})
    await names.rename(OTHER, {"S1": "Bo"})
    assert await names.of(ONE) == {"S1": "Ann Lee", "S2": "Zoë O'Neil; DROP TABLE"}
    assert await names.of(OTHER) == {"S1": "Bo"}


async def test_a_new_name_takes_the_place_of_the_old_and_leaves_the_others(
    database: Database,
) -> None:
    names = SpeakerNames(database)
    await names.rename(ONE, {"S1": "Ann", "S2": "Bo"})
    await names.rename(ONE, {"S1": "Ann Lee"})
    assert await names.of(ONE) == {"S1": "Ann Lee", "S2": "Bo"}


async def test_an_empty_name_takes_it_away_in_the_same_step(database: Database) -> None:
    names = SpeakerNames(database)
    await names.rename(ONE, {"S1": "Ann", "S2": "Bo"})
    await names.rename(ONE, {"S1": "", "S3": "Cy"})
    assert await names.of(ONE) == {"S2": "Bo", "S3": "Cy"}
    await names.rename(ONE, {"S9": ""})
    assert await names.of(ONE) == {"S2": "Bo", "S3": "Cy"}


async def test_two_at_once_both_count(database: Database) -> None:
    names = SpeakerNames(database)
    await asyncio.gather(
        *(names.rename(ONE, {"S1": "Ann", f"S{number}": "Bo"}) for number in range(2, 6))
    )
    assert await names.of(ONE) == {"S1": "Ann"} | {f"S{number}": "Bo" for number in range(2, 6)}
