"""An input is read where it lies, by range, always of one content, and by no secret of its URL."""

from __future__ import annotations

import logging
import random
import wave
from collections.abc import Iterator
from pathlib import Path

import pytest

from stope.artifacts import ArtifactStore
from stope.audio.decode import decode_to_scratch, probe
from stope.errors import InputError, StorageUnavailableError, UsageError
from stope.identity import digest_bytes, digest_file
from stope.job_input import input_from_location
from stope.models.job import InputKind, JobInput
from stope.records.database import Database
from stope.records.sources import SourceDigests
from stope.report.recording import remote_recording_url
from stope.sources.copies import can_be_played, input_source, read_text
from stope.sources.digests import remembered_digest
from stope.sources.location import is_remote, shown
from stope.sources.source import Source, open_source
from stope.sources.web import WebReader
from stope.sources.window import BLOCK, BLOCKS, RangeFile
from tests.object_servers import QUICK, SHORT, ObjectPlace, noise, open_place
from tests.web_files import WebFile, WebFiles, serving

NOISE = noise(BLOCK * (BLOCKS + 3) + 11)
SIGNED = "X-Signature=hidden&X-Expires=60"


@pytest.fixture
def web() -> Iterator[WebFiles]:
    with serving() as files:
        yield files


class Shelf:
    """A place that inputs are put at: a bucket or a web server."""

    def __init__(self, kind: str, place: ObjectPlace | None, web: WebFiles) -> None:
        self.kind = kind
        self._place = place
        self._web = web
        self._version = 0

    def put(self, name: str, data: bytes) -> str:
        """Put a file there, in the place of what was there; its URL."""
        self._version += 1
        if self._place is None:
            self._web.files[f"/talks/{name}"] = WebFile(data, etag=f'"{self._version}"')
            return self._web.url(f"/talks/{name}")
        assert self._place.server is not None
        self._place.server.overwrite(self._place.bucket, f"talks/{name}", data)
        return f"{self._place.kind}://{self._place.bucket}/talks/{name}"


@pytest.fixture(params=["s3", "gs", "web"])
def shelf(
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    web: WebFiles,
) -> Shelf:
    kind = request.param
    place = None if kind == "web" else open_place(kind, request, monkeypatch, tmp_path)
    return Shelf(kind, place, web)


@pytest.fixture
def digests(sqlite_template: Path, tmp_path: Path) -> SourceDigests:
    path = tmp_path / "records.db"
    path.write_bytes(sqlite_template.read_bytes())
    return SourceDigests(Database(f"sqlite:///{path}"))


@pytest.fixture
def artifacts(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore((tmp_path / "artifacts").as_uri())


def opened(url: str) -> Source:
    return open_source(url, patience=QUICK)


async def taken(
    url: str, digests: SourceDigests, artifacts: ArtifactStore, scratch: Path
) -> JobInput:
    return await input_from_location(url, digests, artifacts, scratch)


def test_a_file_elsewhere_reads_like_one_here(shelf: Shelf, tmp_path: Path) -> None:
    here = tmp_path / "noise"
    here.write_bytes(NOISE)
    with opened(shelf.put("noise.wav", NOISE)) as source, here.open("rb") as file:
        assert source.size == len(NOISE)
        assert source.sha256() == digest_bytes(NOISE)
        remote = source.open()
        choice = random.Random(3)  # noqa: S311  (no secret)
        for _ in range(60):
            at, size = choice.randrange(len(NOISE) + 9), choice.randrange(BLOCK)
            assert remote.seek(at) == file.seek(at)
            assert remote.read(size) == file.read(size)
            assert remote.tell() == file.tell()
        assert remote.seek(-5, 2) == file.seek(-5, 2)
        assert remote.read() == file.read()


def test_a_window_is_read_with_a_request_or_two_and_memory_is_bounded(web: WebFiles) -> None:
    web.files["/noise"] = WebFile(NOISE)
    with opened(web.url("/noise")) as source:
        file = source.open()
        web.sent = 0
        file.seek(5 * BLOCK + 100)
        assert file.read(1000) == NOISE[5 * BLOCK + 100 :][:1000]
        assert web.sent == BLOCK
        while file.read(BLOCK):
            pass
        assert len(file._blocks) <= BLOCKS  # type: ignore[attr-defined]  # looked into


def test_what_changes_while_it_is_read_is_said_and_never_mixed(shelf: Shelf) -> None:
    url = shelf.put("talk.wav", NOISE)
    with opened(url) as source:
        file = source.open()
        assert file.read(10) == NOISE[:10]
        shelf.put("talk.wav", NOISE[::-1])
        file.seek(6 * BLOCK)
        with pytest.raises(InputError, match="changed while it was read; run it again"):
            file.read(10)
    with opened(url) as source:
        assert source.sha256() == digest_bytes(NOISE[::-1])


def test_what_is_not_there_is_an_input_error(shelf: Shelf) -> None:
    url = shelf.put("talk.wav", b"sound")
    with pytest.raises(InputError, match="does not exist"):
        opened(url.replace("talk.wav", "other.wav"))


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """A recording of three blocks."""
    path = tmp_path / "here.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(44_100)
        file.writeframes(noise(2 * BLOCK))
    return path


def test_a_recording_elsewhere_decodes_to_the_same_samples(
    shelf: Shelf, here: Path, tmp_path: Path
) -> None:
    url = shelf.put("talk.wav", here.read_bytes())
    with opened(url) as source:
        assert probe(source) == probe(here)
        decode_to_scratch(source, tmp_path / "there.s16")
    decode_to_scratch(here, tmp_path / "here.s16")
    assert digest_file(tmp_path / "there.s16") == digest_file(tmp_path / "here.s16")
    assert sorted(path.name for path in tmp_path.glob("*.s16")) == ["here.s16", "there.s16"]


def test_a_server_that_goes_away_while_it_is_decoded_is_no_damage(
    web: WebFiles, here: Path, tmp_path: Path
) -> None:
    web.files["/talk.wav"] = WebFile(here.read_bytes())
    with open_source(web.url("/talk.wav"), patience=SHORT) as source:
        probe(source)
        web.files["/talk.wav"].status = 503
        with pytest.raises(StorageUnavailableError, match="status 503"):
            decode_to_scratch(source, tmp_path / "there.s16")
        web.files["/talk.wav"].status = 0
        decode_to_scratch(source, tmp_path / "there.s16")
    decode_to_scratch(here, tmp_path / "here.s16")
    assert digest_file(tmp_path / "there.s16") == digest_file(tmp_path / "here.s16")


def test_a_connection_that_breaks_off_is_tried_again(web: WebFiles) -> None:
    web.files["/noise"] = WebFile(NOISE[: BLOCK + 9], broken_off=1)
    with opened(web.url("/noise")) as source:
        assert source.sha256() == digest_bytes(NOISE[: BLOCK + 9])


@pytest.mark.parametrize(
    "content", [b"#EXTM3U\n#EXT-X-VERSION:3\n#EXTINF:9,\n{}\n#EXT-X-ENDLIST\n"]
)
@pytest.mark.parametrize("name", ["list.m3u8", "talk.mp3"])
def test_a_playlist_elsewhere_makes_nobody_reach_for_what_it_names(
    web: WebFiles, interview: Path, content: bytes, name: str
) -> None:
    web.files["/other.opus"] = WebFile(interview.read_bytes())
    for inside in (web.url("/other.opus"), interview.as_uri(), str(interview)):
        web.files[f"/{name}"] = WebFile(content.replace(b"{}", inside.encode()))
        with opened(web.url(f"/{name}")) as source, pytest.raises(InputError):
            probe(source)
    assert "/other.opus" not in web.asked


async def test_an_input_by_url_is_known_by_its_content_and_read_once(
    shelf: Shelf, digests: SourceDigests, artifacts: ArtifactStore, tmp_path: Path, web: WebFiles
) -> None:
    url = shelf.put("talk.wav", b"what was said")
    first = await taken(url, digests, artifacts, tmp_path)
    assert first == JobInput(
        kind=InputKind.RECORDING, digest=digest_bytes(b"what was said"), path=url
    )
    sent = web.sent
    assert await taken(url, digests, artifacts, tmp_path) == first
    assert web.sent <= sent + 1
    with opened(url) as source:
        assert await remembered_digest(source, digests) == first.digest
    shelf.put("talk.wav", b"something else")
    assert (await taken(url, digests, artifacts, tmp_path)).digest == digest_bytes(
        b"something else"
    )
    assert [item async for item in artifacts.stored()] == []


async def test_a_text_by_url_is_a_text(
    shelf: Shelf, digests: SourceDigests, artifacts: ArtifactStore, tmp_path: Path
) -> None:
    given = await taken(shelf.put("talk.SRT", b"1\n"), digests, artifacts, tmp_path)
    assert given.kind is InputKind.TEXT
    assert given.identity.startswith("text.srt:")
    assert await read_text(given, artifacts) == b"1\n"


async def test_a_signed_url_is_copied_and_its_signature_is_nowhere(
    web: WebFiles,
    digests: SourceDigests,
    artifacts: ArtifactStore,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    web.files["/talk.wav"] = WebFile(NOISE, query=SIGNED)
    url = f"{web.url('/talk.wav')}?{SIGNED}"
    given = await taken(url, digests, artifacts, tmp_path / "scratch")
    assert given.path == web.url("/talk.wav")
    assert given.digest == digest_bytes(NOISE)
    # The signature has run out; another worker finds the copy.
    web.files.clear()
    source = await input_source(given, ArtifactStore(artifacts.url))
    assert source.sha256() == given.digest
    assert not list((tmp_path / "scratch").iterdir())
    told = caplog.text + "".join(str(record.args) for record in caplog.records)
    assert "hidden" not in told
    assert b"hidden" not in (tmp_path / "records.db").read_bytes()
    assert "talk.wav" in told, "httpx wrote its log, so that there was something to hide"


async def test_a_signed_url_that_has_run_out_says_so_without_showing_it(web: WebFiles) -> None:
    web.files["/talk.wav"] = WebFile(b"sound", query="other")
    with pytest.raises(InputError, match="signature may have run out") as caught:
        opened(f"{web.url('/talk.wav')}?{SIGNED}")
    assert "hidden" not in str(caught.value)


@pytest.mark.parametrize("how", [{"ranges": False}, {"etag": ""}])
async def test_what_cannot_be_read_again_as_it_is_is_copied(
    web: WebFiles,
    digests: SourceDigests,
    artifacts: ArtifactStore,
    tmp_path: Path,
    how: dict[str, object],
) -> None:
    web.files["/talk.wav"] = WebFile(NOISE, **how)  # type: ignore[arg-type]  # one of its fields
    given = await taken(web.url("/talk.wav"), digests, artifacts, tmp_path)
    web.files.clear()
    source = await input_source(given, artifacts)
    file = source.open()
    file.seek(BLOCK)
    assert file.read(7) == NOISE[BLOCK : BLOCK + 7]


async def test_two_queries_of_one_url_are_two_inputs(
    web: WebFiles, digests: SourceDigests, artifacts: ArtifactStore, tmp_path: Path
) -> None:
    modified = "Mon, 05 Jan 2026 10:00:00 GMT"
    found = []
    for number in (1, 2):
        web.files["/talk"] = WebFile(b"talk %d" % number, etag="", modified=modified)
        url = f"{web.url('/talk')}?id={number}"
        found.append(await taken(url, digests, artifacts, tmp_path))
    assert len({given.digest for given in found}) == 2


async def test_two_queries_with_one_entity_tag_are_two_inputs(
    web: WebFiles, digests: SourceDigests, artifacts: ArtifactStore, tmp_path: Path
) -> None:
    found = []
    for number in (1, 2):
        web.files["/talk"] = WebFile(b"talk %d" % number, etag='"1"')
        url = f"{web.url('/talk')}?id={number}"
        found.append(await taken(url, digests, artifacts, tmp_path))
    assert len({given.digest for given in found}) == 2


async def test_a_file_that_is_signed_anew_is_not_copied_anew(
    web: WebFiles, digests: SourceDigests, artifacts: ArtifactStore, tmp_path: Path
) -> None:
    web.files["/talk"] = WebFile(NOISE)
    url = f"{web.url('/talk')}?id=1&X-Amz-Signature="
    first = await taken(f"{url}one", digests, artifacts, tmp_path)
    web.sent = 0
    assert await taken(f"{url}two", digests, artifacts, tmp_path) == first
    assert web.sent == 1


async def test_an_empty_file_is_an_input_error(
    shelf: Shelf, digests: SourceDigests, artifacts: ArtifactStore, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=r"is empty \(0 bytes\)"):
        await taken(shelf.put("talk.wav", b""), digests, artifacts, tmp_path)


def test_a_redirect_is_followed_on_the_same_footing_only(web: WebFiles) -> None:
    web.files["/new.wav"] = WebFile(b"sound")
    web.files["/moved.wav"] = WebFile(b"", status=302, location="/new.wav")
    with opened(web.url("/moved.wav")) as source:
        assert source.sha256() == digest_bytes(b"sound")
        assert source.location == web.url("/moved.wav")
    for location in ("file:///etc/hostname", "ftp://127.0.0.1/a", "http://192.0.2.1/a"):
        web.files["/moved.wav"].location = location
        with pytest.raises(InputError, match="which is not followed"):
            opened(web.url("/moved.wav"))
    web.files["/moved.wav"].location = "/moved.wav"
    with pytest.raises(InputError, match="without an end"):
        opened(web.url("/moved.wav"))


def test_the_signature_that_a_redirect_adds_is_in_no_log(
    web: WebFiles, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    web.files["/new.wav"] = WebFile(b"sound", query=SIGNED)
    web.files["/moved.wav"] = WebFile(b"", status=302, location=f"/new.wav?{SIGNED}")
    with opened(web.url("/moved.wav")) as source:
        assert source.read_all() == b"sound"
    told = caplog.text + "".join(str(record.args) for record in caplog.records)
    assert "hidden" not in told
    assert "moved.wav" in told, "httpx wrote its log, so that there was something to hide"


@pytest.mark.parametrize("how", [{"more": 1}, {"more": 1 << 20}, {"shifted": 1}])
def test_a_part_that_was_not_asked_for_is_refused(web: WebFiles, how: dict[str, int]) -> None:
    web.files["/noise"] = WebFile(NOISE)
    with opened(web.url("/noise")) as source:
        web.files["/noise"] = WebFile(NOISE, **how)  # type: ignore[arg-type]  # one of its fields
        with pytest.raises(InputError, match="gives other parts of it than it is asked for"):
            source.open().read(10)


@pytest.mark.parametrize("ranges", [True, False])
def test_a_body_that_drips_is_too_slow(web: WebFiles, tmp_path: Path, *, ranges: bool) -> None:
    web.files["/noise"] = WebFile(NOISE[:100])
    once = SHORT.model_copy(update={"attempts": 1})
    with open_source(web.url("/noise"), patience=once) as source:
        assert isinstance(source.reader, WebReader)
        web.files["/noise"] = WebFile(NOISE[:100], ranges=ranges, drip=0.1)
        with pytest.raises(StorageUnavailableError, match="too slow"):
            source.open().read(10) if ranges else list(source.reader.stream())


@pytest.mark.parametrize("error", [ValueError("within"), ConnectionResetError("within")])
def test_what_fails_below_a_decoder_keeps_its_cause(here: Path, error: Exception) -> None:
    class Failing:
        size = here.stat().st_size
        version = "1"

        def read(self, start: int, end: int) -> bytes:
            raise error

        def close(self) -> None:
            """Nothing is open."""

    with pytest.raises(type(error), match="within"):
        probe(Source("there.wav", reader=Failing()))


def test_a_part_that_is_short_is_no_end() -> None:
    file = RangeFile(lambda start, end: b"x" * (end - start - 1), 100, "talk.wav")
    with pytest.raises(StorageUnavailableError, match="99 bytes in the place of 100"):
        file.read(100)
    assert isinstance(file.failure, StorageUnavailableError)


@pytest.mark.parametrize("kind", ["s3", "gs"])
def test_a_body_that_breaks_off_is_no_damage_of_a_recording(
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    here: Path,
    kind: str,
) -> None:
    place = open_place(kind, request, monkeypatch, tmp_path)
    assert place.server is not None
    assert place.door is not None
    place.server.overwrite(place.bucket, "talk.wav", here.read_bytes())
    url = f"{kind}://{place.bucket}/talk.wav"
    with open_source(url, patience=QUICK) as source:
        place.door.cuts = 1000
        with pytest.raises(StorageUnavailableError):
            decode_to_scratch(source, tmp_path / "there.s16")
        place.door.cuts = 0
        decode_to_scratch(source, tmp_path / "there.s16")


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (401, InputError),
        (403, InputError),
        (404, InputError),
        (410, InputError),
        (400, InputError),
        (429, StorageUnavailableError),
        (500, StorageUnavailableError),
        (503, StorageUnavailableError),
    ],
)
def test_every_answer_is_an_error_of_ours(
    web: WebFiles, status: int, error: type[Exception]
) -> None:
    web.files["/talk.wav"] = WebFile(b"", status=status)
    with pytest.raises(error, match=str(status)):
        open_source(web.url("/talk.wav"), patience=SHORT)


@pytest.mark.parametrize(
    "url",
    [
        "http://example.org/talk.wav",
        "https://user:hidden@example.org/talk.wav",
        "https://",
        "https:/example.org/talk.wav",
        "https://example.org/",
        "s3://bucket",
        "s3://key:hidden@bucket/talk.wav",
        "gs://bucket/talk.wav?hidden",
    ],
)
def test_a_url_that_cannot_be_an_input_is_refused_before_anybody_is_asked(url: str) -> None:
    with pytest.raises(UsageError) as caught:
        open_source(url)
    assert "hidden" not in str(caught.value)


@pytest.mark.parametrize(
    ("location", "remote"),
    [
        ("https://example.org/a.wav", True),
        ("HTTPS://example.org/a.wav", True),
        ("s3://bucket/a.wav", True),
        ("gs://bucket/a.wav", True),
        ("talks/a.wav", False),
        ("/talks/s3:/a.wav", False),
        ("C:/talks/a.wav", False),
        ("file:///talks/a.wav", False),
    ],
)
def test_a_location_is_a_path_or_a_url(location: str, remote: bool) -> None:
    assert is_remote(location) is remote


def test_what_is_shown_of_a_url_has_no_query() -> None:
    assert shown("https://h/a.wav?sig=1#x") == "https://h/a.wav"
    assert shown("talks/what? no.wav") == "talks/what? no.wav"


def test_a_report_embeds_a_small_recording_and_links_what_a_browser_can_read(
    shelf: Shelf, here: Path, web: WebFiles
) -> None:
    data = here.read_bytes()
    with opened(shelf.put("talk.wav", data)) as source:
        playable = can_be_played(source)
        assert playable is (shelf.kind == "web")
        link = source.location if playable else None
        embedded = remote_recording_url(source, digest_bytes(data), link=playable)
        assert embedded is not None
        assert embedded.startswith("data:audio/wav;base64,")
        other = digest_bytes(b"other")
        assert remote_recording_url(source, other, link=playable) == link
        assert remote_recording_url(source, digest_bytes(data), embed=False, link=playable) == link
        with pytest.raises(InputError, match="has changed since it was transcribed"):
            remote_recording_url(source, other, embed=True, link=playable)
