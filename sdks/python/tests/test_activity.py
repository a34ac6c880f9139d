"""How functions become activities."""

import functools
from typing import Any

import pytest

from aion import Activity, AionError, JsonConverter, Task, activity
from aion.activity import bind_all
from aion.payload import decode


def bind(implementation: Any) -> Any:
    [binding] = bind_all([implementation], JsonConverter()).values()
    return binding


class Service:
    def charge(self, amount: int, task: Task) -> list[Any]:
        return [self, amount, task]

    async def __call__(self, amount: int) -> int:
        return amount


task = Task()


@pytest.mark.parametrize(
    ("implementation", "expected"),
    [
        (lambda: "none", "none"),
        (lambda value: value, 5),
        (lambda value, of: (value, of), (5, task)),
        (lambda value, of, more=1: (value, of, more), (5, task, 1)),
        (lambda *values: values, ()),
        (functools.partial(lambda prefix, value: (prefix, value), "a"), ("a", 5)),
    ],
)
def test_gives_a_function_what_it_takes(implementation: Any, expected: Any) -> None:
    assert bind(activity("work")(implementation)).call(5, task) == expected


def test_the_task_is_where_its_annotation_is() -> None:
    def only(of: Task) -> Task:
        return of

    def first(of: Task, value: int) -> tuple[Task, int]:
        return of, value

    assert bind(only).call(5, task) is task
    assert bind(first).call(5, task) == (task, 5)


def test_methods_and_objects_are_functions_too() -> None:
    service = Service()
    assert bind(service.charge).call(5, task) == [service, 5, task]
    assert bind(service.charge).activity_type == "charge"
    assert bind(activity("call")(service)).is_async
    with pytest.raises(AionError, match="does not fit"):
        decode(bind(service.charge).decoder, '"5"', "it")


def test_a_named_function_is_still_the_function() -> None:
    @activity("charge")
    def charge(amount: int) -> int:
        """Takes the money."""
        return amount + 1

    assert charge(1) == 2
    assert (charge.activity_type, charge.__name__, charge.__doc__) == ("charge", "charge", "Takes the money.")
    again: Activity[[int], int] = activity("again")(charge)
    assert (again.activity_type, charge.activity_type) == ("again", "charge")


def test_a_task_can_be_made_for_tests() -> None:
    beats: list[object] = []
    task = Task(attempt=2, heartbeat=beats.append)
    task.heartbeat(1)
    assert (beats, task.attempt, task.cancelled.is_set()) == ([1], 2, False)


def unreadable(value: print) -> None:  # type: ignore[valid-type]
    del value


def forward(value: "Nowhere") -> None:  # type: ignore[name-defined]  # noqa: F821
    del value


@pytest.mark.parametrize(
    ("implementation", "message"),
    [
        (lambda a, b, c: None, "one input and the task, not 'c'"),
        (lambda a, *, b: None, "needs 'b'"),
        (unreadable, "cannot be read"),
        (forward, "annotations cannot be read"),
    ],
)
def test_says_what_cannot_be_called(implementation: Any, message: str) -> None:
    with pytest.raises(AionError, match=message) as raised:
        bind(activity("work")(implementation))
    assert raised.value.code == "invalid_argument"


def test_a_name_is_needed() -> None:
    with pytest.raises(AionError, match="is named"):
        activity(print)  # type: ignore[arg-type]
    with pytest.raises(AionError, match="activity type must be"):
        activity("")(print)
