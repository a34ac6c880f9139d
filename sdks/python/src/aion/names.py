"""Names that a worker is known by, and the address of the server."""

from __future__ import annotations

import os
import re
import socket
import uuid
from dataclasses import dataclass
from urllib.parse import urlsplit

from .errors import invalid
from .payload import LONE_SURROGATE

_LENGTH_MAX = 255
_CONTROL = re.compile("[\u0000-\u001f\u007f]")


def parse_name(text: object, what: str) -> str:
    """Raises `invalid_argument`."""
    if (
        not isinstance(text, str)
        or not text
        # As JavaScript counts.
        or len(text.encode("utf-16-le", "surrogatepass")) // 2 > _LENGTH_MAX
        or _CONTROL.search(text)
        or LONE_SURROGATE.search(text)
    ):
        shown = repr(text[:60]) if isinstance(text, str) else type(text).__name__
        raise invalid(
            f"{what} must be a string of 1 to {_LENGTH_MAX} characters without control characters, got {shown}"
        )
    return text


def default_identity() -> str:
    """No two processes have the same, nor has one that was begun anew."""
    return f"{socket.gethostname()[:200]}:{os.getpid()}:{uuid.uuid4().hex[:8]}"


@dataclass(frozen=True, slots=True)
class ServerAddress:
    target: str
    """As gRPC has it: `127.0.0.1:4466`."""
    is_secure: bool
    is_local: bool


def parse_server_url(url: str) -> ServerAddress:
    """Raises `invalid_argument`."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if (
        not host
        or parts.scheme not in ("http", "https")
        or parts.username is not None
        or parts.path not in ("", "/")
        or parts.query
    ):
        raise invalid(
            f"{url!r} is no address of a server; pass one like 'http://127.0.0.1:4466', without a user or a path in it"
        )
    is_secure = parts.scheme == "https"
    shown = f"[{host}]" if ":" in host else host
    return ServerAddress(
        target=f"{shown}:{port or (443 if is_secure else 80)}",
        is_secure=is_secure,
        is_local=host in ("localhost", "::1") or host.startswith("127."),
    )
