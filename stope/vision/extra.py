"""The packages of the extra ``vision``, and what to do without them."""

from __future__ import annotations

from importlib.util import find_spec

from stope.errors import UsageError

_PACKAGES = {"cv2": "opencv-python-headless", "skimage": "scikit-image"}


def require_vision() -> None:
    """Make sure that the vision packages are there and fit.

    One thread for each call of OpenCV: units run beside each other, and what its threads find in
    one picture comes in no fixed order.

    Raises:
        UsageError: one is missing, or OpenCV is one without the bundled detectors.
    """
    missing = [package for module, package in _PACKAGES.items() if find_spec(module) is None]
    if missing:
        raise UsageError(
            f"Video data preparation needs {' and '.join(missing)}, which the extra `vision` "
            "brings: pip install 'stope[vision]'."
        )
    import cv2

    if not hasattr(cv2, "HOGDescriptor") or not hasattr(cv2, "CascadeClassifier"):
        raise UsageError(
            f"OpenCV {cv2.__version__} has no bundled detectors (5.0 removed them); the extra "
            "`vision` brings one that has: pip install 'opencv-python-headless<5'."
        )
    cv2.setNumThreads(1)
