"""Runs activities of Aion workflows in Python."""

from .activity import Activity, activity
from .errors import AionError
from .failure import ApplicationFailure
from .payload import Converter, JsonConverter
from .task import CancelReason, Task
from .worker import Worker

__all__ = [
    "Activity",
    "AionError",
    "ApplicationFailure",
    "CancelReason",
    "Converter",
    "JsonConverter",
    "Task",
    "Worker",
    "activity",
]
