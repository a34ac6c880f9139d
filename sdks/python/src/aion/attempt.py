"""One attempt that a worker has, waiting for its turn or under way."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import inspect
import threading
from collections.abc import Callable
from typing import Any, Protocol

from .activity import Binding
from .errors import AionError
from .failure import cancelled, to_failure
from .payload import Converter, decode, encode
from .task import NOTHING, CancelReason, Task
from .v1 import workers_pb2 as frames

HEARTBEAT_EVERY = 1.0
"""Heartbeats go to the engine at most so often, in seconds: it writes them once a second."""


class AttemptOwner(Protocol):
    @property
    def converter(self) -> Converter: ...
    @property
    def payload_limit_bytes(self) -> float: ...
    def send_heartbeat(self, token: str, details: str | None) -> None: ...
    def ended(self, attempt: Attempt, outcome: frames.Outcome) -> None: ...


class Attempt:
    """Owner: one worker, on one event loop. Only heartbeats come from other threads, and are handed over to the loop."""

    def __init__(self, owner: AttemptOwner, frame: frames.Task, binding: Binding | None) -> None:
        self.frame = frame
        self.execution: asyncio.Task[frames.Outcome] | None = None
        self.is_over = False
        """It has ended, or its outcome is not wanted any more."""
        self._owner = owner
        self._binding = binding
        self._loop = asyncio.get_running_loop()
        self._task: Task | None = None
        self._cancel_reason: CancelReason | None = None
        self._pause: asyncio.TimerHandle | None = None
        self._beats = False
        """It has sent a heartbeat at some time."""
        self._has_beaten = False
        self._details: str | None = None

    @property
    def is_under_way(self) -> bool:
        return self.execution is not None

    def begin(self) -> None:
        self.execution = asyncio.create_task(
            self._execute(), name=f"{self.frame.activity_type} {self.frame.idempotency_key}"
        )
        self.execution.add_done_callback(self._done)
        if self._cancel_reason is not None:
            # It has not begun, and need not.
            self.execution.cancel()

    def cancel(self, reason: CancelReason) -> None:
        """Tells the code. What it makes of it, if anybody wants to know, is its outcome."""
        if self._cancel_reason is not None and reason == "requested":
            return
        self._cancel_reason = reason
        if self._task is not None:
            self._task.cancel_reason = reason
            self._task.cancelled.set()
        # A thread cannot be stopped: it is waited for where its outcome is wanted.
        if self.execution is not None and (
            reason != "requested" or (self._binding and self._binding.is_async)
        ):
            self.execution.cancel()

    def drop(self, reason: CancelReason) -> None:
        """Its outcome counts for nothing."""
        self.is_over = True
        self._stop_heartbeats()
        self.cancel(reason)

    def flush_heartbeat(self) -> None:
        """Sends what has been held back."""
        if not self._has_beaten:
            return
        self._has_beaten = False
        self._owner.send_heartbeat(self.frame.token, self._details)
        if self._pause is not None:
            self._pause.cancel()
        every = HEARTBEAT_EVERY
        if self.frame.HasField("heartbeat_ms"):
            every = min(every, self.frame.heartbeat_ms / 4000)
        self._pause = self._loop.call_later(every, self._end_pause)

    def repeat_heartbeat(self) -> None:
        """For an engine that may not have got the latest one."""
        if self._beats:
            self._has_beaten = True
            self.flush_heartbeat()

    async def _execute(self) -> frames.Outcome:
        try:
            value = await self._call()
            what = f"the result of activity {self.frame.activity_type!r}"
            text = encode(self._owner.converter, value, what, self._owner.payload_limit_bytes)
            return frames.Outcome(kind="completed", result=text)
        except asyncio.CancelledError:
            # Code may let it pass of its own accord.
            if self._cancel_reason is None:
                return self._failed(asyncio.CancelledError("cancelled by itself"))
            raise
        except BaseException as error:
            return self._failed(error)

    async def _call(self) -> Any:
        binding, frame = self._binding, self.frame
        if binding is None:
            raise AionError(
                "internal", f"this worker has no implementation of activity {frame.activity_type}"
            )
        self._task = Task(
            activity_type=frame.activity_type,
            idempotency_key=frame.idempotency_key,
            attempt=frame.attempt,
            workflow_id=frame.workflow_id,
            run_id=frame.run_id,
            last_heartbeat=self._last_heartbeat(),
            trace=_trace_of(frame),
            heartbeat=self._heartbeat,
        )
        if self._cancel_reason is not None:
            self._task.cancel_reason = self._cancel_reason
            self._task.cancelled.set()
        value = None
        if "input" in binding.takes:
            value = decode(binding.decoder, frame.input, f"the input of activity {frame.activity_type!r}")
        task = self._task
        if binding.is_async:
            return await binding.call(value, task)
        result = await _in_thread(lambda: binding.call(value, task), name=frame.activity_type)
        return await result if inspect.isawaitable(result) else result

    def _last_heartbeat(self) -> Any:
        if not self.frame.HasField("last_heartbeat"):
            return None
        what = f"the last heartbeat of activity {self.frame.activity_type!r}"
        return decode(self._owner.converter.decoder(Any), self.frame.last_heartbeat, what)

    def _failed(self, error: BaseException) -> frames.Outcome:
        return frames.Outcome(kind="failed", failure=to_failure(error, self._owner.converter))

    def _done(self, execution: asyncio.Task[frames.Outcome]) -> None:
        if execution.cancelled():
            self._end(frames.Outcome(kind="failed", failure=cancelled()))
        else:
            self._end(execution.result())

    def _end(self, outcome: frames.Outcome) -> None:
        if self.is_over:
            return
        # The next attempt is to have the latest of them.
        if outcome.kind == "failed":
            self.flush_heartbeat()
        self.is_over = True
        self._stop_heartbeats()
        self._owner.ended(self, outcome)

    def _heartbeat(self, details: object) -> None:
        text: str | None = None
        if details is not NOTHING:
            what = f"the heartbeat of activity {self.frame.activity_type!r}"
            text = encode(self._owner.converter, details, what, self._owner.payload_limit_bytes)
        try:
            is_here = asyncio.get_running_loop() is self._loop
        except RuntimeError:
            is_here = False
        if is_here:
            self._beat(text)
        else:
            # The worker may be gone.
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._beat, text)

    def _beat(self, details: str | None) -> None:
        if self.is_over:
            return
        if details is not None:
            self._details = details
        self._beats = True
        self._has_beaten = True
        if self._pause is None:
            self.flush_heartbeat()

    def _end_pause(self) -> None:
        self._pause = None
        self.flush_heartbeat()

    def _stop_heartbeats(self) -> None:
        if self._pause is not None:
            self._pause.cancel()
            self._pause = None
        self._has_beaten = False


def _trace_of(frame: frames.Task) -> dict[str, str] | None:
    if not frame.HasField("trace"):
        return None
    trace = {"traceparent": frame.trace.traceparent}
    if frame.trace.HasField("tracestate"):
        trace["tracestate"] = frame.trace.tracestate
    return trace


async def _in_thread(call: Callable[[], Any], *, name: str) -> Any:
    """Like `asyncio.to_thread`, in a thread of its own: one that never returns takes nobody's place, nor keeps the process."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Any] = loop.create_future()
    context = contextvars.copy_context()

    def settle(value: Any, error: BaseException | None) -> None:
        if future.done():
            return
        if error is None:
            future.set_result(value)
        elif isinstance(error, StopIteration):
            # No future takes it.
            future.set_exception(RuntimeError("the activity raised StopIteration"))
        else:
            future.set_exception(error)

    def run() -> None:
        value, error = None, None
        try:
            value = context.run(call)
        except BaseException as raised:
            error = raised
        # The worker may be gone.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(settle, value, error)

    threading.Thread(target=run, name=name, daemon=True).start()
    return await future
