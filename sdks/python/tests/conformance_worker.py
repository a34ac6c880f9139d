"""The worker as the conformance kit starts it: `aion worker-conformance -- python conformance_worker.py [mistake]`.

With the name of a mistake it makes that one, so that it can be seen that the kit notices.
"""

import asyncio
import os
import sys
import threading
import time
from typing import Any

import grpc
import grpc.aio

from aion import ApplicationFailure, Task, Worker, activity
from aion.names import parse_server_url
from aion.transport import GrpcTransport


@activity("echo")
def echo(value: Any) -> Any:
    return value


@activity("fail")
async def fail(message: str) -> None:
    raise ValueError(message)


@activity("fail-for-good")
def fail_for_good(message: str) -> None:
    raise ApplicationFailure(message, non_retryable=True)


@activity("park")
def park(message: str) -> None:
    raise ApplicationFailure(message, park=True)


@activity("beat")
def beat(details: Any, task: Task) -> None:
    task.heartbeat(details)
    time.sleep(0.1)


@activity("last-beat")
async def last_beat(_: None, task: Task) -> Any:
    return task.last_heartbeat


@activity("wait")
async def wait() -> None:
    await asyncio.Event().wait()


@activity("wait")
def wait_in_thread(_: None, task: Task) -> None:
    task.cancelled.wait()
    raise RuntimeError("it was cancelled")


class Gauge:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._now = 0
        self._peak = 0

    def measure(self) -> int:
        with self._lock:
            self._now += 1
            self._peak = max(self._peak, self._now)
        time.sleep(0.1)
        with self._lock:
            self._now -= 1
            return self._peak


class Forgetful(Worker):
    """Comes again as if it had reported nothing."""

    def greeting(self) -> Any:
        register = super().greeting()
        register.ClearField("unacknowledged")
        return register


class Deaf(Worker):
    """Does not hear of cancellations."""

    def _cancel(self, frame: Any) -> None:
        del frame


class Greedy(Worker):
    """Runs what it is given at once."""

    def _begin(self) -> None:
        for attempt in list(self._attempts.values()):
            if not attempt.is_under_way:
                self._under_way += 1
                attempt.begin()


class Insistent(Worker):
    """Runs a task again when it is told of it again."""

    def _take(self, frame: Any) -> None:
        self._unacknowledged.pop(frame.token, None)
        self._ended.clear()
        super()._take(frame)


class Picky(Worker):
    """Leaves what it does not serve lying."""

    def _take(self, frame: Any) -> None:
        if frame.activity_type in self._bindings:
            super()._take(frame)


class Narrow(Worker):
    """Takes no more than gRPC does unless told."""

    def __init__(self, url: str, **options: Any) -> None:
        super().__init__(url, **options)
        transport = GrpcTransport(parse_server_url(url), token=None, credentials=None)
        transport._channel = lambda: grpc.aio.insecure_channel(  # type: ignore[method-assign]
            parse_server_url(url).target, options=[("grpc.use_local_subchannel_pool", 1)]
        )
        self._connect = transport.connect


mistakes = {
    "picky": Picky,
    "narrow": Narrow,
    "forgetful": Forgetful,
    "deaf": Deaf,
    "greedy": Greedy,
    "insistent": Insistent,
}


async def main() -> None:
    make = sys.argv[1] if len(sys.argv) > 1 else "async"
    worker = mistakes.get(make, Worker)(
        os.environ["AION_URL"],
        activities=[
            echo,
            fail,
            fail_for_good,
            park,
            beat,
            last_beat,
            wait_in_thread if make == "threads" else wait,
            activity("gauge")(Gauge().measure),
        ],
        task_queues=os.environ["AION_TASK_QUEUES"].split(","),
        concurrency=int(os.environ["AION_CONCURRENCY"]),
    )
    await worker.run()


if __name__ == "__main__":
    asyncio.run(main())
