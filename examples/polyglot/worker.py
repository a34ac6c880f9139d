"""Takes the payments of order.ts."""

import asyncio
import logging
import sys
from dataclasses import dataclass

from aion import ApplicationFailure, Task, Worker, activity


@dataclass
class Order:
    id: str
    amount: int


@dataclass
class Payment:
    paymentId: str  # noqa: N815
    fee: int


@activity("charge")
async def charge(order: Order, task: Task) -> Payment:
    if order.amount <= 0:
        raise ApplicationFailure("nothing to pay", type="Declined", non_retryable=True)
    # A payment service would be told this key, so that it charges once however often it is called.
    logging.info("charging %d for order %s (key %s)", order.amount, order.id, task.idempotency_key)
    return Payment(paymentId=f"payment-{order.id}", fee=order.amount // 100)


async def main(url: str) -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    await Worker(url, activities=[charge], task_queues=["payments"]).run()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:4466"))
