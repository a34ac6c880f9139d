"""A real server, a package with workflows, and a worker in a process of its own: what dies, and what comes of it."""

from __future__ import annotations

import asyncio
import json
import random
import signal
import urllib.request
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from repository import aion, needs_repository, root, start_aion, start_python, tests

pytestmark = [needs_repository, pytest.mark.asyncio(loop_scope="module")]

WITHIN = 60.0
"""A time-out here means hung, never slow."""


class World:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data = str(folder / "data")
        self.token: str | None = None
        self.url = ""
        self._server: asyncio.subprocess.Process | None = None
        self._workers: list[asyncio.subprocess.Process] = []

    async def serve(self) -> None:
        port = self.url.rpartition(":")[2] or "0"
        auth = "none" if self.token is None else "required"
        with (self.folder / "server.log").open("ab") as log:
            self._server = await start_aion(
                "server", "--json", "--data", self.data, "--port", port, stderr=log, env={"AION_AUTH": auth}
            )
        assert self._server.stdout is not None
        line = await asyncio.wait_for(self._server.stdout.readline(), WITHIN)
        assert line != b"", (self.folder / "server.log").read_text()
        self.url = json.loads(line)["url"]

    async def work(
        self, file: str = "activities.py", *, url: str | None = None, **env: str
    ) -> asyncio.subprocess.Process:
        worker = await start_python(file, url or self.url, AION_TEST_FOLDER=str(self.folder), **env)
        self._workers.append(worker)
        return worker

    async def work_in_typescript(self, file: Path) -> None:
        self._workers.append(await start_aion("worker", "--url", self.url, str(file)))

    async def kill_server(self) -> None:
        assert self._server is not None
        self._server.kill()
        await self._server.wait()

    async def ask(self, path: str, body: Any = None) -> Any:
        def send() -> Any:
            request = urllib.request.Request(
                f"{self.url}/v1/namespaces/default/workflows{path}",
                data=None if body is None else json.dumps(body).encode(),
                headers={
                    "content-type": "application/json",
                    **({} if self.token is None else {"authorization": f"Bearer {self.token}"}),
                },
            )
            with urllib.request.urlopen(request, timeout=WITHIN) as response:
                return json.loads(response.read() or b"null")

        return await asyncio.to_thread(send)

    async def start(self, workflow: str, workflow_id: str, value: Any) -> None:
        await self.ask("", {"workflowType": workflow, "workflowId": workflow_id, "input": value})

    async def result(self, workflow_id: str) -> Any:
        for _ in range(4):
            reply = await self.ask(f"/{workflow_id}/result?waitMs=20000")
            if reply["status"] != "running":
                assert reply["status"] == "completed", reply
                return reply["result"]
        raise AssertionError(f"{workflow_id} does not end")

    def noted(self, name: str) -> list[str]:
        file = self.folder / name
        return file.read_text().splitlines() if file.exists() else []

    async def until(self, claim: Callable[[], bool]) -> None:
        async with asyncio.timeout(WITHIN):
            while not claim():  # noqa: ASYNC110
                await asyncio.sleep(0.02)

    def let(self, name: str) -> None:
        (self.folder / name).touch()

    async def end_workers(self) -> None:
        for worker in self._workers:
            if worker.returncode is None:
                worker.kill()
                await worker.wait()
        self._workers.clear()


@dataclass
class Proxy:
    url: str
    cuts: int = 0


@asynccontextmanager
async def cutting_proxy(target: str, length: Callable[[], int]) -> AsyncIterator[Proxy]:
    """Lets bytes through in both directions, and cuts each connection after so many."""
    host, _, port = target.removeprefix("http://").partition(":")
    proxy = Proxy("")

    async def carry(near: asyncio.StreamReader, to_near: asyncio.StreamWriter) -> None:
        far, to_far = await asyncio.open_connection(host, int(port))
        left = length()

        async def pump(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
            nonlocal left
            while left > 0 and (data := await source.read(4096)):
                target.write(data[: max(0, left)])
                left -= len(data)
                await target.drain()

        pumps = [asyncio.create_task(pump(near, to_far)), asyncio.create_task(pump(far, to_near))]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            proxy.cuts += left <= 0
            for each in pumps:
                each.cancel()
            for writer in (to_near, to_far):
                writer.close()
            await asyncio.gather(*pumps, return_exceptions=True)

    server = await asyncio.start_server(carry, "127.0.0.1", 0)
    proxy.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield proxy
    finally:
        server.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def serving(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    world = World(tmp_path_factory.mktemp("world"))
    await world.serve()
    try:
        exit_code, _ = await aion("deploy", "--url", world.url, str(tests / "workflows.ts"))
        assert exit_code == 0
        yield world
    finally:
        await world.kill_server()


@pytest_asyncio.fixture(loop_scope="module")
async def world(serving: World) -> AsyncIterator[World]:
    yield serving
    await serving.end_workers()


async def test_an_activity_that_asks_for_an_operator_waits_until_it_is_resumed(world: World) -> None:
    await world.work()
    await world.start("paying", "p-1", "p-1")

    async def parked() -> Any:
        return (await world.ask("/p-1")).get("parked")

    async with asyncio.timeout(WITHIN):
        while await parked() is None:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    [waiting] = (await parked())["activities"]
    assert (waiting["activityType"], waiting["taskQueue"], waiting["attempt"], waiting["message"]) == (
        "pay",
        "python",
        1,
        "the key has expired",
    )
    assert world.noted("pay") == ["p-1"]
    world.let("key of p-1")
    assert (await world.ask("/p-1/resume-activity", {"reason": "renewed"}))["ordinals"] == [0]
    assert await world.result("p-1") == "paid p-1"
    assert world.noted("pay") == ["p-1", "p-1"]


async def test_an_activity_of_a_packaged_workflow_is_run_in_python(world: World) -> None:
    worker = await world.work()
    await world.start("order", "o-1", {"id": "1", "amount": 5})
    await world.start("order", "o-2", {"id": "2", "amount": 5_000})
    assert await world.result("o-1") == {"paymentId": "payment-1"}
    declined = {"type": "Declined", "message": "too much"}
    assert await world.result("o-2") == {
        **declined,
        "details": {"order": {"id": "2", "amount": 5_000}, "limit": 1_000},
    }
    # One key for three attempts, and no second attempt where there was to be none.
    keys = [line.split() for line in world.noted("charge")]
    first, second = (key for key, attempt in keys if attempt == "1")
    assert sorted(keys) == sorted([[first, "1"], [first, "2"], [first, "3"], [second, "1"]]) or sorted(
        keys
    ) == sorted([[second, "1"], [second, "2"], [second, "3"], [first, "1"]])
    history = (await world.ask("/o-1/history"))["events"]
    [attempt, *_] = [event["failure"] for event in history if event["type"] == "ActivityFailed"]
    assert (attempt["kind"], attempt["type"], attempt["message"]) == (
        "application",
        "ConnectionError",
        "the bank is busy",
    )
    assert "activities.py" in attempt["stack"]
    # What does not fit the annotation is for good.
    await world.start("order", "o-3", {"id": 3, "amount": 5})
    failed = await world.ask("/o-3/result?waitMs=20000")
    assert failed["failure"]["cause"]["type"] == "payload_invalid"
    worker.send_signal(signal.SIGTERM)
    assert await asyncio.wait_for(worker.wait(), WITHIN) == 0
    assert len(world.noted("worker")) == 1


async def test_a_worker_that_is_killed_is_followed_by_one_that_goes_on(world: World) -> None:
    worker = await world.work()
    await world.start("rows", "r-1", "names")
    await world.until(lambda: world.noted("import") != [])
    # Its details are on their way; they are written once a second.
    await asyncio.sleep(1.5)
    worker.kill()
    await worker.wait()
    await world.work()
    await world.until(lambda: len(world.noted("import")) > 1)
    world.let("go")
    result = await world.result("r-1")
    assert result[:3] == [0, 1, 2]
    assert result[3] >= 2
    assert world.noted("import")[-1].endswith("begins after [0, 1, 2]")


async def test_a_server_that_is_killed_gets_what_has_ended_meanwhile_and_nothing_runs_twice(
    world: World,
) -> None:
    await world.work()
    names = ["a", "b", "c"]
    world.let("a")
    await world.start("slowly", "s-1", names)
    await world.until(lambda: len(world.noted("slow")) == 3)
    await world.kill_server()
    # While nobody is there.
    world.let("b")
    await asyncio.sleep(0.3)
    await world.serve()
    world.let("c")
    assert await world.result("s-1") == ["done a", "done b", "done c"]
    ran = [line.split()[1] for line in world.noted("slow")]
    assert len(ran) == 3
    assert len(set(ran)) == 3


async def test_connections_that_are_cut_after_any_byte_lose_nothing_and_run_nothing_twice(
    world: World,
) -> None:
    lengths = random.Random(7)
    async with cutting_proxy(world.url, lambda: lengths.randint(1, 4_000)) as proxy:
        await world.work(url=proxy.url)
        names = [f"cut-{number}" for number in range(60)]
        await world.start("slowly", "c-1", names)
        for name in names:
            world.let(name)
            await asyncio.sleep(0.02)
        assert await world.result("c-1") == [f"done {name}" for name in names]
        assert proxy.cuts > 5
    ran = [line.split()[1] for line in world.noted("slow") if line.startswith("cut-")]
    assert len(ran) == len(names)
    assert len(set(ran)) == len(names)


async def test_a_cancellation_reaches_the_code(world: World) -> None:
    await world.work()
    await world.start("waiting", "w-1", "it")
    await world.until(lambda: world.noted("wait") == ["it waits"])
    await world.ask("/w-1/cancel", {"reason": "enough"})
    reply = await world.ask("/w-1/result?waitMs=20000")
    assert reply["status"] == "cancelled"
    assert world.noted("wait") == ["it waits", "it was cancelled: requested"]


async def test_the_example_runs_with_a_worker_in_each_language(world: World) -> None:
    example = root / "examples/polyglot"
    exit_code, _ = await aion("deploy", "--url", world.url, str(example / "order.ts"))
    assert exit_code == 0
    await world.work(str(example / "worker.py"))
    await world.work_in_typescript(example / "order.ts")
    await world.start("order", "e-1", {"id": "1", "amount": 500})
    assert await world.result("e-1") == {"paymentId": "payment-1", "total": 505}


async def test_a_server_that_asks_takes_a_worker_with_a_key_for_its_queue_and_no_other(
    tmp_path: Path,
) -> None:
    world = World(tmp_path)

    async def key(subject: str, grant: str) -> str:
        exit_code, made = await aion("key", "create", subject, "--data", world.data, "--grant", grant)
        assert exit_code == 0
        return str(made["token"])

    world.token = await key("ann", "admin@*")
    of_worker = await key("python", "work@default/python")
    await world.serve()
    try:
        deploy = ["deploy", "--url", world.url, "--token", world.token, str(tests / "workflows.ts")]
        assert (await aion(*deploy))[0] == 0
        refused = [
            await world.work(),
            await world.work(AION_TOKEN="no key"),
            await world.work(AION_TOKEN=of_worker, AION_TASK_QUEUES="python,payments"),
        ]
        for worker in refused:
            assert await asyncio.wait_for(worker.wait(), WITHIN) == 1
        await world.work(AION_TOKEN=of_worker)
        world.let("it")
        await world.start("slowly", "s-1", ["it"])
        assert await world.result("s-1") == ["done it"]
    finally:
        await world.end_workers()
        await world.kill_server()
