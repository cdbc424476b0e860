"""``stope dataprep``: a training data set out of videos."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated

import typer

from cli.console import (
    INTERRUPTED,
    WITH_GAPS,
    command_line,
    job_json,
    print_json,
    settings_with_logging,
    start,
    status,
)
from cli.dataset import print_dataset
from cli.options import AsJson, Detach, Fresh, KeepCheckpoint, RunGuid, StrictResume
from cli.work import begin_only, finish, work
from client import JobClient
from stope.models.dataprep import Background, DataPrepConfig, GroupBy
from stope.models.job import Job, JobStatus, newest_begun
from stope.settings import Settings
from stope.vision.detectors import BUNDLED, check_detector
from stope.vision.extra import require_vision
from stope.vision.folder import Author, check_folder

_DEFAULT = DataPrepConfig()


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("dataprep")(dataprep)


def dataprep(
    videos: Annotated[
        list[str],
        typer.Argument(metavar="VIDEO…", help="Files or URLs; read only, left as they are."),
    ],
    detector: Annotated[
        str,
        typer.Option(
            "--detector",
            metavar="|".join((*BUNDLED, "FILE.onnx")),
            help="What to look for: upright people, faces from the front, what moves before a "
            "still camera, or what a detection model of your own knows (YOLO's exports).",
        ),
    ] = _DEFAULT.detector,
    min_score: Annotated[
        float | None,
        typer.Option(
            "--min-score",
            help="Leave out boxes that the detector is less sure of; scales differ by detector.",
            show_default=False,
        ),
    ] = None,
    frames: Annotated[
        int, typer.Option("--frames", min=1, help="Evenly spaced frames of each video.")
    ] = _DEFAULT.frames,
    background: Annotated[
        Background,
        typer.Option(
            "--background",
            help="Make the field (the colour that covers most) transparent, or leave crops be.",
        ),
    ] = _DEFAULT.background,
    margin: Annotated[
        float,
        typer.Option("--margin", min=0, max=2, help="Around a box, as a share of its sides."),
    ] = _DEFAULT.margin,
    augment: Annotated[
        int,
        typer.Option(
            "--augment",
            min=0,
            max=100,
            help="Images made of each training crop: flipped, rotated, stretched, cut off, "
            "covered, noisy, in other colours.",
        ),
    ] = _DEFAULT.augment,
    augment_validation: Annotated[
        bool, typer.Option("--augment-validation", help="Augment the validation set too.")
    ] = False,
    by: Annotated[
        GroupBy,
        typer.Option(
            "--by",
            help="What a class is, and what is never split between the sets: a subject followed "
            "through its video, or a frame.",
        ),
    ] = _DEFAULT.by,
    validation: Annotated[
        float,
        typer.Option(
            "--validation", min=0.01, max=0.99, help="The share of classes for validation."
        ),
    ] = _DEFAULT.validation,
    seed: Annotated[
        int, typer.Option("--seed", min=0, help="Another one, other sets and augmentations.")
    ] = _DEFAULT.seed,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FOLDER",
            help="Where to write the data set: a new or empty folder, or the one it was written "
            "to before. Left out: below exports/ in STOPE_HOME.",
            show_default=False,
        ),
    ] = None,
    force: Fresh = False,
    keep_checkpoint: KeepCheckpoint = None,
    strict_resume: StrictResume = None,
    run_guid: RunGuid = None,
    detach: Detach = False,
    as_json: AsJson = False,
) -> None:
    """Make an image-folder data set of what is seen in videos, split into training and validation.

    Frames are taken, looked at, and what is found is cut out, freed of its background, augmented
    and put into two sets that share no class, so that nothing leaks from one into the other. Every
    image has a line in manifest.jsonl: video, frame, time, box, augmentation, seed. A contact
    sheet (PNG) of each set shows at a glance what is in it.

        stope dataprep match.mp4 --detector person --frames 60 --augment 4 -o data

    loads as ImageFolder("data/images/train") and as load_dataset("imagefolder",
    data_dir="data/images").

    Ctrl-C or a crash loses nothing: the same command goes on at the frame where it stood. The same
    request gives the same images, bit for bit. It needs the extra: pip install 'stope[vision]'.

    Exit codes: 0 complete, 1 failed, 2 usage, 3 complete with gaps, 4 paused, 130 interrupted.
    """
    settings = settings_with_logging()
    check_detector(detector)
    if settings.temporal_address is None and not detach:
        # The worker will be this process: better said now than when it has begun.
        require_vision()
    config: dict[str, object] = {
        "detector": detector,
        "min_score": min_score,
        "frames": frames,
        "background": background,
        "margin": margin,
        "augment": augment,
        "augment_validation": augment_validation,
        "by": by,
        "validation": validation,
        "seed": seed,
    }

    async def create(client: JobClient) -> Job:
        job_id = await client.create_dataprep(
            videos,
            config,
            run_guid=run_guid,
            strict_resume=strict_resume,
            keep_checkpoint=keep_checkpoint,
        )
        return await client.job(job_id)

    code = start(_dataprep(settings, create, output, force, detach, as_json))
    if code:
        raise typer.Exit(code)


async def _dataprep(
    settings: Settings,
    create: Callable[[JobClient], Awaitable[Job]],
    output: Path | None,
    force: bool,
    detach: bool,
    as_json: bool,
) -> int:
    if output is not None:
        check_folder(output)
    async with JobClient(settings) as client:
        job = await create(client)
        folder = output or settings.exports / job.id
        check_folder(folder, Author.of(job))

        async def begin(wanted: Job) -> Job:
            return await client.start_job(wanted.id, resume_from_checkpoint=not force)

        if detach:
            return await begin_only(client, settings, [job], begin, as_json)
        if force or not job.status.has_result:
            if await work(client, settings, [job], begin):
                status(
                    "interrupted; nothing finished is lost. The same command goes on, and so does "
                    + command_line("resume", job.id)
                )
                return INTERRUPTED
            job = await client.job(job.id)
        run = newest_begun(await client.runs(job.id))
        if run is None or not run.status.has_result:
            return await finish(client, job.id, as_json)
        await client.write_dataset(job.id, folder)
        summary = await client.dataset_summary(job.id)
        if as_json:
            print_json(job_json(job, folder=str(folder.absolute())))
        else:
            print_dataset(job, summary, folder)
        return WITH_GAPS if job.status is JobStatus.SUCCEEDED_WITH_GAPS else 0
