"""The messages are those of `proto/`."""

import sys
from pathlib import Path

import pytest

sdk = Path(__file__).resolve().parent.parent


def test_the_messages_are_up_to_date(tmp_path: Path) -> None:
    if not (sdk.parent.parent / "proto").exists():
        pytest.skip("the protocol is in the repository")
    sys.path.insert(0, str(sdk / "scripts"))
    try:
        from generate import generate
    finally:
        sys.path.pop(0)
    generate(tmp_path)
    for made in sorted((tmp_path / "aion/v1").iterdir()):
        there = sdk / "src/aion/v1" / made.name
        assert there.read_text() == made.read_text(), "run: python scripts/generate.py"
