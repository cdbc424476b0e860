"""torchvision loads a data set as it is: the command's own, by torchvision itself.

PyTorch is no dependency, so this is no part of the suite; ``make test-torchvision`` runs it with
the torchvision of whichever Python of this machine has one.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from stope.dev_server import DevServer
from stope.settings import Settings
from stope.vision.image import decode_png
from tests.e2e.conftest import Stope, make_stope
from tests.videos import football

READER = Path(__file__).with_name("read_image_folder.py")
FINDS = "import importlib.util, sys; sys.exit(importlib.util.find_spec('torchvision') is None)"


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Stope]:
    program = make_stope(tmp_path / "home", tmp_path / "models", "ollama:none")
    yield program
    DevServer(Settings(home=program.home)).stop()


@pytest.fixture(scope="module")
def interpreter() -> str:
    """A Python that has torchvision."""
    folders = [*os.get_exec_path(), str(Path(sys.base_prefix) / "bin")]
    for found in dict.fromkeys(Path(folder) / "python3" for folder in folders):
        if found.is_file() and subprocess.run([found, "-I", "-c", FINDS]).returncode == 0:
            return str(found)
    pytest.fail("no Python here has torchvision; Debian's package is python3-torchvision")


def read(interpreter: str, folder: Path) -> dict[str, object]:
    done = subprocess.run(
        [interpreter, "-I", str(READER), str(folder)], capture_output=True, text=True, timeout=280
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, object] = json.loads(done.stdout)
    return found


def test_torchvision_loads_every_image_under_its_class(program: Stope, interpreter: str) -> None:
    folder = program.home.parent
    football(folder / "match.mp4")
    made = program(
        *("dataprep", "match.mp4", "--detector", "face", "--frames", "6", "--by", "frame"),
        *("--output", "data"),
    )
    assert made.returncode == 0, made.stderr
    lines = [json.loads(line) for line in (folder / "data/manifest.jsonl").read_text().splitlines()]

    seen = 0
    for name in ("train", "validation"):
        wanted = []
        for line in lines:
            if line["set"] == name:
                picture = decode_png((folder / "data/images" / line["path"]).read_bytes())
                assert picture.shape[2] == 4, "loaders drop what is transparent"
                wanted.append(
                    {
                        "path": line["path"].removeprefix(f"{name}/"),
                        "label": line["label"],
                        "size": [picture.shape[1], picture.shape[0]],
                        "pixels": hashlib.sha256(picture[..., :3].tobytes()).hexdigest(),
                    }
                )
        found = read(interpreter, folder / "data" / "images" / name)
        assert found["pictures"] == sorted(wanted, key=lambda image: image["path"])
        sizes = [min(4, len(wanted) - at) for at in range(0, len(wanted), 4)]
        assert found["batches"] == [[size, 3, 32, 32] for size in sizes]
        seen += len(wanted)
    assert seen == len(lines) > 10
