"""Exports are whole or absent, find their recording, and say what a job's artifacts hold."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from stope.artifacts import ArtifactStore
from stope.errors import InputError, UsageError
from stope.identity import digest_bytes, digest_file
from stope.models.gap import Gap
from stope.models.job import (
    InputKind,
    Job,
    JobConfig,
    JobInput,
    JobRun,
    JobStatus,
    JobType,
    JsonObject,
)
from stope.models.knowledge import MinedClaims
from stope.report.document import Document
from stope.report.exports import FORMATS, formats_for, write_exports
from stope.report.facts import stage_facts
from stope.report.load import load_document
from stope.report.markdown import render_md
from stope.report.recording import EMBED_BYTES, recording_url
from stope.report.schema import export_schema
from tests.documents import (
    TALK,
    TALK_DOCUMENT,
    hostile_document,
    make_claim,
    make_document,
    make_transcript,
    mined_document,
)

BEGAN = datetime(2026, 5, 4, tzinfo=UTC)


def test_write_exports_writes_each_format_once_and_in_order(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "folder"
    written = write_exports(TALK_DOCUMENT, folder, [*FORMATS, "md"], audio="a b.opus")
    assert [path.name for path in written] == [
        "report.html", "claims.md", "transcript.txt", "knowledge.json", "transcript.srt",
        "transcript.vtt", "claims.csv", "speakers.rttm",
    ]  # fmt: skip
    assert sorted(folder.iterdir()) == sorted(written)
    assert 'src="a%20b.opus"' in written[0].read_text(encoding="utf-8")
    assert written[1].read_bytes() == render_md(TALK_DOCUMENT).encode()


def test_a_failed_rendering_writes_nothing_and_keeps_what_was_there(tmp_path: Path) -> None:
    (tmp_path / "claims.md").write_text("older")
    untimed = make_document(make_transcript((None, "Words."), timed=False))
    with pytest.raises(InputError):
        write_exports(untimed, tmp_path, ["md", "srt"])
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [
        ("claims.md", "older")
    ]


def test_a_failed_write_leaves_no_half_of_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "claims.md").write_text("older")

    def full_disk(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full_disk)
    with pytest.raises(UsageError, match="No space left on device"):
        write_exports(TALK_DOCUMENT, tmp_path, ["md"])
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [
        ("claims.md", "older")
    ]


def test_a_renderer_that_breaks_leaves_no_folder_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_document: Document) -> str:
        raise RuntimeError("broken")

    monkeypatch.setitem(FORMATS, "txt", replace(FORMATS["txt"], render=broken))
    with pytest.raises(RuntimeError, match="broken"):
        write_exports(TALK_DOCUMENT, tmp_path / "out", ["md", "txt"])
    assert not list(tmp_path.iterdir())


def test_an_unwritable_folder_and_an_unknown_format_are_sentences(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.touch()
    with pytest.raises(UsageError, match="cannot be written to"):
        write_exports(TALK_DOCUMENT, blocked, ["md"])
    with pytest.raises(UsageError, match="no export format 'pdf'; use html, md, txt, json, srt"):
        write_exports(TALK_DOCUMENT, tmp_path, ["pdf"])


def test_the_formats_for_a_job_are_those_it_has_something_to_say_in() -> None:
    assert formats_for(TALK_DOCUMENT) == tuple(FORMATS)
    assert formats_for(make_document(make_transcript((None, "Words."), timed=False))) == (
        "html", "md", "txt", "json",
    )  # fmt: skip
    assert formats_for(make_document(None, make_claim(1, "A"))) == ("html", "md", "json", "csv")
    for document in (TALK_DOCUMENT, hostile_document(), mined_document(), make_document(TALK)):
        for name in formats_for(document):
            assert FORMATS[name].render(document)


def test_the_schema_of_json_is_the_committed_one() -> None:
    committed = Path(__file__).parents[2] / "docs" / "schema" / "export.schema.json"
    assert committed.read_text(encoding="utf-8") == export_schema(), (
        "the models have changed: python -m stope.report.schema docs/schema/export.schema.json"
    )


# --- the recording


def test_a_small_recording_is_embedded_and_a_large_one_is_linked(tmp_path: Path) -> None:
    small, large = tmp_path / "a b.opus", tmp_path / "large.wav"
    small.write_bytes(b"sound")
    large.write_bytes(bytes(EMBED_BYTES + 1))
    assert recording_url(small, digest_bytes(b"sound"), tmp_path) == (
        "data:audio/ogg;base64,c291bmQ="
    )
    assert recording_url(large, digest_file(large), tmp_path) == "large.wav"
    forced = recording_url(large, digest_file(large), tmp_path, embed=True)
    assert forced.startswith("data:audio/wav;base64,AAAA")


def test_a_recording_beside_the_report_has_a_path_that_moves_with_it(tmp_path: Path) -> None:
    recording = tmp_path / "talks" / "a b.opus"
    recording.parent.mkdir()
    recording.write_bytes(b"sound")
    digest = digest_bytes(b"sound")
    assert recording_url(recording, digest, recording.parent, embed=False) == "a b.opus"
    assert recording_url(recording, digest, tmp_path, embed=False) == "talks/a b.opus"
    assert recording_url(recording, digest, tmp_path / "out", embed=False) == recording.as_uri()


def test_a_recording_that_is_gone_or_changed_is_linked_unless_it_must_be_embedded(
    tmp_path: Path,
) -> None:
    recording = tmp_path / "talk.opus"
    digest = digest_bytes(b"sound")
    assert recording_url(recording, digest, tmp_path) == "talk.opus"
    with pytest.raises(InputError, match=r"cannot be read to embed it .*--no-embed-audio"):
        recording_url(recording, digest, tmp_path, embed=True)
    recording.write_bytes(b"other sound")
    assert recording_url(recording, digest, tmp_path) == "talk.opus"
    with pytest.raises(InputError, match="has changed since it was transcribed"):
        recording_url(recording, digest, tmp_path, embed=True)


def test_a_recording_too_large_for_any_browser_is_not_embedded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stope.report.recording.EMBED_LIMIT", 4)
    recording = tmp_path / "talk.opus"
    recording.write_bytes(b"sound")
    with pytest.raises(InputError, match="can be embedded in a report"):
        recording_url(recording, digest_bytes(b"sound"), tmp_path, embed=True)


# --- the document of a job


def job_of(job_type: JobType) -> Job:
    return Job(
        id=f"{job_type}-1",
        type=job_type,
        input=JobInput(kind=InputKind.RECORDING, digest="0" * 64, path="/talks/talk.opus"),
        config=JobConfig(miner_model="fake:m", flagship_model="fake:f"),
        status=JobStatus.SUCCEEDED,
        created_at=BEGAN,
    )


def run_of(attempt: int, status: JobStatus, metrics: JsonObject | None) -> JobRun:
    return JobRun(
        run_id=f"run-{attempt}",
        job_id="mine-1",
        attempt=attempt,
        workflow_id="mine-1",
        status=status,
        metrics=metrics,
        created_at=BEGAN,
        finished_at=BEGAN,
    )


async def test_a_mine_job_becomes_a_document_with_unjudged_claims() -> None:
    artifacts = ArtifactStore("memory://")
    claim = make_claim(1, "Roofs").claim
    gap = Gap(stage="mine", unit_id="seg_0002", reason="No valid answer")
    mined = MinedClaims(
        transcript_digest="0" * 64,
        model="fake:m",
        segments=2,
        claims=(claim,),
        skipped={"question": 3},
        gaps=(gap,),
    )
    parts = {
        "transcript_digest": await artifacts.put_model(TALK),
        "claims_digest": await artifacts.put_model(mined),
    }
    document = await load_document(job_of(JobType.MINE), {"result": parts}, artifacts)
    assert document.unjudged == (claim,)
    assert (document.models.miner, document.models.flagship) == ("fake:m", None)
    assert (document.skipped, document.all_gaps) == ({"question": 3}, (gap,))


async def test_a_judged_job_has_its_claims_once() -> None:
    artifacts = ArtifactStore("memory://")
    assert TALK_DOCUMENT.knowledge is not None
    mined = MinedClaims(
        transcript_digest="0" * 64, model="fake:m", segments=1, claims=(), skipped={"filler": 1}
    )
    parts = {
        "claims_digest": await artifacts.put_model(mined),
        "knowledge_digest": await artifacts.put_model(TALK_DOCUMENT.knowledge),
    }
    document = await load_document(job_of(JobType.PIPELINE), {"result": parts}, artifacts)
    assert document.mined is None
    assert len(document.accepted) == 2
    assert document.skipped == {"filler": 1}


def test_the_facts_of_a_stage_are_those_of_its_newest_finished_run() -> None:
    metrics: JsonObject = {"wall_seconds": 4.5, "llm_calls": 2, "prompt_tokens": "many"}
    facts = stage_facts(
        job_of(JobType.MINE),
        [
            run_of(1, JobStatus.SUCCEEDED, {"wall_seconds": 99}),
            run_of(2, JobStatus.SUCCEEDED_WITH_GAPS, metrics),
            run_of(3, JobStatus.CANCELLED, None),
        ],
    )
    assert facts is not None
    assert (facts.stage, facts.model, facts.attempts) == ("mine", "fake:m", 3)
    assert (facts.wall_seconds, facts.llm_calls, facts.prompt_tokens) == (4.5, 2, None)
    assert stage_facts(job_of(JobType.MINE), [run_of(1, JobStatus.FAILED, None)]) is None
