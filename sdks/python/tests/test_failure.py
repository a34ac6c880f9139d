"""What is told of a failed attempt."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict

from aion import AionError, ApplicationFailure, JsonConverter
from aion.failure import to_failure
from aion.v1 import workflows_pb2 as workflows


def failure_of(error: BaseException) -> workflows.Failure:
    try:
        raise error
    except BaseException as raised:
        failure = to_failure(raised, JsonConverter())
        # Whatever it is, it arrives.
        assert workflows.Failure.FromString(failure.SerializeToString()) == failure
        return failure


def test_an_error_has_its_class_its_message_and_where_it_was_raised() -> None:
    failure = failure_of(KeyError("row"))
    assert (failure.kind, failure.type, failure.message) == ("application", "KeyError", "'row'")
    assert failure.stack.startswith("Traceback (most recent call last)")
    assert "test_failure.py" in failure.stack
    assert failure.stack.endswith("KeyError: 'row'")
    assert not failure.HasField("non_retryable")
    assert not failure.HasField("details")
    assert not failure.HasField("cause")


def test_an_error_without_a_message_has_its_class() -> None:
    assert failure_of(TimeoutError()).message == "TimeoutError"


def test_a_failure_of_the_author_has_what_the_author_says() -> None:
    error = ApplicationFailure(
        "declined", type="Declined", non_retryable=True, details={"card": ["é", None, 1.5]}
    )
    assert MessageToDict(failure_of(error)) | {"stack": ""} == {
        "kind": "application",
        "message": "declined",
        "type": "Declined",
        "nonRetryable": True,
        "details": {"card": ["é", None, 1.5]},
        "stack": "",
    }
    assert failure_of(ApplicationFailure("plain")).type == "Error"
    assert not failure_of(error).HasField("park")


def test_a_failure_that_asks_for_an_operator_says_so() -> None:
    failure = failure_of(ApplicationFailure("the key has expired", type="KeyExpired", park=True))
    assert MessageToDict(failure) | {"stack": ""} == {
        "kind": "application",
        "message": "the key has expired",
        "type": "KeyExpired",
        "park": True,
        "stack": "",
    }


def test_errors_of_the_worker_have_their_code() -> None:
    failure = failure_of(AionError("payload_invalid", "no"))
    assert (failure.kind, failure.type, failure.message) == ("engine", "payload_invalid", "no")


def test_causes_go_along_as_python_shows_them() -> None:
    def while_handling() -> None:
        try:
            raise ValueError("first")
        except ValueError:
            raise TypeError("last")  # noqa: B904

    def because() -> None:
        try:
            raise ValueError("first")
        except ValueError:
            raise TypeError("last") from OSError("why")

    def hidden() -> None:
        try:
            raise ValueError("first")
        except ValueError:
            raise TypeError("last") from None

    def raised_by(code: Callable[[], None]) -> workflows.Failure:
        with pytest.raises(TypeError) as raised:
            code()
        return to_failure(raised.value, JsonConverter())

    assert raised_by(while_handling).cause.message == "first"
    assert raised_by(because).cause.message == "why"
    assert not raised_by(hidden).HasField("cause")


def test_is_bounded_in_depth_and_size() -> None:
    error: Exception = ValueError("x" * 100_000)
    for depth in range(50):
        outer = ValueError(str(depth))
        outer.__cause__ = error
        error = outer
    failure = failure_of(error)
    depth = 0
    while failure.HasField("cause"):
        failure = failure.cause
        depth += 1
    assert depth == 20
    assert len(failure_of(ValueError("x" * 100_000)).message) == 8_000
    long = failure_of(ValueError("x" * 100_000)).stack
    assert len(long) == 4_000


def test_an_error_that_is_its_own_cause_ends() -> None:
    error = ValueError("round")
    other = ValueError("and round", error)
    error.__cause__, other.__cause__ = other, error
    assert failure_of(error).cause.cause.message == "round"


def test_details_that_cannot_be_told_say_so() -> None:
    def details_of(details: Any) -> Any:
        return MessageToDict(failure_of(ApplicationFailure("no", details=details))).get("details")

    assert "cannot be written as JSON" in details_of(print)["dropped"]
    assert "65536" in details_of("x" * 70_000)["dropped"]
    assert details_of(["a\ud800"]) == ["a\ufffd"]


def test_details_that_no_message_can_hold_go() -> None:
    deep: Any = None
    for _ in range(90):
        deep = [deep]
    failure = failure_of(ApplicationFailure("no", details=deep, non_retryable=True))
    assert (failure.message, failure.non_retryable) == ("no", True)


def test_what_cannot_be_shown_is_told_all_the_same() -> None:
    class Odd(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no words")

    failure = failure_of(Odd())
    assert (failure.type, failure.message) == ("Odd", "an error that cannot be shown")
    assert failure_of(ValueError("a\ud800")).message == "a\ufffd"
