"""A worker with the activities of workflows.ts. It notes what it does in files of the folder that it is given."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from aion import ApplicationFailure, Task, Worker, activity

folder = Path(os.environ.get("AION_TEST_FOLDER", "."))


def note(name: str, line: str) -> None:
    with (folder / name).open("a") as file:
        file.write(f"{line}\n")


@dataclass
class Order:
    id: str
    amount: int


@dataclass
class Payment:
    paymentId: str  # noqa: N815


@activity("charge")
async def charge(order: Order, task: Task) -> Payment:
    note("charge", f"{task.idempotency_key} {task.attempt}")
    if order.amount > 1_000:
        details = {"order": asdict(order), "limit": 1_000}
        raise ApplicationFailure("too much", type="Declined", non_retryable=True, details=details)
    if task.attempt < 3:
        raise ConnectionError("the bank is busy")
    return Payment(f"payment-{order.id}")


@dataclass
class Import:
    name: str
    until: int


@activity("import")
def import_rows(what: Import, task: Task) -> list[int]:
    rows: list[int] = task.last_heartbeat or []
    note("import", f"{task.attempt} begins after {rows}")
    for row in range(len(rows), what.until):
        rows = [*rows, row]
        task.heartbeat(rows)
    while not (folder / "go").exists():
        if task.cancelled.wait(0.05):
            raise TimeoutError("nobody waits for it any more")
        task.heartbeat(rows)
    return [*rows, task.attempt]


@activity("slow")
async def slow(name: str, task: Task) -> str:
    note("slow", f"{name} {task.idempotency_key}")
    while not (folder / name).exists():  # noqa: ASYNC110
        await asyncio.sleep(0.02)
    return f"done {name}"


@activity("wait")
async def wait(name: str, task: Task) -> None:
    note("wait", f"{name} waits")
    try:
        await asyncio.Event().wait()
    finally:
        note("wait", f"{name} was cancelled: {task.cancel_reason}")


@activity("pay")
def pay(name: str) -> str:
    note("pay", name)
    if not (folder / f"key of {name}").exists():
        raise ApplicationFailure("the key has expired", type="KeyExpired", park=True)
    return f"paid {name}"


async def main(*, url: str) -> None:
    activities: list[Any] = [charge, import_rows, slow, wait, pay]
    queues = os.environ.get("AION_TASK_QUEUES", "python").split(",")
    worker = Worker(url, activities=activities, task_queues=queues, token=os.environ.get("AION_TOKEN"))
    started = time.monotonic()
    await worker.run()
    note("worker", f"stopped after {time.monotonic() - started:.1f} s")


if __name__ == "__main__":
    asyncio.run(main(url=sys.argv[1]))
