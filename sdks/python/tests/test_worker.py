"""The worker against an engine that plays its part by hand."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import json
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
import trustme
from fake_engine import WITHIN, FakeEngine, Wire, fake_engine

from aion import Activity, AionError, ApplicationFailure, Task, Worker, activity


@pytest.fixture
async def engine() -> AsyncIterator[FakeEngine]:
    async with fake_engine() as engine:
        yield engine


@asynccontextmanager
async def working(
    engine: FakeEngine, *activities: Activity[..., Any], **options: Any
) -> AsyncIterator[Worker]:
    worker = Worker(engine.url, activities=activities or (echo,), **options)
    running = asyncio.create_task(worker.run())
    try:
        yield worker
    finally:
        await worker.stop(drain=0)
        with contextlib.suppress(AionError):
            await asyncio.wait_for(running, WITHIN)


async def ready(engine: FakeEngine, **greeting: Any) -> Wire:
    wire = await engine.accept()
    await wire.greet(**greeting)
    await wire.hear("ready")
    return wire


async def until(claim: Any) -> None:
    async with asyncio.timeout(WITHIN):
        while not claim():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


@activity("echo")
async def echo(value: Any) -> Any:
    return value


@dataclass
class Order:
    id: str
    amount: int


async def test_registers_what_it_serves(engine: FakeEngine) -> None:
    options = {
        "task_queues": ["payments", "refunds"],
        "concurrency": 7,
        "namespace": "shop",
        "identity": "w-1",
        "build": "b1",
        "token": "secret",
    }
    async with working(engine, echo, **options):
        wire = await engine.accept()
        register = await wire.greet()
        assert list(register.task_queues) == ["payments", "refunds"]
        assert list(register.activity_types) == ["echo"]
        assert (register.protocol, register.capacity, register.namespace) == (1, 7, "shop")
        assert (register.identity, register.build) == ("w-1", "b1")
        assert not register.HasField("session")
        assert wire.metadata["authorization"] == "Bearer secret"
        await wire.hear("ready")


@pytest.mark.parametrize("is_async", [False, True])
async def test_asks_for_its_token_before_each_connection(engine: FakeEngine, is_async: bool) -> None:
    tokens = iter(["first", "second"])

    def plain() -> str:
        return next(tokens)

    async def later() -> str:
        await asyncio.sleep(0)
        return next(tokens)

    async with working(engine, token=later if is_async else plain):
        wire = await ready(engine)
        assert wire.metadata["authorization"] == "Bearer first"
        wire.cut()
        wire = await ready(engine)
        assert wire.metadata["authorization"] == "Bearer second"


async def test_goes_on_without_a_connection_while_its_token_cannot_be_had(engine: FakeEngine) -> None:
    asked = 0

    def token() -> str:
        nonlocal asked
        asked += 1
        if asked < 3:
            raise OSError("the issuer is away")
        return "at last"

    async with working(engine, token=token):
        wire = await ready(engine)
        assert (asked, wire.metadata["authorization"]) == (3, "Bearer at last")


async def test_comes_again_with_another_token_when_one_is_refused(engine: FakeEngine) -> None:
    async def token() -> str:
        tokens.append(f"t{len(tokens)}")
        return tokens[-1]

    tokens: list[str] = []
    engine.refuse_with = grpc.StatusCode.UNAUTHENTICATED
    async with working(engine, token=token):
        await until(lambda: len(tokens) > 1)
        engine.refuse_with = None
        wire = await ready(engine)
        assert wire.metadata["authorization"] == f"Bearer {tokens[-1]}"


async def test_says_nothing_that_is_not_set(engine: FakeEngine) -> None:
    async with working(engine):
        wire = await engine.accept()
        register = await wire.greet()
        assert [register.HasField(name) for name in ("namespace", "build", "session")] == [False] * 3
        assert "authorization" not in wire.metadata


async def test_hands_code_its_input_and_its_task(engine: FakeEngine) -> None:
    seen: list[Task] = []

    @activity("charge")
    async def charge(order: Order, task: Task) -> dict[str, Any]:
        seen.append(task)
        return {"charged": order.amount, "id": order.id}

    async with working(engine, charge):
        wire = await ready(engine)
        wire.give("t1", "charge", '{"id":"ä","amount":5}', attempt=2, last_heartbeat='{"row":7}')
        outcome = await wire.outcome("t1")
        assert (outcome.kind, outcome.result) == ("completed", '{"charged":5,"id":"ä"}')
        [task] = seen
        assert (task.idempotency_key, task.attempt, task.activity_type) == ("run-1:t1", 2, "charge")
        assert (task.workflow_id, task.run_id, task.last_heartbeat) == ("order-1", "run-1", {"row": 7})
        assert not task.cancelled.is_set()
        assert task.trace is None


async def test_hands_code_the_trace_that_it_is_part_of(engine: FakeEngine) -> None:
    traces: list[Any] = []

    @activity("trace")
    async def trace(task: Task) -> None:
        traces.append(task.trace)

    async with working(engine, trace):
        wire = await ready(engine)
        wire.give("t1", "trace", trace={"traceparent": "00-1-2-01"})
        await wire.outcome("t1")
        wire.give("t2", "trace", trace={"traceparent": "00-1-3-01", "tracestate": "a=b"})
        await wire.outcome("t2")
    assert traces == [{"traceparent": "00-1-2-01"}, {"traceparent": "00-1-3-01", "tracestate": "a=b"}]


async def test_runs_plain_functions_in_threads_with_the_context_of_the_worker(engine: FakeEngine) -> None:
    place = contextvars.ContextVar("place", default="nowhere")

    def where() -> list[str]:
        return [threading.current_thread().name, place.get()]

    place.set("here")
    async with working(engine, activity("where")(where)):
        wire = await ready(engine)
        wire.give("t1", "where")
        assert (await wire.outcome("t1")).result == '["where","here"]'


async def test_waits_for_what_a_plain_function_hands_back(engine: FakeEngine) -> None:
    async def later() -> str:
        return "later"

    @activity("lazy")
    def lazy() -> Any:
        return later()

    async with working(engine, lazy):
        wire = await ready(engine)
        wire.give("t1", "lazy")
        assert (await wire.outcome("t1")).result == '"later"'


async def test_an_input_that_does_not_fit_is_a_failure_for_good_and_the_code_is_not_called(
    engine: FakeEngine,
) -> None:
    @activity("charge")
    async def charge(order: Order) -> None:
        raise AssertionError(order)

    async with working(engine, charge):
        wire = await ready(engine)
        wire.give("t1", "charge", '{"id":"a","amount":"much"}')
        failure = (await wire.outcome("t1")).failure
        assert (failure.kind, failure.type) == ("engine", "payload_invalid")
        assert "amount" in failure.message
        assert "activity 'charge'" in failure.message


@pytest.mark.parametrize("is_async", [True, False])
async def test_whatever_code_raises_fails_the_attempt_and_nothing_else(
    engine: FakeEngine, is_async: bool
) -> None:
    errors: dict[str, BaseException] = {
        "value": ValueError("down"),
        "typed": ApplicationFailure("declined", type="Declined", non_retryable=True, details={"card": [1]}),
        "exit": SystemExit(3),
        "interrupt": KeyboardInterrupt(),
        "cancelled": asyncio.CancelledError("of its own"),
        "stop": StopIteration(),
    }

    def fail(which: str) -> None:
        raise errors[which]

    async def fail_later(which: str) -> None:
        raise errors[which]

    async with working(engine, activity("fail")(fail_later if is_async else fail)) as worker:
        wire = await ready(engine)
        kinds = {}
        for which in errors:
            wire.give(which, "fail", f'"{which}"')
            failure = (await wire.outcome(which)).failure
            kinds[which] = (failure.kind, failure.type, failure.non_retryable)
        assert kinds["value"] == ("application", "ValueError", False)
        assert kinds["typed"] == ("application", "Declined", True)
        assert kinds["exit"] == ("application", "SystemExit", False)
        assert kinds["interrupt"] == ("application", "KeyboardInterrupt", False)
        assert kinds["cancelled"] == ("application", "CancelledError", False)
        # Neither a coroutine nor a future may raise it.
        assert kinds["stop"] == ("application", "RuntimeError", False)
        assert worker.tasks_in_flight == 0


async def test_results_that_cannot_be_told_fail_the_attempt(engine: FakeEngine) -> None:
    async def give(which: str) -> Any:
        return {"function": print, "large": "x" * 10_000}[which]

    async with working(engine, activity("give")(give)):
        wire = await ready(engine)
        for which, code in (("function", "payload_not_serializable"), ("large", "payload_too_large")):
            wire.give(which, "give", f'"{which}"')
            failure = (await wire.outcome(which)).failure
            assert (failure.kind, failure.type) == ("engine", code)


async def test_a_type_that_it_does_not_serve_fails(engine: FakeEngine) -> None:
    async with working(engine):
        wire = await ready(engine)
        wire.give("t1", "another")
        failure = (await wire.outcome("t1")).failure
        assert (failure.kind, failure.type) == ("engine", "internal")


async def test_a_cancellation_reaches_async_code_which_may_clean_up(engine: FakeEngine) -> None:
    cleaned: list[Any] = []

    @activity("wait")
    async def wait(_: None, task: Task) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.01)
            cleaned.append((task.cancelled.is_set(), task.cancel_reason))

    @activity("stubborn")
    async def stubborn() -> str:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        return "done all the same"

    async with working(engine, wait, stubborn) as worker:
        wire = await ready(engine)
        wire.give("t1", "wait")
        wire.give("t2", "stubborn")
        await until(lambda: worker.tasks_in_flight == 2)
        await asyncio.sleep(0.05)
        wire.tell(cancel={"token": "t1", "reason": "requested"})
        outcome = await wire.outcome("t1")
        assert (outcome.kind, outcome.failure.kind) == ("failed", "cancelled")
        assert cleaned == [(True, "requested")]
        wire.tell(cancel={"token": "t2", "reason": "requested"})
        assert (await wire.outcome("t2")).result == '"done all the same"'


async def test_a_cancellation_that_comes_before_the_code_has_begun_counts(engine: FakeEngine) -> None:
    release = threading.Event()

    def hold(value: str) -> str:
        release.wait(WITHIN)
        return value

    async with working(engine, activity("hold")(hold), concurrency=1):
        wire = await ready(engine)
        wire.give("t1", "hold", '"a"')
        wire.give("t2", "hold", '"b"')
        wire.tell(cancel={"token": "t2", "reason": "requested"})
        await wire.is_silent(0.1)
        release.set()
        assert (await wire.outcome("t1")).result == '"a"'
        assert (await wire.outcome("t2")).failure.kind == "cancelled"


async def test_a_thread_is_told_of_a_cancellation_and_waited_for(engine: FakeEngine) -> None:
    @activity("wait")
    def wait(task: Task) -> str:
        assert task.cancelled.wait(WITHIN)
        time.sleep(0.05)
        return f"stopped: {task.cancel_reason}"

    async with working(engine, wait):
        wire = await ready(engine)
        wire.give("t1", "wait")
        await asyncio.sleep(0.05)
        wire.tell(cancel={"token": "t1", "reason": "requested"})
        assert (await wire.outcome("t1")).result == '"stopped: requested"'


@pytest.mark.parametrize("reason", ["timed-out", "closed"])
async def test_what_is_not_wanted_is_stopped_and_not_reported_and_its_room_is_free(
    engine: FakeEngine, reason: str
) -> None:
    told: list[Any] = []
    release = threading.Event()

    @activity("block")
    def block(task: Task) -> None:
        told.append(task.cancelled.wait(WITHIN) and task.cancel_reason)
        release.wait(WITHIN)

    async with working(engine, block, echo, concurrency=1):
        wire = await ready(engine)
        wire.give("t1", "block")
        await asyncio.sleep(0.05)
        wire.tell(cancel={"token": "t1", "reason": reason})
        # The thread goes on, and is in nobody's way.
        wire.give("t2", "echo", "2")
        assert (await wire.outcome("t2")).result == "2"
        await until(lambda: told == [reason])
        release.set()
        await wire.is_silent(0.1)
        wire.give("t1", "block")
        await wire.is_silent(0.1)


async def test_heartbeats_are_held_back_and_the_latest_is_told(engine: FakeEngine) -> None:
    @activity("import")
    def rows(task: Task) -> None:
        for row in range(50):
            task.heartbeat({"row": row})
            time.sleep(0.01)
        raise ValueError("broken row")

    async with working(engine, rows):
        wire = await ready(engine)
        # A quarter of it is between two of them.
        wire.give("t1", "import", heartbeat_ms=400)
        details = []
        while True:
            frame = await asyncio.wait_for(wire.said.get(), WITHIN)
            if frame.HasField("report"):
                break
            details.append(frame.heartbeat.details)
        assert details[0] == '{"row":0}'
        assert details[-1] == '{"row":49}'
        assert 3 <= len(details) <= 10


async def test_a_heartbeat_that_cannot_be_told_raises_where_it_was_called(engine: FakeEngine) -> None:
    @activity("beat")
    def beat(task: Task) -> list[str]:
        codes = []
        for details in (print, "x" * 10_000):
            try:
                task.heartbeat(details)
            except AionError as error:
                codes.append(error.code)
        return codes

    async with working(engine, beat):
        wire = await ready(engine)
        wire.give("t1", "beat")
        assert (await wire.outcome("t1")).result == '["payload_not_serializable","payload_too_large"]'


async def test_comes_again_and_reports_before_it_takes_new_tasks(engine: FakeEngine) -> None:
    release = asyncio.Event()

    @activity("hold")
    async def hold(_: None, task: Task) -> str:
        task.heartbeat("here")
        await release.wait()
        return "held"

    async with working(engine, hold, echo, identity="w-1"):
        wire = await ready(engine)
        wire.give("done", "echo", "1")
        await wire.hear("report")
        wire.give("held", "hold")
        await wire.hear("heartbeat")
        wire.cut()
        wire = await engine.accept()
        register = await wire.greet()
        assert (register.identity, register.session) == ("w-1", "s-1")
        assert (list(register.held), list(register.unacknowledged)) == (["held"], ["done"])
        assert (await wire.hear("report")).outcome.result == "1"
        # An engine that begins anew has none of them.
        assert (await wire.hear("heartbeat")).details == '"here"'
        await wire.hear("ready")
        wire.acknowledge("done")
        release.set()
        assert (await wire.outcome("held")).result == '"held"'
        wire.cut()
        wire = await engine.accept()
        register = await wire.greet()
        assert (list(register.held), list(register.unacknowledged)) == ([], [])


async def test_what_ends_while_there_is_no_connection_is_reported_on_the_next(engine: FakeEngine) -> None:
    release = asyncio.Event()

    @activity("hold")
    async def hold() -> str:
        await release.wait()
        return "held"

    async with working(engine, hold):
        wire = await ready(engine)
        wire.give("t1", "hold")
        await asyncio.sleep(0.05)
        wire.cut()
        release.set()
        wire = await engine.accept()
        register = await wire.greet()
        assert list(register.unacknowledged) == ["t1"]
        assert (await wire.outcome("t1")).result == '"held"'
        await wire.hear("ready")


async def test_says_again_that_an_attempt_is_alive_when_it_comes_again(engine: FakeEngine) -> None:
    release = asyncio.Event()

    @activity("hold")
    async def hold(task: Task) -> None:
        task.heartbeat()
        await release.wait()

    async with working(engine, hold):
        wire = await ready(engine)
        wire.give("t1", "hold", heartbeat_ms=60_000)
        for _ in range(2):
            heartbeat = await wire.hear("heartbeat")
            assert (heartbeat.token, heartbeat.HasField("details")) == ("t1", False)
            wire.cut()
            wire = await engine.accept()
            await wire.greet()
        await wire.hear("ready")
        release.set()
        await wire.outcome("t1")


async def test_stops_what_it_is_told_to_stop_when_it_comes_again(engine: FakeEngine) -> None:
    reasons: list[Any] = []

    @activity("wait")
    async def wait(task: Task) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            reasons.append(task.cancel_reason)

    async with working(engine, wait) as worker:
        wire = await ready(engine)
        wire.give("t1", "wait")
        await asyncio.sleep(0.05)
        wire.cut()
        wire = await ready(engine, stop=("t1",))
        await until(lambda: reasons == ["closed"])
        assert worker.tasks_in_flight == 0


async def test_says_that_it_is_alive_and_goes_when_nothing_is_heard(engine: FakeEngine) -> None:
    async with working(engine):
        wire = await ready(engine, timeout_ms=400)
        for _ in range(6):
            await wire.hear("alive")
            wire.tell(alive={})
        await asyncio.wait_for(wire.is_over.wait(), WITHIN)
        register = await (await engine.accept()).greet()
        assert register.session == "s-1"


async def test_waits_longer_each_time_until_there_is_somebody(
    engine: FakeEngine, caplog: pytest.LogCaptureFixture
) -> None:
    engine.refuse_with = grpc.StatusCode.UNAVAILABLE
    with caplog.at_level(logging.WARNING, "aion.worker"):
        async with working(engine):
            await until(lambda: len(caplog.records) >= 4)
            engine.refuse_with = None
            await ready(engine)
    waits = [vars(record)["wait_ms"] for record in caplog.records if record.name == "aion.worker"][:4]
    assert all(full / 2 <= wait <= full for wait, full in zip(waits, (100, 200, 400, 800), strict=True))
    assert "not you" in caplog.messages[0]


@pytest.mark.parametrize(
    "code",
    [grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.UNIMPLEMENTED],
)
async def test_a_refusal_that_would_be_the_same_again_is_final(
    engine: FakeEngine, code: grpc.StatusCode
) -> None:
    engine.refuse_with = code
    with pytest.raises(AionError, match="not you") as raised:
        await asyncio.wait_for(Worker(engine.url, activities=[echo], identity="w-1").run(), WITHIN)
    assert raised.value.code == "worker_refused"


async def test_comes_again_when_it_is_refused_for_now_or_the_engine_closes_and_not_for_good(
    engine: FakeEngine,
) -> None:
    running = asyncio.create_task(Worker(engine.url, activities=[echo]).run())
    wire = await engine.accept()
    wire.tell(refused={"message": "not now"})
    wire = await ready(engine)
    wire.tell(closing={})
    wire = await engine.accept()
    wire.tell(refused={"message": "never", "is_final": True})
    with pytest.raises(AionError, match="never"):
        await asyncio.wait_for(running, WITHIN)


async def test_drains_on_a_signal(engine: FakeEngine) -> None:
    release = asyncio.Event()

    @activity("hold")
    async def hold() -> str:
        await release.wait()
        return "held"

    worker = Worker(engine.url, activities=[hold])
    running = asyncio.create_task(worker.run())
    wire = await ready(engine)
    wire.give("t1", "hold")
    await until(lambda: worker.tasks_in_flight == 1)
    os.kill(os.getpid(), signal.SIGTERM)
    await wire.hear("drain")
    # It has been told by now, and not gone.
    await wire.is_silent(0.1)
    release.set()
    assert (await wire.outcome("t1")).result == '"held"'
    await wire.hear("leave")
    wire.cut()
    await asyncio.wait_for(running, WITHIN)
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


async def test_what_is_not_done_in_time_is_left_to_others(engine: FakeEngine) -> None:
    reasons: list[Any] = []

    @activity("wait")
    async def wait(task: Task) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            reasons.append(task.cancel_reason)

    async with working(engine, wait) as worker:
        wire = await ready(engine)
        wire.give("t1", "wait")
        await until(lambda: worker.tasks_in_flight == 1)
        stopping = asyncio.create_task(worker.stop(drain=0.05))
        await wire.hear("drain")
        await wire.hear("leave")
        wire.cut()
        await asyncio.wait_for(stopping, WITHIN)
        assert reasons == ["stopping"]


async def test_drains_on_the_next_connection_when_it_has_none(engine: FakeEngine) -> None:
    async with working(engine, echo) as worker:
        wire = await ready(engine)
        wire.give("t1", "echo", "1")
        await wire.hear("report")
        wire.cut()
        stopping = asyncio.create_task(worker.stop())
        wire = await engine.accept()
        await wire.greet()
        await wire.hear("report")
        await wire.hear("drain")
        await wire.hear("ready")
        wire.acknowledge("t1")
        await wire.hear("leave")
        wire.cut()
        await asyncio.wait_for(stopping, WITHIN)


async def test_leaves_when_its_own_task_is_cancelled(engine: FakeEngine) -> None:
    running = asyncio.create_task(Worker(engine.url, activities=[echo]).run())
    wire = await ready(engine)
    running.cancel()
    await wire.hear("drain")
    await wire.hear("leave")
    wire.cut()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(running, WITHIN)


async def test_a_converter_has_the_say_over_all_that_code_gives_and_gets(engine: FakeEngine) -> None:
    class Backwards:
        def decoder(self, hint: Any) -> Any:
            del hint
            return lambda text: json.loads(text)[::-1]

        def encode(self, value: Any) -> str:
            return json.dumps(value[::-1])

    @activity("turn")
    async def turn(value: str, task: Task) -> str:
        task.heartbeat("tip")
        if value == "fail":
            raise ApplicationFailure("no", details="why")
        return f"{value} after {task.last_heartbeat}"

    async with working(engine, turn, converter=Backwards()):
        wire = await ready(engine)
        wire.give("t1", "turn", '"won"', last_heartbeat='"neht"')
        assert (await wire.hear("heartbeat")).details == '"pit"'
        assert (await wire.outcome("t1")).result == '"neht retfa won"'
        wire.give("t2", "turn", '"liaf"')
        assert (await wire.outcome("t2")).failure.details.string_value == "yhw"
        # What it cannot read is a failure, and no more.
        wire.give("t3", "turn", "5")
        assert (await wire.outcome("t3")).failure.type == "payload_invalid"


async def test_takes_what_is_larger_than_grpc_takes_unless_told(engine: FakeEngine) -> None:
    @activity("measure")
    async def measure(value: str, task: Task) -> list[int]:
        return [len(value), len(task.last_heartbeat)]

    async with working(engine, measure):
        wire = await ready(engine)
        large = "x" * 3_000_000
        wire.give("t1", "measure", f'"{large}"', last_heartbeat=f'"{large}"')
        assert (await wire.outcome("t1")).result == "[3000000,3000000]"


async def test_a_bug_in_a_connection_ends_that_connection_and_no_task(
    engine: FakeEngine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    release = asyncio.Event()

    @activity("hold")
    async def hold() -> str:
        await release.wait()
        return "held"

    async with working(engine, hold) as worker:
        wire = await ready(engine)
        wire.give("t1", "hold")
        await until(lambda: worker.tasks_in_flight == 1)
        with monkeypatch.context() as patch:
            patch.setattr(worker, "receive", lambda _frame: 1 / 0)
            wire.give("t2", "hold")
            await until(lambda: "a connection of a worker failed" in caplog.messages)
        wire = await ready(engine)
        release.set()
        assert (await wire.outcome("t1")).result == '"held"'


@pytest.mark.parametrize("is_heard", [True, False])
async def test_goes_at_once_when_its_task_is_cancelled_while_it_drains(
    engine: FakeEngine, is_heard: bool
) -> None:
    @activity("wait")
    async def wait() -> None:
        await asyncio.Event().wait()

    worker = Worker(engine.url, activities=[wait])
    running = asyncio.create_task(worker.run())
    wire = await ready(engine)
    wire.give("t1", "wait")
    await until(lambda: worker.tasks_in_flight == 1)
    stopping = asyncio.create_task(worker.stop(drain=1_000))
    if is_heard:
        await wire.hear("drain")
        running.cancel()
    else:
        await asyncio.sleep(0)
        running.cancel()
        await wire.hear("drain")
    await wire.hear("leave")
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(running, WITHIN)
    await asyncio.wait_for(stopping, WITHIN)


async def test_does_not_begin_once_it_was_stopped(engine: FakeEngine) -> None:
    worker = Worker(engine.url, activities=[echo])
    await worker.stop()
    with pytest.raises(AionError, match="runs once"):
        await worker.run()


@pytest.mark.parametrize("which", [signal.SIGTERM, signal.SIGINT])
async def test_a_second_signal_ends_the_process(
    engine: FakeEngine, tmp_path: Path, which: signal.Signals
) -> None:
    file = Path(__file__).parent / "activities.py"
    worker = await asyncio.create_subprocess_exec(
        sys.executable,
        file,
        engine.url,
        env={**os.environ, "AION_TEST_FOLDER": str(tmp_path)},
        stderr=asyncio.subprocess.DEVNULL,
    )
    wire = await ready(engine)
    wire.give("t1", "slow", '"never"')
    await until(lambda: (tmp_path / "slow").exists())
    worker.send_signal(which)
    await wire.hear("drain")
    assert worker.returncode is None
    worker.send_signal(which)
    # Well before those under way have had their time.
    assert await asyncio.wait_for(worker.wait(), 8) != 0


async def test_does_not_know_frames_of_newer_engines(engine: FakeEngine) -> None:
    async with working(engine):
        wire = await ready(engine)
        wire.tell()
        wire.give("t1", "echo", "1")
        assert (await wire.outcome("t1")).result == "1"


async def test_speaks_tls(tmp_path: Any) -> None:
    authority = trustme.CA()
    certificate = authority.issue_cert("localhost")
    key = certificate.private_key_pem.bytes()
    chain = b"".join(blob.bytes() for blob in certificate.cert_chain_pems)
    async with fake_engine(grpc.ssl_server_credentials([(key, chain)])) as engine:
        trusted = grpc.ssl_channel_credentials(root_certificates=authority.cert_pem.bytes())
        async with working(engine, echo, credentials=trusted, token="secret"):
            wire = await ready(engine)
            assert wire.metadata["authorization"] == "Bearer secret"
        # Without that authority nobody is there.
        async with working(engine, echo):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(engine._wires.get(), 0.5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"url": "nowhere"}, "no address of a server"),
        ({"url": "http://user@host:1"}, "no address of a server"),
        ({"url": "http://host:1/path"}, "no address of a server"),
        ({"url": "http://host:port"}, "no address of a server"),
        ({"activities": []}, "nothing to do"),
        ({"activities": [echo, echo]}, "two activities are named 'echo'"),
        ({"activities": [3]}, "neither a function nor"),
        ({"task_queues": []}, "at least one name"),
        ({"task_queues": "payments"}, "is a list"),
        ({"task_queues": [""]}, "task queue must be"),
        ({"concurrency": 0}, "1 to 10,000"),
        ({"concurrency": 10_001}, "1 to 10,000"),
        ({"concurrency": 1.5}, "whole number"),
        ({"identity": "a\nb"}, "identity must be"),
        ({"identity": "x" * 256}, "identity must be"),
        ({"build": ""}, "build must be"),
        ({"namespace": "\ud800"}, "namespace must be"),
        ({"credentials": grpc.ssl_channel_credentials()}, "https"),
    ],
)
def test_refuses_options_that_cannot_be(options: dict[str, Any], message: str) -> None:
    with pytest.raises(AionError, match=message):
        Worker(**{"url": "http://127.0.0.1:1", "activities": [echo], **options})


async def test_runs_once(engine: FakeEngine) -> None:
    async with working(engine) as worker:
        await ready(engine)
        with pytest.raises(AionError, match="runs once"):
            await worker.run()
