"""Values of Python as JSON, both ways."""

from __future__ import annotations

import datetime
import enum
from dataclasses import dataclass
from typing import Any, Literal

import pytest
from pydantic import BaseModel
from typing_extensions import TypedDict

from aion import AionError, JsonConverter
from aion.payload import decode, encode

converter = JsonConverter()


@dataclass
class Line:
    sku: str
    count: int = 1


@dataclass
class Order:
    id: str
    lines: list[Line]
    note: str | None = None


class Model(BaseModel):
    id: str


class Typed(TypedDict):
    id: str


class Colour(enum.Enum):
    RED = "red"


def written(value: Any) -> str:
    return encode(converter, value, "it", 1_000)


def read(hint: Any, text: str) -> Any:
    return decode(converter.decoder(hint), text, "it")


@pytest.mark.parametrize(
    ("hint", "text", "value"),
    [
        (Order, '{"id":"a","lines":[{"sku":"x","count":2}],"note":null}', Order("a", [Line("x", 2)])),
        (Model, '{"id":"a"}', Model(id="a")),
        (Typed, '{"id":"a"}', {"id": "a"}),
        (Colour, '"red"', Colour.RED),
        (datetime.date, '"2026-02-03"', datetime.date(2026, 2, 3)),
        (tuple[int, str], '[1,"a"]', (1, "a")),
        (dict[str, float], '{"a":1.5}', {"a": 1.5}),
        (int | None, "null", None),
        (Literal["a", "b"], '"a"', "a"),
        (Any, '{"a":[1,true,null,"ä😀"]}', {"a": [1, True, None, "ä😀"]}),
    ],
)
def test_goes_there_and_back(hint: Any, text: str, value: Any) -> None:
    assert read(hint, text) == value
    assert written(value) == text


@pytest.mark.parametrize(
    ("hint", "text", "problem"),
    [
        (int, '"5"', "valid integer"),
        (str, "5", "valid string"),
        (Order, '{"id":"a","lines":[{"sku":"x","count":"2"}]}', "lines.0.count: "),
        (Order, '{"id":"a"}', "lines: Field required"),
        (Typed, "{}", "id: Field required"),
        (Any, "{", "Invalid JSON"),
    ],
)
def test_what_does_not_fit_is_told_with_its_place(hint: Any, text: str, problem: str) -> None:
    with pytest.raises(AionError, match=problem) as raised:
        read(hint, text)
    assert raised.value.code == "payload_invalid"


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (print, "serialize"),
        (float("nan"), "no number of JSON"),
        ({"a": [float("inf")]}, "at 'a' at \\[0\\]"),
        (2**53, "JavaScript would round"),
        ([-(2**53)], "JavaScript would round"),
        ({1: "a"}, "is no text"),
    ],
)
def test_what_would_not_come_back_as_it_was_is_refused(value: Any, problem: str) -> None:
    with pytest.raises(AionError, match=problem) as raised:
        written(value)
    assert raised.value.code == "payload_not_serializable"


def test_takes_whatever_javascript_takes() -> None:
    assert written([2**53 - 1, -0.5, 1e300, True]) == "[9007199254740991,-0.5,1e+300,true]"
    # Half of a pair of surrogates, as JSON.stringify writes it.
    assert written("a\ud800b") == '"a\\ud800b"'
    assert read(Any, '"a\\u00e4"') == "aä"


def test_what_holds_itself_is_refused() -> None:
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(AionError) as raised:
        written(loop)
    assert raised.value.code == "payload_not_serializable"


def test_the_limit_is_in_bytes() -> None:
    assert written("ä" * 499) == f'"{"ä" * 499}"'
    with pytest.raises(AionError, match="1002 bytes, more than the limit of 1000") as raised:
        written("ä" * 500)
    assert raised.value.code == "payload_too_large"
