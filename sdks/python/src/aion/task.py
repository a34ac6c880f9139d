"""What the implementation of an activity is handed beside its input."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any, Final, Literal, final

CancelReason = Literal["requested", "timed-out", "closed", "stopping"]
"""Why an attempt is to stop. `requested`: the workflow wants it to, and waits for its outcome. Otherwise the outcome counts for
nothing: it ran into a time-out, its run has ended, or the worker is going and others begin it anew."""

NOTHING: Final = object()


@final
class Task:
    """One attempt of an activity.

    A task is at least once: whatever must not happen twice needs `idempotency_key`, which is the same for all attempts. For tests of
    activities one can be made by hand.
    """

    __slots__ = (
        "_heartbeat",
        "activity_type",
        "attempt",
        "cancel_reason",
        "cancelled",
        "idempotency_key",
        "last_heartbeat",
        "run_id",
        "trace",
        "workflow_id",
    )

    def __init__(
        self,
        *,
        activity_type: str = "activity",
        idempotency_key: str = "run:0",
        attempt: int = 1,
        workflow_id: str = "workflow",
        run_id: str = "run",
        last_heartbeat: Any = None,
        trace: Mapping[str, str] | None = None,
        heartbeat: Callable[[object], None] = lambda _details: None,
    ) -> None:
        self.activity_type = activity_type
        self.idempotency_key = idempotency_key
        self.attempt = attempt
        """1 for the first."""
        self.workflow_id = workflow_id
        self.run_id = run_id
        self.last_heartbeat = last_heartbeat
        """Details that an earlier attempt left; None if none did."""
        self.trace = trace
        """The span that the attempt is inside, as headers of W3C Trace Context (`traceparent`, `tracestate`): a carrier for
        `opentelemetry.propagate.extract`. None if its run is part of no trace."""
        self.cancelled = threading.Event()
        """Set when the attempt is to stop. What an `async def` waits for is cancelled as well; a function in a thread has to look."""
        self.cancel_reason: CancelReason | None = None
        self._heartbeat = heartbeat

    def heartbeat(self, details: object = NOTHING) -> None:
        """Says that the attempt is alive, and leaves details for the next one. From any thread, as often as one likes.

        Raises `payload_not_serializable`, `payload_too_large`.
        """
        self._heartbeat(details)
