"""Runs activities for an engine elsewhere."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import grpc

from .activity import Activity, bind_all
from .attempt import Attempt
from .connection import Connection, log
from .errors import AionError, invalid
from .names import default_identity, parse_name, parse_server_url
from .payload import Converter, JsonConverter
from .task import CancelReason
from .transport import GrpcTransport, Refused, Token
from .v1 import workers_pb2 as frames

PROTOCOL_VERSION = 1
_CONCURRENCY_MAX = 10_000
_ENDED_MAX = 1_000
"""Tokens of tasks that have ended, kept so that one that comes twice does not run twice."""
_CLEANUP = 1.0
"""How many seconds code that is told to stop has to clean up, before the worker goes."""


class Worker:
    """Takes as many tasks as it has room for, and comes back by itself when its connection breaks: tasks under way go on meanwhile,
    and what has ended is reported again until the engine has it on disk. An error of an implementation fails its attempt and nothing
    else.

    `url`: `http://127.0.0.1:4466`, or `https://…`; `credentials` are those of gRPC, for a server whose certificate the system does not
    know, or that asks for one. `token`: for a server that asks who calls; a function, which may be a coroutine function, is asked before
    each connection, for one that expires. `concurrency`: tasks at once, 1 to 10,000. `identity` names
    this process; no other may have the same at the same time. `build`: of the code, for people.

    Raises `invalid_argument`, `definition_duplicate`.
    """

    def __init__(
        self,
        url: str,
        *,
        activities: Sequence[Activity[..., Any] | Callable[..., Any]],
        task_queues: Sequence[str] = ("default",),
        concurrency: int = 100,
        token: Token | None = None,
        namespace: str | None = None,
        identity: str | None = None,
        build: str | None = None,
        converter: Converter | None = None,
        credentials: grpc.ChannelCredentials | None = None,
    ) -> None:
        self.converter: Converter = converter or JsonConverter()
        self.payload_limit_bytes: float = 2 * 1024 * 1024
        self.identity = parse_name(default_identity() if identity is None else identity, "identity")
        if isinstance(task_queues, str) or not task_queues:
            raise invalid("`task_queues` is a list of at least one name")
        if isinstance(concurrency, bool) or not isinstance(concurrency, int):
            raise invalid(f"concurrency must be a whole number, got {concurrency!r}")
        if not 1 <= concurrency <= _CONCURRENCY_MAX:
            raise invalid(f"concurrency must be a whole number of 1 to 10,000, got {concurrency}")
        address = parse_server_url(url)
        if credentials is not None and not address.is_secure:
            raise invalid("credentials are for an https:// address")
        self._task_queues = [parse_name(name, "task queue") for name in task_queues]
        self._concurrency = concurrency
        self._build = None if build is None else parse_name(build, "build")
        self._namespace = None if namespace is None else parse_name(namespace, "namespace")
        self._bindings = bind_all(activities, self.converter)
        transport = GrpcTransport(address, token=token, credentials=credentials)
        self._connect = transport.connect
        self._connection: Connection | None = None
        self._session: str | None = None
        # Waiting for room, or under way.
        self._attempts: dict[str, Attempt] = {}
        self._unacknowledged: dict[str, frames.Report] = {}
        self._ended: OrderedDict[str, None] = OrderedDict()
        self._under_way = 0
        self._is_draining = False
        # What it still had is for others: nothing is begun any more, whatever comes before the engine has heard of it.
        self._is_leaving = False
        self._is_hurried = False
        self._is_over = False
        self._stopping: asyncio.Task[None] | None = None
        self._on_idle: asyncio.Event | None = None

    @property
    def tasks_in_flight(self) -> int:
        """Tasks under way."""
        return self._under_way

    async def run(
        self, *, drain: float = 10.0, signals: Sequence[signal.Signals] = (signal.SIGTERM, signal.SIGINT)
    ) -> None:
        """Takes tasks until it is stopped: by `stop`, or by one of the signals, after which tasks under way have `drain` seconds. A
        second signal ends the process. Raises `worker_refused` when the engine will never take it. To be called once.
        """
        if self._connection is not None or self._is_over:
            raise invalid("a worker runs once")
        self._connection = Connection(self._connect, self)
        talking = asyncio.ensure_future(self._connection.run())
        try:
            with self._handling(signals, drain):
                # Whoever cancels this is heard; the engine is told first.
                await asyncio.shield(talking)
                if self._stopping is not None:
                    await self._stopping
        except Refused as refused:
            raise AionError("worker_refused", f"worker {self.identity!r}: {refused}") from None
        except asyncio.CancelledError:
            # Who drains does not go on with it.
            self._is_hurried = True
            self._end_wait()
            await self.stop(drain=0)
            raise
        finally:
            self._is_over = True
            self._connection.close()
            self._end_wait()
            await self._forget_all()
            await asyncio.wait({talking})
            if not talking.cancelled():
                # It has been told, or nobody asks any more.
                talking.exception()

    async def stop(self, *, drain: float = 10.0) -> None:
        """Takes no more tasks, lets those under way end and be recorded for up to `drain` seconds, and leaves; what is not done by
        then is for others. Calling it again waits for the same. On the event loop of `run`.
        """
        if self._stopping is None:
            self._stopping = asyncio.create_task(self._stop(drain))
        await asyncio.shield(self._stopping)

    async def _stop(self, drain: float) -> None:
        self._is_draining = True
        connection = self._connection
        if connection is None or self._is_over:
            self._is_over = True
            return
        connection.send(frames.WorkRequest(drain=frames.Drain()))
        if not self._is_idle and drain > 0 and not self._is_hurried:
            self._on_idle = asyncio.Event()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._on_idle.wait(), drain)
        self._is_leaving = True
        await asyncio.gather(self._forget_all(), connection.leave())

    @contextlib.contextmanager
    def _handling(self, signals: Sequence[signal.Signals], drain: float) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        handled: list[signal.Signals] = []

        def on_signal() -> None:
            # A second one does what it would do without us.
            restore()
            log.info("a worker is stopping", extra={"worker": self.identity})
            if self._stopping is None:
                self._stopping = asyncio.create_task(self._stop(drain))

        def restore() -> None:
            while handled:
                loop.remove_signal_handler(handled.pop())

        if threading.current_thread() is threading.main_thread():
            for each in signals:
                # Where the platform's loop has none, Ctrl+C cancels.
                with contextlib.suppress(NotImplementedError):
                    loop.add_signal_handler(each, on_signal)
                    handled.append(each)
        try:
            yield
        finally:
            restore()

    @property
    def _is_idle(self) -> bool:
        return not self._attempts and not self._unacknowledged

    # What the connection asks for.

    def greeting(self) -> frames.Register:
        return frames.Register(
            namespace=self._namespace,
            protocol=PROTOCOL_VERSION,
            identity=self.identity,
            build=self._build,
            task_queues=self._task_queues,
            activity_types=list(self._bindings),
            capacity=self._concurrency,
            session=self._session,
            held=list(self._attempts),
            unacknowledged=list(self._unacknowledged),
        )

    def registered(self, frame: frames.Registered) -> None:
        log.info(
            "a worker is registered", extra={"worker": self.identity, "task_queues": list(self._task_queues)}
        )
        self._session = frame.session
        self.payload_limit_bytes = frame.payload_limit_bytes
        for token in frame.stop:
            self._drop(token, "closed")
        for report in self._unacknowledged.values():
            self._send(frames.WorkRequest(report=report))
        for attempt in self._attempts.values():
            if attempt.is_under_way:
                attempt.repeat_heartbeat()
        if self._is_draining:
            self._send(frames.WorkRequest(drain=frames.Drain()))
        self._send(frames.WorkRequest(ready=frames.Ready()))

    def receive(self, frame: frames.WorkResponse) -> None:
        match frame.WhichOneof("frame"):
            case "task":
                self._take(frame.task)
            case "cancel":
                self._cancel(frame.cancel)
            case "acknowledged":
                token = frame.acknowledged.token
                if self._unacknowledged.pop(token, None) is not None:
                    self._remember(token)
                self._look()
            case _:
                # A frame that a newer engine made up.
                pass

    def _send(self, frame: frames.WorkRequest) -> None:
        if self._connection is not None:
            self._connection.send(frame)

    # Tasks.

    def _take(self, frame: frames.Task) -> None:
        token = frame.token
        if self._is_leaving:
            return
        if token in self._attempts or token in self._unacknowledged or token in self._ended:
            return
        self._attempts[token] = Attempt(self, frame, self._bindings.get(frame.activity_type))
        self._begin()

    def _begin(self) -> None:
        if self._under_way >= self._concurrency:
            return
        for attempt in list(self._attempts.values()):
            if self._under_way >= self._concurrency:
                return
            if not attempt.is_under_way:
                self._under_way += 1
                attempt.begin()

    def ended(self, attempt: Attempt, outcome: frames.Outcome) -> None:
        if not self._remove(attempt):
            return
        token = attempt.frame.token
        if outcome.kind == "failed":
            fields = {
                "activity_type": attempt.frame.activity_type,
                "workflow_id": attempt.frame.workflow_id,
                "run_id": attempt.frame.run_id,
                "attempt": attempt.frame.attempt,
                "failure": outcome.failure.message,
            }
            log.info("attempt %(attempt)d of %(activity_type)s failed: %(failure)s", fields, extra=fields)
        report = frames.Report(token=token, outcome=outcome)
        self._unacknowledged[token] = report
        self._send(frames.WorkRequest(report=report))
        self._begin()

    def send_heartbeat(self, token: str, details: str | None) -> None:
        self._send(frames.WorkRequest(heartbeat=frames.Heartbeat(token=token, details=details)))

    def _cancel(self, frame: frames.Cancel) -> None:
        if frame.reason == "requested":
            attempt = self._attempts.get(frame.token)
            if attempt is not None:
                attempt.cancel("requested")
        else:
            self._drop(frame.token, "timed-out" if frame.reason == "timed-out" else "closed")

    def _drop(self, token: str, reason: CancelReason) -> None:
        """The outcome is not wanted. A thread cannot be stopped: its room is given to others."""
        attempt = self._attempts.get(token)
        if attempt is None:
            return
        self._forget(attempt, reason)
        self._remember(token)
        self._begin()
        self._look()

    def _forget(self, attempt: Attempt, reason: CancelReason) -> None:
        self._remove(attempt)
        attempt.drop(reason)

    async def _forget_all(self) -> None:
        attempts = list(self._attempts.values())
        for attempt in attempts:
            self._forget(attempt, "stopping")
        left = {attempt.execution for attempt in attempts if attempt.execution is not None}
        if left:
            await asyncio.wait(left, timeout=_CLEANUP)

    def _remove(self, attempt: Attempt) -> bool:
        if self._attempts.pop(attempt.frame.token, None) is None:
            return False
        if attempt.is_under_way:
            self._under_way -= 1
        return True

    def _remember(self, token: str) -> None:
        self._ended[token] = None
        if len(self._ended) > _ENDED_MAX:
            self._ended.popitem(last=False)

    def _look(self) -> None:
        if self._is_idle:
            self._end_wait()

    def _end_wait(self) -> None:
        if self._on_idle is not None:
            self._on_idle.set()
