"""The kit that holds workers of any make against the protocol, over the network."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from repository import aion, needs_repository, tests

pytestmark = needs_repository

worker = [sys.executable, str(tests / "conformance_worker.py")]


def failed(document: Any) -> list[str]:
    return [str(each["message"]) for each in document["scenarios"] if each["status"] == "failed"]


async def test_the_worker_passes() -> None:
    exit_code, document = await aion("worker-conformance", "--", *worker)
    assert failed(document) == []
    assert exit_code == 0
    assert len(document["scenarios"]) >= 17


async def test_the_worker_passes_with_code_that_blocks() -> None:
    exit_code, document = await aion("worker-conformance", "--only", "cancels", "--", *worker, "threads")
    assert failed(document) == []
    assert exit_code == 0


@pytest.mark.parametrize(
    ("mistake", "scenario"),
    [
        ("forgetful", "reports again"),
        ("deaf", "cancels a task"),
        ("greedy", "runs two of five"),
        ("insistent", "runs a task once"),
        ("picky", "type that it does not serve"),
        ("narrow", "as large as"),
    ],
)
async def test_a_worker_with_a_mistake_does_not(mistake: str, scenario: str) -> None:
    # Long enough to start, or another mistake would be seen.
    chosen = ["--only", scenario, "--within", "3s"]
    exit_code, document = await aion("worker-conformance", *chosen, "--", *worker, mistake)
    assert exit_code == 1
    [message] = failed(document)
    assert "no connection came" not in message
