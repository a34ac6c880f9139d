"""A worker's way to a server: a stream of gRPC in each direction."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Protocol

import grpc
import grpc.aio

from .names import ServerAddress
from .v1 import workers_pb2 as frames

Token = str | Callable[[], str | Awaitable[str]]
"""What a worker shows of itself; a function is asked before each connection, since tokens expire."""

_METHOD = "/aion.v1.WorkerService/Work"
_FRAMES_MAX = 50_000
"""More than a worker with the largest capacity ever has to say at once."""
_FINAL_CODES = frozenset(
    {
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.PERMISSION_DENIED,
        grpc.StatusCode.UNAUTHENTICATED,
        grpc.StatusCode.UNIMPLEMENTED,
    }
)
"""That will be the same the next time."""


class Refused(Exception):
    """The server has ended the call, or was not there."""

    def __init__(self, message: str, *, is_final: bool) -> None:
        super().__init__(message)
        self.is_final = is_final


class Link(Protocol):
    """One connection, as the worker has it."""

    def send(self, frame: frames.WorkRequest) -> None:
        """Never waits. What was sent on a connection that broke is lost."""
        ...

    async def receive(self) -> frames.WorkResponse | None:
        """What the engine says next; None when the connection is over. Raises `Refused`."""
        ...


class GrpcTransport:
    def __init__(
        self, address: ServerAddress, *, token: Token | None, credentials: grpc.ChannelCredentials | None
    ) -> None:
        self._address = address
        self._token = token
        # With the next token it may be another matter.
        may_pass = {grpc.StatusCode.UNAUTHENTICATED} if callable(token) else set()
        self._final_codes = _FINAL_CODES - may_pass
        self._credentials = credentials

    @contextlib.asynccontextmanager
    async def connect(self) -> AsyncIterator[Link]:
        metadata = await self._metadata()
        # A channel of its own each time: one that broke is not waited for.
        channel = self._channel()
        link: _GrpcLink | None = None
        try:
            call = channel.stream_stream(
                _METHOD,
                request_serializer=frames.WorkRequest.SerializeToString,
                response_deserializer=frames.WorkResponse.FromString,
            )
            link = _GrpcLink(call, metadata, self._final_codes)
            yield link
        finally:
            if link is not None:
                await link.close()
            await channel.close()

    async def _metadata(self) -> tuple[tuple[str, str], ...]:
        if self._token is None:
            return ()
        token = self._token if isinstance(self._token, str) else self._token()
        shown = await token if inspect.isawaitable(token) else token
        if not isinstance(shown, str):
            raise TypeError(f"a token is text, and this one is a {type(shown).__name__}")
        return (("authorization", f"Bearer {shown}"),)

    def _channel(self) -> grpc.aio.Channel:
        options: list[tuple[str, Any]] = [
            # A task is as large as the server lets it be: that is its to say.
            ("grpc.max_receive_message_length", -1),
            ("grpc.max_send_message_length", -1),
            ("grpc.use_local_subchannel_pool", 1),
            # This worker has its own way of coming again.
            ("grpc.enable_retries", 0),
        ]
        if self._address.is_local:
            options.append(("grpc.enable_http_proxy", 0))
        if not self._address.is_secure:
            return grpc.aio.insecure_channel(self._address.target, options=options)
        credentials = self._credentials or grpc.ssl_channel_credentials()
        return grpc.aio.secure_channel(self._address.target, credentials, options=options)


class _GrpcLink:
    def __init__(
        self,
        method: Any,
        metadata: tuple[tuple[str, str], ...],
        final_codes: frozenset[grpc.StatusCode],
    ) -> None:
        self._final_codes = final_codes
        self._queue: asyncio.Queue[frames.WorkRequest] = asyncio.Queue(_FRAMES_MAX)
        self._is_full = False
        self._call = method(metadata=metadata)
        self._writing = asyncio.create_task(self._write())

    async def _write(self) -> None:
        # Why a call is over is told to whoever reads.
        with contextlib.suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):
            while True:
                await self._call.write(await self._queue.get())

    def send(self, frame: frames.WorkRequest) -> None:
        try:
            self._queue.put_nowait(frame)
        except asyncio.QueueFull:
            # Whoever takes none is not there any more.
            self._is_full = True
            self._call.cancel()

    async def receive(self) -> frames.WorkResponse | None:
        try:
            frame = await self._call.read()
        except asyncio.CancelledError:
            if self._is_full:
                raise Refused("the engine takes nothing", is_final=False) from None
            raise
        except grpc.aio.AioRpcError as error:
            message = error.details() or str(error.code())
            raise Refused(message, is_final=error.code() in self._final_codes) from None
        return frame if isinstance(frame, frames.WorkResponse) else None

    async def close(self) -> None:
        self._call.cancel()
        self._writing.cancel()
        await asyncio.wait({self._writing})
