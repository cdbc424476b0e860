"""The ``stope`` program as a person calls it, in a home of its own."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from cli.main import main
from stope.dev_server import DevServer
from stope.identity import digest_file
from stope.models_cache import download_wheel
from stope.settings import Settings
from tests.conftest import SMALL_LLM
from tests.resume.scripted_llm import ScriptedLlm

BECKETT = "useful_moonshine_onnx==20251121"
BECKETT_SHA256 = "e5a26b3d29e5b0bc"


@dataclass(frozen=True)
class Stope:
    """Runs the program with an environment of its own; never with the caller's settings."""

    home: Path
    environment: dict[str, str]

    def __call__(
        self,
        *words: str | Path,
        timeout: float = 900,
        before: Callable[[], None] | None = None,
        **environment: str,
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*words),
            env=self.environment | environment,
            capture_output=True,
            text=True,
            timeout=timeout,
            cwd=self.home.parent,
            preexec_fn=before,
        )

    def here(self, *words: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
        """The same command line in this process: for what needs no worker, and much quicker."""
        out, err = io.StringIO(), io.StringIO()
        code = 0
        with (
            pytest.MonkeyPatch.context() as patch,
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            for name in set(os.environ) - set(self.environment):
                patch.delenv(name)
            for name, value in (self.environment | environment).items():
                patch.setenv(name, value)
            patch.setattr(sys, "argv", ["stope", *map(str, words)])
            try:
                main()
            except SystemExit as left:
                code = left.code if isinstance(left.code, int) else 0
        return subprocess.CompletedProcess(list(words), code, out.getvalue(), err.getvalue())

    def command(self, *words: str | Path) -> list[str]:
        return [sys.executable, "-m", "cli.main", *map(str, words)]

    def start(self, *words: str | Path, **environment: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self.command(*words),
            env=self.environment | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=self.home.parent,
        )


def make_stope(home: Path, models: Path, llm: str) -> Stope:
    """The program in a home, with a model folder and a default language model."""
    home.mkdir(parents=True, exist_ok=True)
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("STOPE_", "TEMPORAL_", "OPENAI_"))
    } | {
        "STOPE_HOME": str(home),
        "STOPE_MODELS": str(models),
        "STOPE_LLM": llm,
        "STOPE_TEMPORAL_PORT": "0",
        "STOPE_HEARTBEAT_TIMEOUT": "3",
        "PYTHONPATH": str(Path(__file__).parents[2]),
    }
    return Stope(home, environment)


def said_until(process: subprocess.Popen[str], phrase: str) -> str:
    """What a command says on stderr, up to the line with a phrase."""
    assert process.stderr is not None
    said = ""
    while phrase not in said:
        line = process.stderr.readline()
        assert line, said
        said += line
    return said


@pytest.fixture
def stope(tmp_path: Path, models: Path) -> Iterator[Stope]:
    program = make_stope(tmp_path / "home", models, f"embedded:{SMALL_LLM}")
    yield program
    program("down")


@pytest.fixture(scope="module")
def llm() -> Iterator[ScriptedLlm]:
    with ScriptedLlm() as server:
        yield server


@pytest.fixture(scope="module")
def scripted_stope(
    tmp_path_factory: pytest.TempPathFactory, llm: ScriptedLlm, models: Path
) -> Iterator[Stope]:
    """The program in one home for all tests of a file, with a scripted language model."""
    program = make_stope(tmp_path_factory.mktemp("scripted") / "home", models, llm.spec())
    yield program
    DevServer(Settings(home=program.home)).stop()


@pytest.fixture(scope="session")
def beckett(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten seconds of real human speech, out of a wheel of the package registry."""
    folder = tmp_path_factory.mktemp("beckett")
    wheel = download_wheel(BECKETT, folder)
    path = folder / "beckett.wav"
    with zipfile.ZipFile(wheel) as archive:
        path.write_bytes(archive.read("moonshine_onnx/assets/beckett.wav"))
    assert digest_file(path).startswith(BECKETT_SHA256)
    return path
