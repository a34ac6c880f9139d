"""The rest of the repository, for tests that need a server. Without it they are skipped."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

tests = Path(__file__).resolve().parent
root = tests.parent.parent.parent
_node = root / "node_modules/node/bin/node"
_main = root / "src/cli/main.ts"

needs_repository = pytest.mark.skipif(
    not (_node.exists() and _main.exists()), reason="Aion itself, and what it needs, is not here"
)


def _environment(more: Mapping[str, str]) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AION_")}
    return {**kept, "NODE_OPTIONS": "--conditions=aion-source", "PYTHONUNBUFFERED": "1", **more}


async def start_aion(
    *args: str, env: Mapping[str, str] | None = None, **options: Any
) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        _node, _main, *args, stdout=asyncio.subprocess.PIPE, env=_environment(env or {}), **options
    )


async def aion(*args: str) -> tuple[int, Any]:
    """Runs a command with `--json`. Returns its exit code and its document."""
    command, *rest = args
    process = await start_aion(command, "--json", *rest)
    output, _ = await process.communicate()
    return process.returncode or 0, json.loads(output or "null")


async def start_python(file: str, *args: str, **more: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(sys.executable, tests / file, *args, env=_environment(more))
