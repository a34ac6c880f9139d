"""How attempts fail: what code raises, and the plain data that is recorded of it."""

from __future__ import annotations

import json
import traceback
from typing import Any

from google.protobuf.json_format import ParseDict
from google.protobuf.struct_pb2 import Value

from .errors import AionError
from .payload import LONE_SURROGATE, Converter, encode
from .v1 import workflows_pb2 as workflows

_CAUSES_MAX = 20
_MESSAGE_MAX = 8_000
_STACK_MAX = 4_000
_DETAILS_MAX_BYTES = 64 * 1024


class ApplicationFailure(Exception):
    """Raised by activities to fail with a type, with details, for good, or until somebody has mended the cause.

    `type` is what retry policies and handlers match on. `non_retryable`: the engine does not try again, whatever the policy.
    `park`: the activity does not fail; it waits for an operator, who resumes it when the cause is mended.
    `details`: JSON data for whoever handles it. The cause is that of `raise … from …`.
    """

    def __init__(
        self,
        message: str,
        *,
        type: str = "Error",
        non_retryable: bool = False,
        park: bool = False,
        details: Any = None,
    ) -> None:
        super().__init__(message)
        self.type = type
        self.non_retryable = non_retryable
        self.park = park
        self.details = details


def to_failure(error: BaseException, converter: Converter) -> workflows.Failure:
    """Anything raised, as plain data. Total: raises nothing, bounded in depth and size, and of a kind that arrives."""
    failure = _to_failure(error, converter, 0)
    try:
        # Details that are nested too deeply can be written, and not read.
        workflows.Failure.FromString(failure.SerializeToString())
    except Exception:
        failure.ClearField("details")
        failure.ClearField("cause")
    return failure


def cancelled() -> workflows.Failure:
    return workflows.Failure(kind="cancelled", message="the activity was cancelled")


def _to_failure(error: BaseException, converter: Converter, depth: int) -> workflows.Failure:
    failure = workflows.Failure(message=_well_formed(_message_of(error))[:_MESSAGE_MAX])
    if isinstance(error, AionError):
        failure.kind, failure.type = "engine", error.code
    elif isinstance(error, ApplicationFailure):
        failure.kind, failure.type = "application", _well_formed(str(error.type))
        # Only where it is set, as elsewhere: an absent field is false.
        if error.non_retryable:
            failure.non_retryable = True
        if error.park:
            failure.park = True
        if error.details is not None:
            failure.details.CopyFrom(_to_details(error.details, converter))
    else:
        failure.kind, failure.type = "application", type(error).__name__
    failure.stack = _well_formed(_stack_of(error))
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if cause is not None and depth < _CAUSES_MAX:
        failure.cause.CopyFrom(_to_failure(cause, converter, depth + 1))
    return failure


def _to_details(details: Any, converter: Converter) -> Value:
    try:
        text = encode(converter, details, "failure details", _DETAILS_MAX_BYTES)
        return _to_value(json.loads(text))
    except Exception as error:
        return _to_value({"dropped": _well_formed(str(error))})


def _to_value(plain: Any) -> Value:
    value = Value()
    ParseDict(_well_formed_all(plain), value)
    return value


def _well_formed_all(plain: Any) -> Any:
    match plain:
        case str():
            return _well_formed(plain)
        case list():
            return [_well_formed_all(each) for each in plain]
        case dict():
            return {_well_formed(name): _well_formed_all(each) for name, each in plain.items()}
    return plain


def _message_of(error: BaseException) -> str:
    try:
        return str(error) or type(error).__name__
    except Exception:
        return "an error that cannot be shown"


def _stack_of(error: BaseException) -> str:
    try:
        text = "".join(traceback.format_exception(error, chain=False)).rstrip()
    except Exception:
        return ""
    # The innermost call comes last.
    return text if len(text) <= _STACK_MAX else f"…{text[1 - _STACK_MAX :]}"


def _well_formed(text: str) -> str:
    return LONE_SURROGATE.sub("\ufffd", text)
