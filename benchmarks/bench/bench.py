"""What every row works with: settings that nobody's environment changes, a folder, recordings."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.eval.dialogue import Dialogue, load_dialogue
from cli.console import status
from stope.engines import EMBEDDED_CONTEXT
from stope.settings import DEFAULT_ASR, DEFAULT_LLM, Settings

SPOKEN = ("interview", "bridge", "containers")
"""Dialogues that make eight minutes of speech."""

ALL = (*SPOKEN, "phones", "sleep")

WARM_UP = "sleep"
"""The first seconds of this one load the models before anything is timed."""


class Bench:
    """One run of the command.

    Args:
        settings: as found; only where the models and the ``temporal`` program are is kept of it.
        folder: for homes and recordings; removed row by row.
        quick: everything shortened, to see whether it works.
    """

    def __init__(self, settings: Settings, folder: Path, *, quick: bool = False) -> None:
        self.quick = quick
        self._settings = settings
        self._folder = folder

    @contextmanager
    def row(self, key: str) -> Iterator[Path]:
        """An empty folder for a row, removed afterwards."""
        folder = self._folder / key
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def settings(self, home: Path, llm: str = DEFAULT_LLM) -> Settings:
        """Settings for a home of its own with the default speech model, whatever the environment.

        A language model takes as many tokens as the embedded one, so that one on a server is asked
        the same.
        """
        home.mkdir(parents=True, exist_ok=True)
        return Settings.model_construct().model_copy(
            update={
                "home": home,
                "models": self._settings.models,
                "llm": llm,
                "llm_context": EMBEDDED_CONTEXT,
                "asr": DEFAULT_ASR,
                "device": self._settings.device,
                "hub_timeout": self._settings.hub_timeout,
                "log_level": self._settings.log_level,
                "temporal_port": 0,
                "temporal_cli": self._settings.temporal_cli,
                "temporal_address": None,
            }
        )


def dialogues(names: tuple[str, ...]) -> list[Dialogue]:
    """Example dialogues by name."""
    return [load_dialogue(name) for name in names]


def recording(name: str) -> Path:
    """The recording of a dialogue."""
    return load_dialogue(name).recording


class Turns:
    """Says on stderr which turn of which side begins, and how long everything has taken."""

    def __init__(self, key: str) -> None:
        self._key = key
        self._began = time.monotonic()

    @property
    def seconds(self) -> float:
        """Since the row began."""
        return time.monotonic() - self._began

    def say(self, what: str) -> None:
        """One line of status."""
        status(f"{self._key}, {self.seconds:5.0f} s: {what}")
