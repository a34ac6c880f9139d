"""What the README shows works."""

from __future__ import annotations

import asyncio
import re
import sys
import types
from pathlib import Path

from fake_engine import WITHIN, fake_engine

from aion import Worker

readme = (Path(__file__).resolve().parent.parent / "README.md").read_text()


async def test_the_example_takes_a_payment_and_declines_one() -> None:
    [code] = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)
    # A module of its own: annotations are looked up where functions are from.
    module = types.ModuleType("readme")
    sys.modules["readme"] = module
    try:
        exec(compile(code, "README.md", "exec"), vars(module))
        async with fake_engine() as engine:
            worker = Worker(engine.url, activities=[module.charge])
            running = asyncio.create_task(worker.run())
            wire = await engine.accept()
            await wire.greet()
            await wire.hear("ready")
            wire.give("t1", "charge", '{"id":"42","amount":5}')
            assert (await wire.outcome("t1")).result == '"payment 42 (run-1:t1)"'
            wire.give("t2", "charge", '{"id":"43","amount":5000}')
            failure = (await wire.outcome("t2")).failure
            assert (failure.type, failure.message, failure.non_retryable) == ("Declined", "too much", True)
            await worker.stop()
            await asyncio.wait_for(running, WITHIN)
    finally:
        del sys.modules["readme"]
