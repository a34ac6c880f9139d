"""User data as it goes over the wire: JSON text, made and read by a converter."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from typing import Any, Protocol

from pydantic import TypeAdapter, ValidationError
from pydantic_core import to_jsonable_python

from .errors import AionError

LONE_SURROGATE = re.compile("[\ud800-\udfff]")
"""Half of a pair, which UTF-8 does not have."""

_INT_MAX = 2**53 - 1
_PROBLEMS_MAX = 5


class Converter(Protocol):
    """How values of Python become JSON text, and back. Whatever it raises fails the attempt, for good."""

    def decoder(self, hint: Any) -> Callable[[str], Any]:
        """Asked once for each activity, with the annotation of its input (`Any` where there is none).

        Raises for an annotation that it cannot serve: the worker is not made then.
        """
        ...

    def encode(self, value: Any) -> str: ...


class JsonConverter:
    """The converter unless another is given: pydantic's, strict.

    Reads what the annotation says (dataclasses, typed dicts, models, unions, plain types) and nothing that merely looks like
    it: `"5"` is no `int`. Writes the same, and refuses what JSON or JavaScript would change: NaN, infinities, integers beyond
    2**53 - 1, keys that are no text.
    """

    def decoder(self, hint: Any) -> Callable[[str], Any]:
        adapter: TypeAdapter[Any] = TypeAdapter(hint)
        return lambda text: adapter.validate_json(text, strict=True)

    def encode(self, value: Any) -> str:
        plain = to_jsonable_python(value, inf_nan_mode="constants")
        _demand_exact(value, "")
        _demand_exact(plain, "")
        text = json.dumps(plain, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
        # JavaScript writes them so, and gets them back.
        return LONE_SURROGATE.sub(lambda half: f"\\u{ord(half.group()):04x}", text)


def _demand_exact(value: Any, place: str) -> None:
    match value:
        case bool():
            return
        case int() if not -_INT_MAX <= value <= _INT_MAX:
            raise ValueError(f"{value}{place} is an integer that JavaScript would round; make it text")
        case float() if not math.isfinite(value):
            raise ValueError(f"{value}{place} is no number of JSON")
        case list() | tuple():
            for index, each in enumerate(value):
                _demand_exact(each, f"{place} at [{index}]")
        case dict():
            for key, each in value.items():
                if not isinstance(key, str):
                    raise ValueError(f"the key {key!r}{place} is no text")
                _demand_exact(each, f"{place} at {key!r}")


def decode(decoder: Callable[[str], Any], text: str, what: str) -> Any:
    """Raises `payload_invalid`."""
    try:
        return decoder(text)
    except ValidationError as error:
        raise AionError(
            "payload_invalid", f"{what} does not fit its annotation: {_problems(error)}"
        ) from None
    except Exception as error:
        raise AionError("payload_invalid", f"{what} cannot be read: {error}") from error


def encode(converter: Converter, value: Any, what: str, limit_bytes: float) -> str:
    """Raises `payload_not_serializable`, `payload_too_large`."""
    try:
        text = converter.encode(value)
        size = len(text.encode())
    except Exception as error:
        raise AionError("payload_not_serializable", f"{what} cannot be written as JSON: {error}") from error
    if size > limit_bytes:
        raise AionError(
            "payload_too_large", f"{what} has {size} bytes, more than the limit of {limit_bytes:.0f}"
        )
    return text


def _problems(error: ValidationError) -> str:
    found = error.errors(include_url=False, include_context=False, include_input=False)
    shown = []
    for problem in found[:_PROBLEMS_MAX]:
        place = ".".join(str(part) for part in problem["loc"])
        shown.append(f"{place}: {problem['msg']}" if place else problem["msg"])
    more = f" (and {len(found) - _PROBLEMS_MAX} more)" if len(found) > _PROBLEMS_MAX else ""
    return "; ".join(shown) + more
