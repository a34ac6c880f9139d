"""The worker's way to an engine, again and again."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from .transport import Link, Refused
from .v1 import workers_pb2 as frames

log = logging.getLogger("aion.worker")

ANSWER_WITHIN = 30.0
"""An engine that has not answered for so many seconds is not there."""
BACKOFF_FIRST = 0.1
BACKOFF_MAX = 10.0
GOODBYE = 1.0
"""For who leaves: an engine that has heard it hangs up."""
ALIVES_PER_SESSION = 4
"""So many frames may be lost or late before the session is."""

Connect = Callable[[], contextlib.AbstractAsyncContextManager[Link]]


class ConnectionUser(Protocol):
    """What a worker does with a connection."""

    def greeting(self) -> frames.Register:
        """What to say first."""
        ...

    def registered(self, frame: frames.Registered) -> None:
        """The engine has taken the worker: what the worker owes comes first."""
        ...

    def receive(self, frame: frames.WorkResponse) -> None: ...


class Connection:
    """Owner: one worker, on one event loop.

    Laws: one connection at a time. After one has ended the next is tried, later each time until one is taken. A connection on which
    nothing is heard for the session's time-out is over.
    """

    def __init__(self, connect: Connect, user: ConnectionUser) -> None:
        self._connect = connect
        self._user = user
        self._link: Link | None = None
        self._is_registered = False
        self._is_leaving = False
        self._failures = 0
        self._session_timeout = ANSWER_WITHIN
        self._closed = asyncio.Event()

    @property
    def is_registered(self) -> bool:
        return self._is_registered

    def send(self, frame: frames.WorkRequest) -> None:
        """Lost if there is nobody: whatever matters is said again on the next connection."""
        if self._is_registered and self._link is not None:
            self._link.send(frame)

    async def run(self) -> None:
        """Until it is closed. Raises `Refused` when the engine will never take this worker."""
        while not self._closed.is_set():
            try:
                why = await self._until_closed(self._converse())
            except Refused as refused:
                if refused.is_final:
                    raise
                why = str(refused)
            except Exception as error:
                # A bug of ours, or of a library: what is under way goes on all the same.
                why = repr(error)
                log.exception("a connection of a worker failed")
            if self._is_leaving or self._closed.is_set():
                break
            self._failures += 1
            full = min(BACKOFF_MAX, BACKOFF_FIRST * 2 ** min(self._failures - 1, 30))
            # Many workers lose an engine at once, and are not to come back at once.
            wait = full * (0.5 + random.random() / 2)
            fields = {"why": why, "wait_ms": round(wait * 1000)}
            log.warning(
                "a worker has no connection (%(why)s); trying again in %(wait_ms)d ms", fields, extra=fields
            )
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._closed.wait(), wait)
        self._closed.set()

    async def leave(self) -> None:
        """For good, and tells the engine. Returns when that has heard it, or is not there."""
        self._is_leaving = True
        if self._is_registered:
            self.send(frames.WorkRequest(leave=frames.Leave()))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._closed.wait(), GOODBYE)
        self.close()

    def close(self) -> None:
        """For good."""
        self._closed.set()

    async def _until_closed(self, conversation: Coroutine[Any, Any, str]) -> str:
        talking = asyncio.ensure_future(conversation)
        closing = asyncio.ensure_future(self._closed.wait())
        try:
            await asyncio.wait({talking, closing}, return_when=asyncio.FIRST_COMPLETED)
            if talking.done():
                return await talking
            return "it was closed"
        finally:
            for task in (talking, closing):
                task.cancel()
            await asyncio.gather(talking, closing, return_exceptions=True)

    async def _converse(self) -> str:
        """One connection, to its end. Returns why it is over."""
        alive: asyncio.Task[None] | None = None
        within = ANSWER_WITHIN
        now = asyncio.get_running_loop().time
        try:
            async with asyncio.timeout(within) as patience, self._connect() as link:
                link.send(frames.WorkRequest(register=self._user.greeting()))
                while (frame := await link.receive()) is not None:
                    if frame.HasField("registered") and not self._is_registered:
                        within = frame.registered.session_timeout_ms / 1000
                        self._is_registered = True
                        self._failures = 0
                        self._link = link
                        alive = asyncio.create_task(self._say_alive(link, within / ALIVES_PER_SESSION))
                        self._user.registered(frame.registered)
                    elif frame.HasField("refused"):
                        raise Refused(frame.refused.message, is_final=frame.refused.is_final)
                    elif frame.HasField("closing"):
                        return "the engine is closing"
                    elif self._is_registered and not frame.HasField("alive"):
                        self._user.receive(frame)
                    patience.reschedule(now() + within)
            return "the connection was closed"
        except TimeoutError:
            return f"nothing was heard for {within:g} s"
        finally:
            self._is_registered = False
            self._link = None
            if alive is not None:
                alive.cancel()

    async def _say_alive(self, link: Link, every: float) -> None:
        while True:
            await asyncio.sleep(every)
            link.send(frames.WorkRequest(alive=frames.Alive()))
