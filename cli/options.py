"""Arguments and options that several commands take."""

from __future__ import annotations

from typing import Annotated

import typer

from stope.models.job import AcceptCached, Diarize, Selection
from stope.settings import Settings
from stope.speech.device import Device, choose_device

Paths = Annotated[
    # Not Typer's paths: "//" of a URL would become "/", and our sentences say how to mend it.
    list[str],
    typer.Argument(
        metavar="PATH…",
        help="Recordings, or text transcripts: files, or s3://, gs:// or https:// URLs.",
    ),
]
Llm = Annotated[
    str | None,
    typer.Option(
        "--llm",
        help="Language model: embedded:NAME, ollama:NAME, openai:NAME or URL#NAME.",
        show_default=False,
    ),
]
FlagshipLlm = Annotated[
    str | None,
    typer.Option("--flagship-llm", help="Another one for the verdicts.", show_default=False),
]
Asr = Annotated[
    str | None,
    typer.Option(
        "--asr",
        help="Speech model: a faster-whisper name or folder, openai:NAME or URL#NAME.",
        show_default=False,
    ),
]
DeviceOption = Annotated[
    Device | None,
    typer.Option(
        "--device", help="What speech is decoded on; auto takes a GPU if any.", show_default=False
    ),
]
Language = Annotated[
    str | None,
    typer.Option("--language", help="ISO 639-1; detected if left out.", show_default=False),
]
DiarizeOption = Annotated[
    Diarize | None,
    typer.Option(
        "--diarize",
        help="Tell speakers apart: if it can be done (auto), never, or else fail.",
        show_default=False,
    ),
]
Speakers = Annotated[
    int | None,
    typer.Option(
        "--speakers",
        min=1,
        max=50,
        help="How many people speak; found out if left out.",
        show_default=False,
    ),
]
SelectionOption = Annotated[
    Selection | None,
    typer.Option(
        "--selection",
        help="Who tells claims from other sentences: the built-in classifier (learned), the "
        "language model (asked), or whichever fits the model and the language (auto).",
        show_default=False,
    ),
]
MaxWorkers = Annotated[
    int | None,
    typer.Option("--max-workers", min=1, help="LLM calls at once.", show_default=False),
]
MaxUsd = Annotated[
    float | None,
    typer.Option(
        "--max-usd",
        min=0,
        metavar="USD",
        help="Pause before more money than this is spent on language models.",
        show_default=False,
    ),
]
MaxTokens = Annotated[
    int | None,
    typer.Option(
        "--max-tokens",
        min=0,
        help="Pause before more tokens than this are used.",
        show_default=False,
    ),
]
AcceptCachedOption = Annotated[
    AcceptCached | None,
    typer.Option(
        "--accept-cached",
        help="Which paid answers may serve again: the same model's (exact), or any model's.",
        show_default=False,
    ),
]
UploadTo = Annotated[
    str | None,
    typer.Option(
        "--upload-to",
        metavar="PLACE",
        help="Publish the result there: a folder, s3://bucket/prefix, gs://bucket/prefix, "
        "postgresql://user@host/database or https://host/path; see `stope upload --help`.",
        show_default=False,
    ),
]
Detach = Annotated[bool, typer.Option("--detach", help="Start it for a running worker, and leave.")]
RunGuid = Annotated[
    str | None,
    typer.Option(
        "--run-guid",
        metavar="ID",
        help="Of the run's folder; made from name, input and config if left out.",
        show_default=False,
    ),
]
StrictResume = Annotated[
    bool | None,
    typer.Option(
        "--strict-resume/--no-strict-resume",
        help="Fail where what is kept of the run does not fit, instead of starting afresh.",
        show_default=False,
    ),
]
KeepCheckpoint = Annotated[
    bool | None,
    typer.Option(
        "--keep-checkpoint/--no-keep-checkpoint",
        help="Leave the run's checkpoint and scratch files after a success, too.",
        show_default=False,
    ),
]
Fresh = Annotated[
    bool, typer.Option("--force", help="Do everything anew; read nothing that was kept.")
]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object per job, on stdout.")]

JobArgument = Annotated[
    str, typer.Argument(metavar="JOB", help="A job's id, or the beginning of it.")
]


def with_device(settings: Settings, device: Device | None) -> Settings:
    """The settings of a process that decodes on a device; unchanged where none is asked for.

    Raises:
        UsageError: a GPU is asked for, and there is none.
    """
    if device is None:
        return settings
    if device is Device.CUDA:
        choose_device(device)
    return settings.model_copy(update={"device": device.value})
