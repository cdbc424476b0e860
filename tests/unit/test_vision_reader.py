"""Reading videos: exact times and pixels, and a clear sentence for what is no video."""

from __future__ import annotations

import struct
import threading
from pathlib import Path

import av
import numpy as np
import pytest

from stope.errors import InputError, UnitError, WorkerDrainingError
from stope.vision import memory
from stope.vision import probe as probe_module
from stope.vision import reader as reader_module
from stope.vision.frames import sample_times
from stope.vision.probe import probe_video
from stope.vision.reader import VideoReader
from tests.videos import football, lossless, numbered, plain, write_video


def test_every_pixel_and_time_is_the_one_that_was_encoded(tmp_path: Path) -> None:
    frames = numbered(20)
    frames[7][10:20, 30:50] = (250, 5, 1)
    path = lossless(tmp_path / "v.mkv", frames)

    with VideoReader(path) as reader:
        for number in (7, 0, 19, 3, 18):
            taken = reader.at(number * 0.1 + 0.04)
            assert taken.time == pytest.approx(number * 0.1, abs=1e-6)
            np.testing.assert_array_equal(taken.image, frames[number])


@pytest.mark.parametrize("name", ["squares.mov", "squares.mkv"])
def test_frames_are_kept_as_they_were_and_cannot_be_changed(tmp_path: Path, name: str) -> None:
    frames = numbered(40)
    video = lossless(tmp_path / name, frames, rate=10)

    with VideoReader(video) as reader:
        taken = [reader.at(number / 10).image for number in range(len(frames))]

    for image, frame in zip(taken, frames, strict=True):
        np.testing.assert_array_equal(image, frame)
        with pytest.raises(ValueError, match="read-only"):
            image[0, 0] = 0


def test_between_key_frames_the_frame_shown_then_is_found(tmp_path: Path) -> None:
    path = write_video(tmp_path / "v.mp4", numbered(60), options={"g": "25", "bf": "2", "crf": "1"})

    with VideoReader(path) as reader:
        for number in (59, 24, 25, 26, 1, 44):
            taken = reader.at(number * 0.1 + 0.05)
            assert taken.time == pytest.approx(number * 0.1, abs=1e-3)
            assert abs(int(taken.image[..., 0].mean()) - 2 * number) <= 3


def test_with_a_varying_frame_rate_the_times_are_those_of_the_frames(tmp_path: Path) -> None:
    times = [0, 40, 80, 1500, 1540, 4000, 4040, 4080, 4120]
    path = lossless(tmp_path / "v.mkv", numbered(9), times=times)

    with VideoReader(path) as reader:
        shown = [reader.at(seconds) for seconds in (0.0, 0.079, 1.0, 1.52, 3.9, 4.1)]

    assert [round(1000 * taken.time) for taken in shown] == [0, 40, 80, 1500, 1540, 4080]
    assert [int(taken.image[0, 0, 0]) // 2 for taken in shown] == [0, 1, 2, 3, 4, 7]


@pytest.mark.parametrize(
    ("name", "codec", "rate"),
    [
        ("v.webm", "libvpx", 10),
        ("v.webm", "libvpx-vp9", 10),
        ("v.ts", "libx264", 10),
        ("v.avi", "mpeg4", 25),
        ("v.flv", "flv1", 25),
        ("v.wmv", "wmv2", 25),
    ],
)
def test_every_container_gives_the_frame_shown_and_loses_none(
    tmp_path: Path, name: str, codec: str, rate: int
) -> None:
    path = write_video(
        tmp_path / name, numbered(50), rate=rate, codec=codec, options={"g": "12"}, ticks=True
    )

    probe = probe_video(path)
    step = 1 / rate
    with VideoReader(path) as reader:
        taken = [reader.at(probe.start + number * step + 0.3 * step) for number in range(50)]

    assert (probe.end - probe.start) == pytest.approx(49 * step, abs=0.01)
    times = [frame.time - probe.start for frame in taken]
    assert times == pytest.approx([number * step for number in range(50)], abs=0.002)
    reds = [float(frame.image[..., 0].mean()) for frame in taken]
    assert np.corrcoef(reds, range(50))[0, 1] > 0.98


def test_samples_are_the_middles_of_equal_stretches(tmp_path: Path) -> None:
    probe = probe_video(lossless(tmp_path / "v.mkv", numbered(41)))

    assert (probe.start, probe.end, probe.width, probe.height) == (0.0, 4.0, 96, 72)
    assert sample_times(probe, 4) == (0.5, 1.5, 2.5, 3.5)


def test_a_video_that_breaks_off_is_sampled_as_far_as_it_goes(tmp_path: Path) -> None:
    whole = write_video(tmp_path / "whole.mkv", numbered(100), options={"g": "10", "crf": "1"})
    data = whole.read_bytes()
    torn = tmp_path / "torn.mkv"
    torn.write_bytes(data[: len(data) // 2])

    probe = probe_video(torn, least_frames=4)

    assert 1.0 < probe.end < 9.0
    assert probe.undecodable == pytest.approx(10.0 - probe.end, abs=0.3)
    with VideoReader(torn) as reader:
        times = sample_times(probe, 4)
        for time in times:
            taken = reader.at(time)
            assert 0 <= time - taken.time < 0.11
            assert abs(int(taken.image[..., 0].mean()) - 20 * taken.time) <= 3


def with_hidden_pictures(path: Path, source: Path, later: int) -> Path:
    """The same VP8 with a picture before every key frame that is decoded, and never shown.

    It is the one before, once more, with the bit for showing it taken out (RFC 6386, 9.1), so many
    milliseconds after that one. The key frame does away with what it does to later pictures.
    """
    with av.open(str(source)) as read, av.open(str(path), mode="w") as write:
        stream = write.add_stream_from_template(read.streams.video[0])
        before: av.Packet | None = None
        for packet in read.demux(video=0):
            if packet.pts is None:
                continue
            if before is not None and packet.is_keyframe:
                body = bytearray(bytes(before))
                body[0] &= ~0x10
                hidden = av.Packet(bytes(body))
                hidden.time_base = before.time_base
                hidden.pts = hidden.dts = before.pts + later
                hidden.stream = stream
                write.mux(hidden)
            before = av.Packet(bytes(packet))
            before.time_base, before.pts = packet.time_base, packet.pts
            packet.stream = stream
            write.mux(packet)
    return path


@pytest.mark.parametrize("later", [1, 50], ids=["a reference", "as late as a second field"])
def test_a_picture_that_is_never_shown_is_no_lost_frame(tmp_path: Path, later: int) -> None:
    plain_video = write_video(
        tmp_path / "plain.webm", numbered(40), codec="libvpx", options={"g": "8"}
    )
    path = with_hidden_pictures(tmp_path / "v.webm", plain_video, later)

    with VideoReader(path) as reader, VideoReader(plain_video) as without:
        assert sum(1 for _ in reader.times_from(0)) == 40
        for number in range(40):
            taken, known = (one.at(number * 0.1 + 0.09) for one in (reader, without))
            assert taken.time == pytest.approx(number * 0.1, abs=0.002)
            np.testing.assert_array_equal(taken.image, known.image)


def test_a_reader_that_is_stopped_decodes_no_more(tmp_path: Path) -> None:
    path = write_video(tmp_path / "v.mp4", numbered(60), options={"g": "250"})
    stopping = threading.Event()

    with VideoReader(path, stopping) as reader:
        times = reader.times_from(0)
        next(times)
        stopping.set()
        with pytest.raises(WorkerDrainingError, match=r"another goes on with .*v\.mp4"):
            list(times)
        with pytest.raises(WorkerDrainingError):
            reader.at(1.0)
    with pytest.raises(WorkerDrainingError):
        probe_video(path, 1, stopping)


def test_a_picture_filmed_upright_is_turned_upright(tmp_path: Path) -> None:
    image = plain(128, 96, (10, 200, 30))
    image[:20, :30] = (250, 0, 0)
    path = lossless(tmp_path / "v.mov", [image] * 3)
    data = path.read_bytes()
    at = data.index(b"tkhd") + 4
    # version 0: flags, times, track, reserved, duration, reserved, layer, group, volume, reserved
    at += 4 + 4 + 4 + 4 + 4 + 4 + 8 + 2 + 2 + 2 + 2
    one = 1 << 16
    # A quarter turn clockwise, as a phone writes it.
    matrix = struct.pack(">9i", 0, one, 0, -one, 0, 0, 96 << 16, 0, 1 << 30)
    path.write_bytes(data[:at] + matrix + data[at + 36 :])

    probe = probe_video(path)
    with VideoReader(path) as reader:
        taken = reader.at(0.0)

    assert (probe.width, probe.height) == (96, 128)
    np.testing.assert_array_equal(taken.image, np.rot90(image, -1))


def test_what_is_no_video_is_said_in_a_sentence(tmp_path: Path) -> None:
    text = tmp_path / "notes.mp4"
    text.write_text("not a video\n" * 50)
    empty = tmp_path / "empty.mp4"
    empty.touch()
    sound = tmp_path / "sound.wav"
    container = av.open(str(sound), mode="w")
    stream = container.add_stream("pcm_s16le", rate=8000)
    frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), format="s16", layout="mono")
    frame.sample_rate = 8000
    container.mux(stream.encode(frame))
    container.close()

    for path, words in (
        (tmp_path / "gone.mp4", "does not exist"),
        (tmp_path, "is a folder"),
        (empty, "is empty"),
        (text, "is not a video"),
        (sound, "has no video stream (it holds audio)"),
    ):
        with pytest.raises(InputError, match=words.replace("(", r"\(").replace(")", r"\)")):
            probe_video(path)


def test_too_small_is_said_in_a_sentence(tmp_path: Path) -> None:
    small = lossless(tmp_path / "small.mkv", numbered(3, width=96, height=48))
    with pytest.raises(InputError, match=r"too small.*96x48.*at least 64"):
        probe_video(small)


def test_too_large_is_said_in_a_sentence_before_anything_is_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = lossless(tmp_path / "v.mkv", numbered(3, width=128, height=96))
    monkeypatch.setattr(probe_module, "MOST_PIXELS", 128 * 96)
    assert probe_video(path).width == 128

    monkeypatch.setattr(probe_module, "MOST_PIXELS", 128 * 96 - 1)
    monkeypatch.setattr(VideoReader, "_decoded", lambda _reader: pytest.fail("it was decoded"))
    with pytest.raises(InputError, match=r"too large \(128x96.*at most.*smaller first"):
        probe_video(path)


def test_a_picture_that_grows_too_large_on_the_way_is_not_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_video(tmp_path / "v.mp4", numbered(20, width=128, height=96))
    monkeypatch.setattr(reader_module, "MOST_PIXELS", 128 * 96 * 3 // 4)

    with VideoReader(path) as reader, pytest.raises(UnitError, match="cannot be decoded"):
        reader.at(1.0)


def test_large_pictures_are_fewer_at_once() -> None:
    def at_once(pixels: int) -> int:
        return memory.at_once(pixels, most=64)

    assert at_once(1280 * 720) == 64
    assert 1 < at_once(3840 * 2160) < 16
    assert at_once(7680 * 4320) * 7680 * 4320 * memory.IN_WORK <= memory.ROOM
    assert at_once(100 * memory.MOST_PIXELS) == 1
    assert at_once(0) == 64
    assert memory.at_once(0) == memory.CORES + 1


def test_too_short_is_said_in_a_sentence(tmp_path: Path) -> None:
    short = football(tmp_path / "short.mp4", frames=5)
    with pytest.raises(InputError, match=r"has 5 frames.*20 are asked for.*--frames"):
        probe_video(short, least_frames=20)
