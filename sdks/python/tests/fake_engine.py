"""An engine that says what a test tells it to, on a port of this machine."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import grpc.aio

from aion.v1 import workers_pb2 as frames

WITHIN = 10.0
"""A time-out here means hung, never slow."""


class Wire:
    """One connection, as the engine has it."""

    def __init__(self, metadata: dict[str, str]) -> None:
        self.metadata = metadata
        self.said: asyncio.Queue[frames.WorkRequest] = asyncio.Queue()
        self.is_over = asyncio.Event()
        self._outgoing: asyncio.Queue[frames.WorkResponse | None] = asyncio.Queue()

    def tell(self, **frame: Any) -> None:
        self._outgoing.put_nowait(frames.WorkResponse(**frame))

    def cut(self) -> None:
        self._outgoing.put_nowait(None)

    async def hear(self, kind: str) -> Any:
        """The next frame, which has to be of that kind; what comes of its own accord is passed over."""
        while True:
            frame = await asyncio.wait_for(self.said.get(), WITHIN)
            heard = frame.WhichOneof("frame")
            if heard == kind:
                return getattr(frame, kind)
            assert heard in ("alive", "heartbeat"), f"waited for {kind}, heard {frame}"

    async def is_silent(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        while not self.said.empty():
            frame = self.said.get_nowait()
            assert frame.WhichOneof("frame") in ("alive", "heartbeat"), f"it said {frame}"

    async def greet(
        self, *, timeout_ms: float = 60_000, limit: float = 10_000, stop: tuple[str, ...] = ()
    ) -> frames.Register:
        register: frames.Register = await self.hear("register")
        self.tell(
            registered=frames.Registered(
                session="s-1", session_timeout_ms=timeout_ms, payload_limit_bytes=limit, stop=stop
            )
        )
        return register

    def give(self, token: str, activity_type: str, value: str = "null", **more: Any) -> None:
        self.tell(
            task=frames.Task(
                token=token,
                activity_type=activity_type,
                workflow_id="order-1",
                run_id="run-1",
                attempt=more.pop("attempt", 1),
                idempotency_key=f"run-1:{token}",
                input=value,
                **more,
            )
        )

    def acknowledge(self, token: str) -> None:
        self.tell(acknowledged=frames.Acknowledged(token=token, became="recorded"))

    async def outcome(self, token: str) -> frames.Outcome:
        report: frames.Report = await self.hear("report")
        assert report.token == token
        self.acknowledge(token)
        return report.outcome

    async def talk(self, requests: AsyncIterator[frames.WorkRequest]) -> AsyncIterator[frames.WorkResponse]:
        async def listen() -> None:
            async for request in requests:
                self.said.put_nowait(request)
                if request.HasField("leave"):
                    self.cut()
            self.cut()

        listening = asyncio.create_task(listen())
        try:
            while (frame := await self._outgoing.get()) is not None:
                yield frame
        finally:
            self.is_over.set()
            listening.cancel()


class FakeEngine:
    def __init__(self) -> None:
        self.url = ""
        self.refuse_with: grpc.StatusCode | None = None
        self._wires: asyncio.Queue[Wire] = asyncio.Queue()

    async def accept(self) -> Wire:
        return await asyncio.wait_for(self._wires.get(), WITHIN)

    async def work(
        self, requests: AsyncIterator[frames.WorkRequest], context: Any
    ) -> AsyncIterator[frames.WorkResponse]:
        if self.refuse_with is not None:
            await context.abort(self.refuse_with, "not you")
        wire = Wire(dict(context.invocation_metadata()))
        self._wires.put_nowait(wire)
        async for frame in wire.talk(requests):
            yield frame


@asynccontextmanager
async def fake_engine(credentials: grpc.ServerCredentials | None = None) -> AsyncIterator[FakeEngine]:
    engine = FakeEngine()
    server = grpc.aio.server()
    work = grpc.stream_stream_rpc_method_handler(
        engine.work,
        request_deserializer=frames.WorkRequest.FromString,
        response_serializer=frames.WorkResponse.SerializeToString,
    )
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler("aion.v1.WorkerService", {"Work": work}),)
    )
    if credentials is None:
        engine.url = f"http://127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    else:
        engine.url = f"https://localhost:{server.add_secure_port('localhost:0', credentials)}"
    await server.start()
    try:
        yield engine
    finally:
        await server.stop(0)
