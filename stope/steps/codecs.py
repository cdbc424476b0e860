"""How the values of a context are stored: one small class for each type, and nothing is pickled.

A codec turns a value into bytes and back into the same: its type, shape and contents. A new type of
value is one more class here, or in a pipeline's own file, given to ``register``.
"""

from __future__ import annotations

import io
import json
import math
from abc import ABC, abstractmethod
from typing import Any, ClassVar, Generic, TypeVar, cast

import numpy as np
from pydantic import BaseModel, ValidationError

from stope.errors import ArtifactError, PermanentError
from stope.identity import canonical_json
from stope.steps.json_text import from_json, json_pieces
from stope.steps.values import Picture, Table, fixed

T = TypeVar("T")

_MODEL_WEIGHT = 8
"""Bytes of a model in memory to one of its JSON, of those with many small fields."""

_PLAIN = (dict, list, str, int, float, bool, type(None))


class Codec(ABC, Generic[T]):
    """One type of value.

    ``tag`` names it in references, ``kinds`` are the types it stores.
    """

    tag: ClassVar[str]
    kinds: ClassVar[tuple[type, ...]]

    @abstractmethod
    def encode(self, value: T) -> bytes:
        """The bytes of a value: the same for equal values.

        Raises:
            PermanentError: it cannot be stored so that it comes back the same.
        """

    @abstractmethod
    def decode(self, data: bytes, kind: type[T]) -> T:
        """The value of these bytes.

        Raises:
            ArtifactError: they are no such value.
        """

    def shared(self, _value: T) -> T | None:
        """What several steps may hold at once, of a type that cannot be changed.

        None for another: it is kept encoded, and everybody gets one of his own.
        """
        return None

    def weight(self, _value: T, encoded: int) -> int:
        """Bytes that a shared one takes in memory; ``encoded`` is what it takes in the store."""
        return encoded


class JsonCodec(Codec[Any]):
    """What JSON can say: dict with str keys, list, str, int, finite float, bool, None."""

    tag = "json"
    kinds = _PLAIN

    def encode(self, value: Any) -> bytes:
        """See ``Codec``."""
        _must_be_plain(value)
        return "".join(json_pieces(value)).encode()

    def decode(self, data: bytes, kind: type[Any]) -> Any:
        """See ``Codec``."""
        try:
            value = from_json(data)
        except ValueError as error:
            raise _damaged(self.tag, kind) from error
        if type(value) is not kind:
            raise _damaged(self.tag, kind)
        return value


class BytesCodec(Codec[bytes]):
    """Bytes as they are: an ONNX model, a file."""

    tag = "bytes"
    kinds = (bytes,)

    def encode(self, value: bytes) -> bytes:
        """See ``Codec``."""
        return value

    def decode(self, data: bytes, kind: type[bytes]) -> bytes:
        """See ``Codec``."""
        return data

    def shared(self, value: bytes) -> bytes:
        """It cannot be changed."""
        return value


class ArrayCodec(Codec["np.ndarray[Any, Any]"]):
    """A NumPy array as ``.npy``: the same dtype, shape and order. Objects are refused."""

    tag = "array"
    kinds = (np.ndarray,)

    def encode(self, value: np.ndarray[Any, Any]) -> bytes:
        """See ``Codec``."""
        if value.dtype.hasobject:
            raise PermanentError(
                f"An array of {value.dtype} holds Python objects and cannot be stored; give it a "
                "type of its own."
            )
        file = io.BytesIO()
        np.lib.format.write_array(file, np.asanyarray(value), allow_pickle=False)
        return file.getvalue()

    def decode(
        self,
        data: bytes,
        kind: type[np.ndarray[Any, Any]],
    ) -> np.ndarray[Any, Any]:
        """See ``Codec``."""
        try:
            found = np.lib.format.read_array(io.BytesIO(data), allow_pickle=False)
        except (ValueError, EOFError) as error:
            raise _damaged(self.tag, kind) from error
        found.flags.writeable = False
        return cast("np.ndarray[Any, Any]", found)

    def shared(self, value: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """A view of what nobody can change."""
        return fixed(value)

    def weight(self, value: np.ndarray[Any, Any], encoded: int) -> int:
        """See ``Codec``."""
        return int(value.nbytes)


class PictureCodec(Codec[Picture]):
    """A picture as PNG, which loses nothing."""

    tag = "picture"
    kinds = (Picture,)

    def encode(self, value: Picture) -> bytes:
        """See ``Codec``."""
        from stope.steps.png import to_png

        return to_png(value.pixels)

    def decode(self, data: bytes, kind: type[Picture]) -> Picture:
        """See ``Codec``."""
        from stope.steps.png import from_png

        try:
            return Picture(from_png(data))
        except ValueError as error:
            raise _damaged(self.tag, kind) from error

    def shared(self, value: Picture) -> Picture:
        """It cannot be changed."""
        return value

    def weight(self, value: Picture, encoded: int) -> int:
        """See ``Codec``."""
        return int(value.pixels.nbytes)


class TableCodec(Codec[Table]):
    """A table: a line of JSON with the columns' names and sizes, then each of them as ``.npy``."""

    tag = "table"
    kinds = (Table,)
    _arrays = ArrayCodec()

    def encode(self, value: Table) -> bytes:
        """See ``Codec``."""
        columns = [self._arrays.encode(array) for array in value.columns.values()]
        head = [[name, len(column)] for name, column in zip(value.columns, columns, strict=True)]
        return b"".join([canonical_json(head).encode(), b"\n", *columns])

    def decode(self, data: bytes, kind: type[Table]) -> Table:
        """See ``Codec``."""
        line, _, rest = data.partition(b"\n")
        try:
            head = [(str(name), int(size)) for name, size in json.loads(line)]
        except (ValueError, TypeError) as error:
            raise _damaged(self.tag, kind) from error
        columns: dict[str, np.ndarray[Any, Any]] = {}
        for name, size in head:
            columns[name] = self._arrays.decode(rest[:size], np.ndarray)
            rest = rest[size:]
        return Table(columns)

    def shared(self, value: Table) -> Table:
        """It cannot be changed."""
        return value

    def weight(self, value: Table, encoded: int) -> int:
        """See ``Codec``."""
        return sum(int(array.nbytes) for array in value.columns.values())


class ModelCodec(Codec[BaseModel]):
    """Any pydantic model, as JSON. Its class is the one that the step declares."""

    tag = "model"
    kinds = (BaseModel,)

    def encode(self, value: BaseModel) -> bytes:
        """See ``Codec``."""
        data = value.model_dump_json().encode()
        try:
            same = type(value).model_validate_json(data) == value
        except ValidationError:
            same = False
        if not same:
            raise PermanentError(
                f"A {type(value).__name__} does not come back the same from JSON; give its fields "
                "types that do (a NaN, for one, does not)."
            )
        return data

    def decode(self, data: bytes, kind: type[BaseModel]) -> BaseModel:
        """See ``Codec``."""
        try:
            return kind.model_validate_json(data)
        except ValidationError as error:
            raise _damaged(self.tag, kind) from error

    def shared(self, value: BaseModel) -> BaseModel | None:
        """A frozen one cannot be changed."""
        return value if value.model_config.get("frozen") else None

    def weight(self, _value: BaseModel, encoded: int) -> int:
        """See ``Codec``."""
        return encoded * _MODEL_WEIGHT


_BY_KIND: dict[type, Codec[Any]] = {}


def register(codec: Codec[Any]) -> None:
    """Store the types of a codec by it, in this process."""
    for kind in codec.kinds:
        _BY_KIND[kind] = codec


for _codec in (
    *(JsonCodec(), BytesCodec(), ArrayCodec()),
    *(PictureCodec(), TableCodec(), ModelCodec()),
):
    register(_codec)


def codec_of(kind: type) -> Codec[Any] | None:
    """The codec of a type, or of the nearest class it is derived from; None without one."""
    if kind in _BY_KIND:
        return _BY_KIND[kind]
    # A class that is derived from a plain one would come back as the plain one.
    for base in kind.__mro__[1:]:
        if base is BaseModel:
            return _BY_KIND[BaseModel]
    return None


def _must_be_plain(value: object) -> None:
    kind = type(value)
    if kind is dict and isinstance(value, dict):
        for key, item in value.items():
            if type(key) is not str:
                raise PermanentError(f"A key of a stored dict is {key!r}; use text.")
            _must_be_plain(item)
    elif kind is list and isinstance(value, list):
        for item in value:
            _must_be_plain(item)
    elif kind not in _PLAIN:
        raise PermanentError(
            f"A {kind.__name__} inside of a dict or list does not come back the same; use lists, "
            "dicts, text and numbers there, and give other values by names of their own."
        )
    elif isinstance(value, float) and not math.isfinite(value):
        raise PermanentError(f"The number {value} has no form in JSON; leave it out.")


def _damaged(tag: str, kind: type) -> ArtifactError:
    return ArtifactError(
        f"What is stored as {tag} is no {kind.__name__}; delete it and run the job again with "
        "--force."
    )
