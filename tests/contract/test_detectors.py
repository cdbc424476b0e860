"""The detection port: every engine, and the scripted one, keeps the same promises."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from stope.errors import ModelFileError, UsageError
from stope.models.vision import Box
from stope.vision.detector import Detector, boxes_of
from stope.vision.detectors import check_detector, open_detector
from stope.vision.image import Image
from stope.vision.onnx import OnnxDetector
from stope.vision.people import PeopleDetector
from stope.vision.scripted import ScriptedDetector
from tests.videos import FACE, field, panned, plain

SIDE, CELL = 128, 32


def square_model(path: Path, form: str = "scores", names: str = "") -> Path:
    """A detection model that sees red squares: a cell's score is how much redder it is."""
    cells = SIDE // CELL
    weights = np.zeros((1, 3, CELL, CELL), np.float32)
    weights[0, 0], weights[0, 1:] = 1 / CELL**2, -0.5 / CELL**2
    middles = (np.arange(cells) + 0.5) * CELL
    x, y = np.meshgrid(middles, middles)
    sides = np.full(cells**2, CELL, np.float32)
    if form == "scores":
        places = np.stack([x.ravel(), y.ravel(), sides, sides])[None].astype(np.float32)
        parts, axis, shape, out = ["places", "score"], 1, [1, 1, -1], [1, 5, cells**2]
        others = {"places": places}
    else:
        half = CELL / 2
        corners = np.stack([x - half, y - half, x + half, y + half], -1).reshape(1, -1, 4)
        parts, axis, shape = ["places", "score", "classes"], 2, [1, -1, 1]
        out = [1, cells**2, 6] if form == "boxes" else [1, cells**2, 7]
        classes = np.zeros((1, cells**2, 1 if form == "boxes" else 2), np.float32)
        others = {"places": corners.astype(np.float32), "classes": classes}
    constants = {"weights": weights, "shape": np.array(shape, np.int64)} | others
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["image", "weights"], ["map"], strides=[CELL, CELL]),
            helper.make_node("Reshape", ["map", "shape"], ["score"]),
            helper.make_node("Concat", parts, ["found"], axis=axis),
        ],
        "squares",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, SIDE, SIDE])],
        [helper.make_tensor_value_info("found", TensorProto.FLOAT, out)],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    if names:
        helper.set_model_props(model, {"names": names})
    onnx.save(model, str(path))
    return path


def squares() -> tuple[Image, tuple[int, int, int, int]]:
    """A frame of 256 by 128 with one red square where a cell of the model lies."""
    frame = plain(256, 128, (40, 120, 40))
    frame[0:64, 64:128] = (255, 0, 0)
    return frame, (64, 0, 64, 64)


def astronaut() -> tuple[Image, tuple[int, int, int, int]]:
    frame, (x, y, side, _) = list(panned(640, 360, frames=3, side=300))[1]
    return frame, (
        round(x + FACE[0] * side),
        round(y + FACE[1] * side),
        round(FACE[2] * side),
        round(FACE[3] * side),
    )


def moved() -> tuple[Image, tuple[int, int, int, int]]:
    frame, box = list(panned(480, 270, frames=7, side=120))[3]
    return frame, box


def standing() -> tuple[Image, tuple[int, int, int, int]]:
    """A person drawn as the classifier knows them: head, trunk, arms, legs, seen whole."""
    frame = plain(320, 320, (200, 200, 200))
    y, x = np.indices(frame.shape[:2])
    dark = (x - 160) ** 2 + (y - 90) ** 2 < 15**2
    dark |= (abs(x - 160) < 24) & (y >= 106) & (y < 180)
    dark |= (abs(abs(x - 160) - 30) < 6) & (y >= 110) & (y < 176)
    dark |= (abs(abs(x - 160) - 12) < 9) & (y >= 180) & (y < 262)
    frame[dark] = (40, 40, 60)
    return frame, (130, 75, 60, 188)


Case = tuple[Detector, Image, tuple[int, int, int, int], list[Image]]


@pytest.fixture(params=["scripted", "face", "person", "motion", "onnx-scores", "onnx-boxes"])
def case(request: pytest.FixtureRequest, tmp_path: Path) -> Case:
    kind = request.param
    if kind == "scripted":
        frame, box = squares()
        return ScriptedDetector({3: [(*box, 0.9, "thing")]}), frame, box, []
    if kind.startswith("onnx"):
        frame, box = squares()
        model = square_model(tmp_path / "squares.onnx", kind.removeprefix("onnx-"), "{0: 'square'}")
        return open_detector("onnx:", None, model), frame, box, []
    make: Callable[[], tuple[Image, tuple[int, int, int, int]]] = {
        "face": astronaut,
        "person": standing,
        "motion": moved,
    }[kind]
    frame, box = make()
    others = [image for image, _ in panned(480, 270, frames=7, side=120)]
    return open_detector(kind), frame, box, others if kind == "motion" else []


def look(case: Case) -> tuple[Box, ...]:
    detector, frame, _, others = case
    studied = detector.study(others) if detector.studies else None
    return detector.detect(frame, 3, studied)


def test_what_is_there_is_found_where_it_is(case: Case) -> None:
    _, frame, (x, y, width, height), _ = case
    found = look(case)
    there = Box(frame=3, x=x, y=y, width=width, height=height, score=1, label="")

    assert found
    assert max(box.overlap(there) for box in found) > 0.45
    for box in found:
        assert box.frame == 3
        assert box.label
        assert box.right <= frame.shape[1]
        assert box.bottom <= frame.shape[0]
    assert list(found) == sorted(found, key=lambda box: -box.score)


def test_the_same_frame_gives_the_same_boxes_in_any_thread(case: Case) -> None:
    before = case[1].copy()
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: look(case), range(8)))

    assert all(boxes == found[0] for boxes in found)
    np.testing.assert_array_equal(case[1], before)


def test_an_empty_field_has_nothing_in_it(case: Case) -> None:
    detector, frame, _, others = case
    if isinstance(detector, ScriptedDetector):
        detector = ScriptedDetector({3: []})
    empty = field(frame.shape[1], frame.shape[0])
    studied = detector.study([empty, *others[:1], empty]) if detector.studies else None

    assert detector.detect(empty, 3, studied) == ()


@pytest.mark.parametrize(("width", "height"), [(64, 64), (90, 64), (64, 4000), (2560, 72)])
def test_a_frame_smaller_than_an_engine_looks_for_is_seen_whole(
    case: Case, width: int, height: int
) -> None:
    detector = case[0]
    if isinstance(detector, ScriptedDetector):
        detector = ScriptedDetector({3: []})
    frame = np.random.default_rng(7).integers(0, 256, (height, width, 3), dtype=np.uint8)
    studied = detector.study([field(width, height)]) if detector.studies else None

    for box in detector.detect(frame, 3, studied):
        assert box.right <= width
        assert box.bottom <= height


@pytest.mark.parametrize(("width", "height"), [(90, 64), (160, 95), (48, 300), (640, 127)])
def test_the_people_classifier_is_never_given_less_than_its_window(
    monkeypatch: pytest.MonkeyPatch, width: int, height: int
) -> None:
    given: list[Image] = []
    detector = PeopleDetector()

    class Engine:
        def detectMultiScale(  # noqa: N802 - OpenCV's name
            self, frame: Image, **_: object
        ) -> tuple[list[tuple[int, int, int, int]], list[float]]:
            given.append(frame)
            return [(0, 0, frame.shape[1], frame.shape[0])], [1.0]

    monkeypatch.setattr(detector, "_engine", Engine())
    frame = plain(width, height, (10, 20, 30))
    [box] = detector.detect(frame, 0)

    [padded] = given
    assert padded.shape == (max(128, height), max(64, width), 3)
    np.testing.assert_array_equal(padded[:height, :width, ::-1], frame)
    assert (box.x, box.y) == (
        round(0.1 * padded.shape[1]),
        round(0.07 * padded.shape[0]),
    ), "the frame stays at the origin"


def test_the_identity_names_what_decides(case: Case) -> None:
    detector = case[0]
    assert detector.identity == detector.identity
    if not isinstance(detector, ScriptedDetector | OnnxDetector):
        name = detector.identity.split()[0]
        assert open_detector(name, 0.9).identity != open_detector(name).identity


def test_a_script_that_ends_fails_loudly() -> None:
    with pytest.raises(AssertionError, match="nothing for frame 4"):
        ScriptedDetector({3: []}).detect(plain(64, 64, (0, 0, 0)), 4)


def test_a_model_names_what_it_sees(tmp_path: Path) -> None:
    frame, _ = squares()
    named = OnnxDetector(square_model(tmp_path / "named.onnx", names="{0: 'square'}"))
    nameless = OnnxDetector(square_model(tmp_path / "nameless.onnx"))

    assert {box.label for box in named.detect(frame, 0)} == {"square"}
    assert {box.label for box in nameless.detect(frame, 0)} == {"class_0"}


def test_a_model_of_another_form_is_refused_in_a_sentence(tmp_path: Path) -> None:
    frame, _ = squares()
    with pytest.raises(ModelFileError, match=r"no form|gives"):
        OnnxDetector(square_model(tmp_path / "seven.onnx", "seven")).detect(frame, 0)
    text = tmp_path / "text.onnx"
    text.write_text("hello")
    with pytest.raises(ModelFileError, match="is not an ONNX model"):
        OnnxDetector(text)
    with pytest.raises(ModelFileError, match="does not exist"):
        OnnxDetector(tmp_path / "gone.onnx")


def fixed_model(path: Path, output: np.ndarray, **metadata: str) -> Path:
    """A model that says the same of every frame."""
    graph = helper.make_graph(
        [
            helper.make_node("ReduceSum", ["image"], ["sum"], keepdims=0),
            helper.make_node("Mul", ["sum", "zero"], ["nothing"]),
            helper.make_node("Add", ["output", "nothing"], ["found"]),
        ],
        "fixed",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, SIDE, SIDE])],
        [helper.make_tensor_value_info("found", TensorProto.FLOAT, list(output.shape))],
        [
            numpy_helper.from_array(output.astype(np.float32), "output"),
            numpy_helper.from_array(np.array(0, np.float32), "zero"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    helper.set_model_props(model, metadata)
    onnx.save(model, str(path))
    return path


def columns(*rows: list[float]) -> np.ndarray:
    """Anchors as YOLOv8 gives them, one in each column; 90 of them are empty."""
    width = len(rows[0])
    return np.array([*rows, *[[0.0] * width] * 90]).T[None]


MISREAD = {
    "a one-class YOLOv5": (
        np.array([[[40.0, 40.0, 60.0, 60.0, 0.9, 0.87]] * 3]),
        "no whole numbers where classes",
    ),
    "a one-class YOLOv5 that is quite sure": (
        np.array([[[40.0, 40.0, 20.0, 20.0, 0.9, 1.0]] * 3]),
        "end before they begin",
    ),
    "key points": (columns([40.0, 40.0, 9.0, 9.0, 0.9, *[43.0, 51.0, 0.8] * 17]), "gives 51"),
    "mask coefficients": (columns([40.0, 40.0, 9.0, 9.0, 0.9, *[-1.2, 1.7] * 16]), r"gives 1\.7"),
    "shares": (columns([0.4, 0.4, 0.1, 0.1, 0.9]), "shares of the input"),
    "no numbers": (columns([40.0, float("nan"), 9.0, 9.0, 0.9]), "no numbers"),
}


@pytest.mark.parametrize(("output", "why"), MISREAD.values(), ids=MISREAD.keys())
def test_what_only_looks_like_boxes_is_refused(
    tmp_path: Path, output: np.ndarray, why: str
) -> None:
    detector = OnnxDetector(fixed_model(tmp_path / "other.onnx", output))
    with pytest.raises(ModelFileError, match=why):
        detector.detect(plain(SIDE, SIDE, (0, 0, 0)), 0)


def test_a_model_whose_metadata_says_something_else_is_refused(tmp_path: Path) -> None:
    pose = columns([40.0, 40.0, 9.0, 9.0, 0.9, 0.1, 0.2])
    with pytest.raises(ModelFileError, match="task 'pose'"):
        OnnxDetector(fixed_model(tmp_path / "pose.onnx", pose, task="pose"))
    named = fixed_model(tmp_path / "named.onnx", pose, task="detect", names="{0: 'a', 1: 'b'}")
    with pytest.raises(ModelFileError, match="3 numbers beside each box, and names 2 classes"):
        OnnxDetector(named).detect(plain(SIDE, SIDE, (0, 0, 0)), 0)


def test_an_unknown_detector_is_refused_with_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no detector 'dog'.*person, face, motion.*FILE\.onnx"):
        check_detector("dog")
    with pytest.raises(UsageError, match="does not exist"):
        check_detector(str(tmp_path / "gone.onnx"))
    check_detector("face")


def test_boxes_are_clipped_and_only_the_surest_of_one_thing_stays() -> None:
    frame = plain(100, 80, (0, 0, 0))
    found = boxes_of(
        [
            (-10.0, -5.0, 30.0, 30.0, 0.5, "a"),
            (1.0, 1.0, 20.0, 25.0, 0.9, "a"),
            (1.0, 1.0, 20.0, 25.0, 0.8, "b"),
            (90.0, 70.0, 30.0, 30.0, 0.7, "a"),
            (200.0, 10.0, 30.0, 30.0, 0.99, "a"),
        ],
        frame,
        5,
        overlap=0.4,
    )

    assert [(box.x, box.y, box.width, box.height, box.label) for box in found] == [
        (1, 1, 20, 25, "a"),
        (1, 1, 20, 25, "b"),
        (90, 70, 10, 10, "a"),
    ]
