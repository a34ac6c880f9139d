"""What the worker itself says went wrong, as against the code of activities."""

from __future__ import annotations


class AionError(Exception):
    """Carries a stable `code`, which is what programs match on.

    Of a worker: `invalid_argument`, `definition_duplicate`, `worker_refused`, `payload_invalid`, `payload_not_serializable`,
    `payload_too_large`.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def invalid(message: str) -> AionError:
    return AionError("invalid_argument", message)
