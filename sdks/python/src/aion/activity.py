"""Definitions of activities, and how their implementations are called."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, ParamSpec, TypeVar, get_type_hints

from .errors import AionError, invalid
from .names import parse_name
from .payload import Converter
from .task import Task

P = ParamSpec("P")
R = TypeVar("R")


class Activity(Generic[P, R]):
    """A function under the name by which workflows call it. Called itself, it is the function."""

    __name__: str

    def __init__(self, activity_type: str, implementation: Callable[P, R]) -> None:
        functools.update_wrapper(self, implementation)
        self.activity_type = parse_name(activity_type, "activity type")
        self.implementation = implementation

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        return self.implementation(*args, **kwargs)


def activity(activity_type: str) -> Callable[[Callable[P, R]], Activity[P, R]]:
    """Names the implementation of an activity.

    The function takes the input, the `Task`, both or neither. An `async def` runs on the event loop, any other function in a thread
    of its own. The annotation of the input says how it is read; what does not fit fails the attempt for good.
    """
    if not isinstance(activity_type, str):
        raise invalid('an activity is named: @activity("charge")')
    return lambda implementation: Activity(activity_type, implementation)


@dataclass(frozen=True, slots=True)
class Binding:
    """An activity with what it takes to call it."""

    activity_type: str
    implementation: Callable[..., Any]
    is_async: bool
    decoder: Callable[[str], Any]
    takes: tuple[str, ...]
    """`input`, `task`, in the order of the parameters."""

    def call(self, value: Any, task: Task) -> Any:
        return self.implementation(*(task if taken == "task" else value for taken in self.takes))


def bind_all(
    activities: Sequence[Activity[..., Any] | Callable[..., Any]], converter: Converter
) -> dict[str, Binding]:
    """Raises `invalid_argument`, `definition_duplicate`."""
    bound: dict[str, Binding] = {}
    for each in activities:
        binding = _bind(each, converter)
        if binding.activity_type in bound:
            raise AionError("definition_duplicate", f"two activities are named {binding.activity_type!r}")
        bound[binding.activity_type] = binding
    if not bound:
        raise invalid("a worker without activities has nothing to do")
    return bound


def _bind(of: Activity[..., Any] | Callable[..., Any], converter: Converter) -> Binding:
    if not isinstance(of, Activity):
        name = getattr(of, "__name__", None)
        if not callable(of) or name is None:
            raise invalid(f"`activities` holds {of!r}, which is neither a function nor made by @activity")
        of = Activity(name, of)
    what = f"activity {of.activity_type!r}"
    function = _function_of(of.implementation)
    try:
        hints = get_type_hints(function, include_extras=True)
        parameters = list(inspect.signature(of.implementation).parameters.values())
    except Exception as error:
        raise invalid(f"{what}: its annotations cannot be read: {error}") from error
    takes: list[str] = []
    hint: Any = Any
    for parameter in parameters:
        is_positional = parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
        if not is_positional:
            if parameter.kind == parameter.KEYWORD_ONLY and parameter.default is parameter.empty:
                raise invalid(f"{what} needs {parameter.name!r}, which nobody gives it")
            continue
        annotation = hints.get(parameter.name, Any)
        is_task = annotation is Task or (annotation is Any and takes == ["input"])
        taken = "task" if is_task else "input"
        if taken in takes:
            if parameter.default is not parameter.empty:
                break
            raise invalid(f"{what} takes one input and the task, not {parameter.name!r} as well")
        takes.append(taken)
        if taken == "input":
            hint = annotation
    try:
        decoder = converter.decoder(hint)
    except Exception as error:
        raise invalid(f"{what}: an input of {hint!r} cannot be read: {error}") from error
    return Binding(
        activity_type=of.activity_type,
        implementation=of.implementation,
        is_async=inspect.iscoroutinefunction(function),
        decoder=decoder,
        takes=tuple(takes),
    )


def _function_of(implementation: Callable[..., Any]) -> Callable[..., Any]:
    """Where the annotations are."""
    while isinstance(implementation, functools.partial):
        implementation = implementation.func
    if inspect.isroutine(implementation):
        return implementation
    call: Callable[..., Any] = type(implementation).__call__
    return call
