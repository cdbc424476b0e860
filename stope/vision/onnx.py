"""Any detection model in an ONNX file, of the forms that YOLO's exports have.

Input: one, ``[1, 3, height, width]``, float32 or float16, RGB from 0 to 1. The frame is fitted into
it with grey bars (letterbox). Where the model leaves the size open it is 640 by 640.

Output: one of these, the first one if there are several, coordinates in pixels of the input:

- ``[1, 4 + classes, N]`` (YOLOv8, YOLO11): centre x, centre y, width, height, a score for each
  class;
- ``[1, N, 6]`` or ``[N, 6]`` (YOLOv10, exports with suppression inside): left, top, right, bottom,
  score, class.

Scores are from 0 to 1. Other outputs have the same shapes (a one-class YOLOv5's, key points', mask
coefficients'): they are refused by what the numbers and the metadata say.

Labels are the ``names`` in the model's metadata, as Ultralytics writes them; else ``class_0`` and
so on.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from stope.errors import ModelFileError
from stope.identity import digest_file
from stope.models.vision import Box
from stope.vision.detector import Found, boxes_of, without_study
from stope.vision.image import Image, resized

Floats = npt.NDArray[np.floating]

_OPEN_SIZE = 640
_BAR = 114
_LEAST_SCORE = 0.25
_OVERLAP = 0.5
_MOST = 1000
"""Candidates that are looked at, the surest first."""

_ROUNDED = 1e-3
"""What a score may be above 1 by."""

_TYPES: dict[str, type[np.floating]] = {"tensor(float)": np.float32, "tensor(float16)": np.float16}
_FORMS = (
    "its input must be one image [1, 3, height, width] of floats, and its output "
    "[1, 4 + classes, N] or [N, 6], boxes in pixels of the input and scores from 0 to 1"
)


class OnnxDetector:
    """See the module.

    Args:
        path: the model file.
        min_score: boxes below it are left out.
        threads: for one frame.

    Raises:
        ModelFileError: it is missing, no ONNX model, or one of another form.
    """

    def __init__(self, path: Path, min_score: float | None = None, threads: int = 1) -> None:
        self._least = _LEAST_SCORE if min_score is None else min_score
        self._session = _opened(path, threads)
        self._digest = digest_file(path)
        self._name = path.name
        self._input, self._type, self._size = self._read_input()
        self._output = self._read_output()
        said = self._session.get_modelmeta().custom_metadata_map
        self._names = _names(said.get("names", ""))
        if said.get("task", "detect") != "detect":
            raise self._other(f"is made for the task {said['task']!r}, not 'detect'")

    @property
    def identity(self) -> str:
        """See ``Detector``."""
        return f"onnx 2 {self._digest} {ort.__version__} {self._least} {_OVERLAP} {_MOST}"

    @property
    def studies(self) -> int:
        """See ``Detector``."""
        return 0

    def study(self, frames: Sequence[Image]) -> Image:
        """See ``Detector``."""
        raise without_study("ONNX")

    def detect(self, frame: Image, index: int, studied: Image | None = None) -> tuple[Box, ...]:
        """See ``Detector``."""
        fed, scale, left, top = letterboxed(frame, *self._size)
        batch = np.ascontiguousarray(fed.transpose(2, 0, 1)[np.newaxis]).astype(self._type) / 255
        (output,) = self._session.run([self._output], {self._input: batch.astype(self._type)})
        corners, scores, classes = self._read(np.asarray(output, dtype=np.float64))
        good = np.flatnonzero(scores >= self._least)
        good = good[np.argsort(-scores[good], kind="stable")][:_MOST]
        self._check(corners[good], scores[good], classes[good])
        found: list[Found] = []
        for number in good:
            x1, y1, x2, y2 = (float(value) for value in corners[number])
            found.append(
                (
                    (x1 - left) / scale,
                    (y1 - top) / scale,
                    (x2 - x1) / scale,
                    (y2 - y1) / scale,
                    float(scores[number]),
                    self._label(int(classes[number])),
                )
            )
        return boxes_of(found, frame, index, _OVERLAP)

    def _read(self, output: Floats) -> tuple[Floats, Floats, Floats]:
        """Corners, scores and classes of what the model says."""
        shape = output.shape
        rows = output.reshape(shape[-2:]) if output.ndim == 3 and shape[0] == 1 else output
        if rows.ndim == 2 and rows.shape[1] == 6:
            return rows[:, :4], rows[:, 4], rows[:, 5]
        # Fewer rows than columns: [1, N, 4 + classes] is another form, YOLOv5's.
        if output.ndim == 3 and rows.ndim == 2 and 4 < rows.shape[0] < rows.shape[1]:
            centre, size, scores = rows[:2].T, rows[2:4].T, rows[4:].T
            if self._names and scores.shape[1] != len(self._names):
                raise self._other(
                    f"gives {scores.shape[1]} numbers beside each box, and names "
                    f"{len(self._names)} classes"
                )
            corners = np.hstack([centre - size / 2, centre + size / 2])
            classes = scores.argmax(axis=1)
            return corners, scores[np.arange(len(scores)), classes], classes.astype(np.float64)
        raise self._other(f"gives {list(shape)}")

    def _check(self, corners: Floats, scores: Floats, classes: Floats) -> None:
        """Whether numbers are what they were taken for.

        Raises:
            ModelFileError: they are not.
        """
        if not len(scores):
            return
        if not np.isfinite(corners).all() or not np.isfinite(scores).all():
            raise self._other("gives boxes or scores that are no numbers")
        if scores.max() > 1 + _ROUNDED:
            raise self._other(f"gives {scores.max():.4g} where a score should be")
        if (classes != np.floor(classes)).any() or classes.min() < 0:
            raise self._other("gives no whole numbers where classes should be")
        if (corners[:, 2:] < corners[:, :2]).any():
            raise self._other("gives boxes that end before they begin")
        if np.abs(corners).max() <= 1 + _ROUNDED:
            raise self._other("gives boxes as shares of the input")

    def _other(self, what: str) -> ModelFileError:
        return ModelFileError(
            f"The model {self._name} {what}: that is no form of a detection model that is known "
            f"here; {_FORMS}."
        )

    def _label(self, number: int) -> str:
        return self._names.get(number, f"class_{number}")

    def _read_input(self) -> tuple[str, type[np.floating], tuple[int, int]]:
        inputs = self._session.get_inputs()
        kinds = [item.type for item in inputs]
        shapes = [list(item.shape) for item in inputs]
        if len(inputs) != 1 or kinds[0] not in _TYPES or len(shapes[0]) != 4:
            raise ModelFileError(
                f"The model {self._name} takes {shapes} of {', '.join(kinds)}; {_FORMS}."
            )
        batch, channels, height, width = shapes[0]
        if channels != 3 or (isinstance(batch, int) and batch != 1):
            raise ModelFileError(f"The model {self._name} takes {shapes[0]}; {_FORMS}.")
        size = (
            width if isinstance(width, int) and width > 0 else _OPEN_SIZE,
            height if isinstance(height, int) and height > 0 else _OPEN_SIZE,
        )
        return inputs[0].name, _TYPES[kinds[0]], size

    def _read_output(self) -> str:
        first = self._session.get_outputs()[0]
        dims = list(first.shape)
        last = dims[-1] if dims else None
        is_boxes = len(dims) in (2, 3) and last == 6
        # What is left open is looked at when there is a frame.
        is_open = len(dims) in (2, 3) and not isinstance(last, int)
        is_scores = (
            len(dims) == 3
            and isinstance(last, int)
            and (not isinstance(dims[1], int) or 4 < dims[1] < last)
        )
        if not (is_boxes or is_open or is_scores):
            raise ModelFileError(f"The model {self._name} gives {dims}; {_FORMS}.")
        return str(first.name)


def letterboxed(frame: Image, width: int, height: int) -> tuple[Image, float, int, int]:
    """A frame fitted into a size with grey bars; its scale, and its left and top there."""
    high, wide = frame.shape[:2]
    scale = min(width / wide, height / high)
    inner = resized(frame, max(1, round(wide * scale)), max(1, round(high * scale)))
    left, top = (width - inner.shape[1]) // 2, (height - inner.shape[0]) // 2
    fed = np.full((height, width, 3), _BAR, dtype=np.uint8)
    fed[top : top + inner.shape[0], left : left + inner.shape[1]] = inner
    return fed, scale, left, top


def _opened(path: Path, threads: int) -> ort.InferenceSession:
    if not path.is_file():
        raise ModelFileError(f"The detection model {path} does not exist; check the path.")
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        return ort.InferenceSession(
            str(path), sess_options=options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # the runtime's own errors have no common base
        raise ModelFileError(
            f"{path} is not an ONNX model that can be run: {str(error).splitlines()[0][:200]}"
        ) from error


def _names(said: str) -> dict[int, str]:
    """The classes' names as Ultralytics writes them, ``{0: 'person', …}``; none where it is not."""
    try:
        found = ast.literal_eval(said) if said else {}
    except (ValueError, SyntaxError):
        return {}
    if not isinstance(found, dict):
        return {}
    return {int(number): str(name) for number, name in found.items() if str(number).isdigit()}
