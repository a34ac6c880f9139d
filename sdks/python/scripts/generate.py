"""Makes the messages in `src/aion/v1` of the files in `proto/`: `python scripts/generate.py [folder]`. Needs grpcio-tools."""

import sys
from importlib.resources import files as files_of
from pathlib import Path

from grpc_tools import protoc  # type: ignore[import-untyped]

sdk = Path(__file__).resolve().parent.parent
protos = sdk.parent.parent / "proto"


def generate(folder: Path) -> None:
    names = ["aion/v1/workflows.proto", "aion/v1/workers.proto"]
    included = [f"-I{protos}", f"-I{files_of('grpc_tools') / '_proto'}"]
    status = protoc.main(["protoc", *included, f"--python_out={folder}", f"--pyi_out={folder}", *names])
    if status != 0:
        raise SystemExit(status)


if __name__ == "__main__":
    generate(Path(sys.argv[1]) if len(sys.argv) > 1 else sdk / "src")
