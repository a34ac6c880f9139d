from google.protobuf import struct_pb2 as _struct_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ErrorDetail(_message.Message):
    __slots__ = ("code", "hint", "details")
    CODE_FIELD_NUMBER: _ClassVar[int]
    HINT_FIELD_NUMBER: _ClassVar[int]
    DETAILS_FIELD_NUMBER: _ClassVar[int]
    code: str
    hint: str
    details: _struct_pb2.Struct
    def __init__(self, code: _Optional[str] = ..., hint: _Optional[str] = ..., details: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ...) -> None: ...

class Failure(_message.Message):
    __slots__ = ("kind", "message", "type", "non_retryable", "details", "stack", "cause", "of", "attempt", "child_workflow_id", "timeout", "park")
    KIND_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    NON_RETRYABLE_FIELD_NUMBER: _ClassVar[int]
    DETAILS_FIELD_NUMBER: _ClassVar[int]
    STACK_FIELD_NUMBER: _ClassVar[int]
    CAUSE_FIELD_NUMBER: _ClassVar[int]
    OF_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    CHILD_WORKFLOW_ID_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    PARK_FIELD_NUMBER: _ClassVar[int]
    kind: str
    message: str
    type: str
    non_retryable: bool
    details: _struct_pb2.Value
    stack: str
    cause: Failure
    of: str
    attempt: int
    child_workflow_id: str
    timeout: str
    park: bool
    def __init__(self, kind: _Optional[str] = ..., message: _Optional[str] = ..., type: _Optional[str] = ..., non_retryable: bool = ..., details: _Optional[_Union[_struct_pb2.Value, _Mapping]] = ..., stack: _Optional[str] = ..., cause: _Optional[_Union[Failure, _Mapping]] = ..., of: _Optional[str] = ..., attempt: _Optional[int] = ..., child_workflow_id: _Optional[str] = ..., timeout: _Optional[str] = ..., park: bool = ...) -> None: ...

class StartRequest(_message.Message):
    __slots__ = ("namespace", "workflow_type", "input", "workflow_id", "request_id", "reuse", "start_delay_ms", "run_timeout_ms", "execution_timeout_ms", "signal", "attributes")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    WORKFLOW_TYPE_FIELD_NUMBER: _ClassVar[int]
    INPUT_FIELD_NUMBER: _ClassVar[int]
    WORKFLOW_ID_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    REUSE_FIELD_NUMBER: _ClassVar[int]
    START_DELAY_MS_FIELD_NUMBER: _ClassVar[int]
    RUN_TIMEOUT_MS_FIELD_NUMBER: _ClassVar[int]
    EXECUTION_TIMEOUT_MS_FIELD_NUMBER: _ClassVar[int]
    SIGNAL_FIELD_NUMBER: _ClassVar[int]
    ATTRIBUTES_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    workflow_type: str
    input: _struct_pb2.Value
    workflow_id: str
    request_id: str
    reuse: str
    start_delay_ms: float
    run_timeout_ms: float
    execution_timeout_ms: float
    signal: StartSignal
    attributes: _struct_pb2.Struct
    def __init__(self, namespace: _Optional[str] = ..., workflow_type: _Optional[str] = ..., input: _Optional[_Union[_struct_pb2.Value, _Mapping]] = ..., workflow_id: _Optional[str] = ..., request_id: _Optional[str] = ..., reuse: _Optional[str] = ..., start_delay_ms: _Optional[float] = ..., run_timeout_ms: _Optional[float] = ..., execution_timeout_ms: _Optional[float] = ..., signal: _Optional[_Union[StartSignal, _Mapping]] = ..., attributes: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ...) -> None: ...

class StartSignal(_message.Message):
    __slots__ = ("name", "payload", "signal_id")
    NAME_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    SIGNAL_ID_FIELD_NUMBER: _ClassVar[int]
    name: str
    payload: _struct_pb2.Value
    signal_id: str
    def __init__(self, name: _Optional[str] = ..., payload: _Optional[_Union[_struct_pb2.Value, _Mapping]] = ..., signal_id: _Optional[str] = ...) -> None: ...

class StartResponse(_message.Message):
    __slots__ = ("workflow_id", "run_id", "is_new")
    WORKFLOW_ID_FIELD_NUMBER: _ClassVar[int]
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    IS_NEW_FIELD_NUMBER: _ClassVar[int]
    workflow_id: str
    run_id: str
    is_new: bool
    def __init__(self, workflow_id: _Optional[str] = ..., run_id: _Optional[str] = ..., is_new: bool = ...) -> None: ...

class ListRequest(_message.Message):
    __slots__ = ("namespace", "workflow_id", "workflow_type", "status", "is_blocked", "started_after", "started_before", "closed_after", "closed_before", "parent_workflow_id", "limit", "cursor", "is_parked", "where", "with_attributes")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    WORKFLOW_ID_FIELD_NUMBER: _ClassVar[int]
    WORKFLOW_TYPE_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    IS_BLOCKED_FIELD_NUMBER: _ClassVar[int]
    STARTED_AFTER_FIELD_NUMBER: _ClassVar[int]
    STARTED_BEFORE_FIELD_NUMBER: _ClassVar[int]
    CLOSED_AFTER_FIELD_NUMBER: _ClassVar[int]
    CLOSED_BEFORE_FIELD_NUMBER: _ClassVar[int]
    PARENT_WORKFLOW_ID_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    IS_PARKED_FIELD_NUMBER: _ClassVar[int]
    WHERE_FIELD_NUMBER: _ClassVar[int]
    WITH_ATTRIBUTES_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    workflow_id: str
    workflow_type: str
    status: str
    is_blocked: bool
    started_after: float
    started_before: float
    closed_after: float
    closed_before: float
    parent_workflow_id: str
    limit: int
    cursor: str
    is_parked: bool
    where: _containers.RepeatedScalarFieldContainer[str]
    with_attributes: bool
    def __init__(self, namespace: _Optional[str] = ..., workflow_id: _Optional[str] = ..., workflow_type: _Optional[str] = ..., status: _Optional[str] = ..., is_blocked: bool = ..., started_after: _Optional[float] = ..., started_before: _Optional[float] = ..., closed_after: _Optional[float] = ..., closed_before: _Optional[float] = ..., parent_workflow_id: _Optional[str] = ..., limit: _Optional[int] = ..., cursor: _Optional[str] = ..., is_parked: bool = ..., where: _Optional[_Iterable[str]] = ..., with_attributes: bool = ...) -> None: ...

class ListResponse(_message.Message):
    __slots__ = ("runs", "next_cursor")
    RUNS_FIELD_NUMBER: _ClassVar[int]
    NEXT_CURSOR_FIELD_NUMBER: _ClassVar[int]
    runs: _containers.RepeatedCompositeFieldContainer[RunSummary]
    next_cursor: str
    def __init__(self, runs: _Optional[_Iterable[_Union[RunSummary, _Mapping]]] = ..., next_cursor: _Optional[str] = ...) -> None: ...

class CountRequest(_message.Message):
    __slots__ = ("namespace", "workflow_id", "workflow_type", "status", "is_blocked", "started_after", "started_before", "closed_after", "closed_before", "parent_workflow_id", "is_parked", "where")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    WORKFLOW_ID_FIELD_NUMBER: _ClassVar[int]
    WORKFLOW_TYPE_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    IS_BLOCKED_FIELD_NUMBER: _ClassVar[int]
    STARTED_AFTER_FIELD_NUMBER: _ClassVar[int]
    STARTED_BEFORE_FIELD_NUMBER: _ClassVar[int]
    CLOSED_AFTER_FIELD_NUMBER: _ClassVar[int]
    CLOSED_BEFORE_FIELD_NUMBER: _ClassVar[int]
    PARENT_WORKFLOW_ID_FIELD_NUMBER: _ClassVar[int]
    IS_PARKED_FIELD_NUMBER: _ClassVar[int]
    WHERE_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    workflow_id: str
    workflow_type: str
    status: str
    is_blocked: bool
    started_after: float
    started_before: float
    closed_after: float
    closed_before: float
    parent_workflow_id: str
    is_parked: bool
    where: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, namespace: _Optional[str] = ..., workflow_id: _Optional[str] = ..., workflow_type: _Optional[str] = ..., status: _Optional[str] = ..., is_blocked: bool = ..., started_after: _Optional[float] = ..., started_before: _Optional[float] = ..., closed_after: _Optional[float] = ..., closed_before: _Optional[float] = ..., parent_workflow_id: _Optional[str] = ..., is_parked: bool = ..., where: _Optional[_Iterable[str]] = ...) -> None: ...

class CountResponse(_message.Message):
    __slots__ = ("count",)
    COUNT_FIELD_NUMBER: _ClassVar[int]
    count: float
    def __init__(self, count: _Optional[float] = ...) -> None: ...

class RunSummary(_message.Message):
    __slots__ = ("workflow_id", "run_id", "workflow_type", "version", "status", "started_at", "closed_at", "history_length", "blocked", "parent_workflow_id", "parked", "attributes")
    WORKFLOW_ID_FIELD_NUMBER: _ClassVar[int]
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    WORKFLOW_TYPE_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    STARTED_AT_FIELD_NUMBER: _ClassVar[int]
    CLOSED_AT_FIELD_NUMBER: _ClassVar[int]
    HISTORY_LENGTH_FIELD_NUMBER: _ClassVar[int]
    BLOCKED_FIELD_NUMBER: _ClassVar[int]
    PARENT_WORKFLOW_ID_FIELD_NUMBER: _ClassVar[int]
    PARKED_FIELD_NUMBER: _ClassVar[int]
    ATTRIBUTES_FIELD_NUMBER: _ClassVar[int]
    workflow_id: str
    run_id: str
    workflow_type: str
    version: str
    status: str
    started_at: float
    closed_at: float
    history_length: int
    blocked: str
    parent_workflow_id: str
    parked: Parked
    attributes: _struct_pb2.Struct
    def __init__(self, workflow_id: _Optional[str] = ..., run_id: _Optional[str] = ..., workflow_type: _Optional[str] = ..., version: _Optional[str] = ..., status: _Optional[str] = ..., started_at: _Optional[float] = ..., closed_at: _Optional[float] = ..., history_length: _Optional[int] = ..., blocked: _Optional[str] = ..., parent_workflow_id: _Optional[str] = ..., parked: _Optional[_Union[Parked, _Mapping]] = ..., attributes: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ...) -> None: ...

class Parked(_message.Message):
    __slots__ = ("count", "activities")
    COUNT_FIELD_NUMBER: _ClassVar[int]
    ACTIVITIES_FIELD_NUMBER: _ClassVar[int]
    count: int
    activities: _containers.RepeatedCompositeFieldContainer[ParkedActivity]
    def __init__(self, count: _Optional[int] = ..., activities: _Optional[_Iterable[_Union[ParkedActivity, _Mapping]]] = ...) -> None: ...

class ParkedActivity(_message.Message):
    __slots__ = ("ordinal", "activity_type", "task_queue", "attempt", "parked_at", "message")
    ORDINAL_FIELD_NUMBER: _ClassVar[int]
    ACTIVITY_TYPE_FIELD_NUMBER: _ClassVar[int]
    TASK_QUEUE_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    PARKED_AT_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    ordinal: int
    activity_type: str
    task_queue: str
    attempt: int
    parked_at: float
    message: str
    def __init__(self, ordinal: _Optional[int] = ..., activity_type: _Optional[str] = ..., task_queue: _Optional[str] = ..., attempt: _Optional[int] = ..., parked_at: _Optional[float] = ..., message: _Optional[str] = ...) -> None: ...

class DescribeRequest(_message.Message):
    __slots__ = ("namespace", "workflow_id", "run_id")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    WORKFLOW_ID_FIELD_NUMBER: _ClassVar[int]
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    workflow_id: str
    run_id: str
    def __init__(self, namespace: _Optional[str] = ..., workflow_id: _Optional[str] = ..., run_id: _Optional[str] = ...) -> None: ...

class RunDescription(_message.Message):
    __slots__ = ("workflow_id", "run_id", "workflow_type", "version", "status", "started_at", "closed_at", "history_length", "blocked", "parent_workflow_id", "input", "result", "failure", "pending_activities", "pending_timers", "pending_children", "is_cancel_requested", "pid", "runs", "history_size", "pending_updates", "paused", "parked", "attributes", "reset_of", "reset_to", "reopened")
    WORKFLOW_ID_FIELD_NUMBER: _ClassVar[int]
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    WORKFLOW_TYPE_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    STARTED_AT_FIELD_NUMBER: _ClassVar[int]
    CLOSED_AT_FIELD_NUMBER: _ClassVar[int]
    HISTORY_LENGTH_FIELD_NUMBER: _ClassVar[int]
    BLOCKED_FIELD_NUMBER: _ClassVar[int]
    PARENT_WORKFLOW_ID_FIELD_NUMBER: _ClassVar[int]
    INPUT_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    PENDING_ACTIVITIES_FIELD_NUMBER: _ClassVar[int]
    PENDING_TIMERS_FIELD_NUMBER: _ClassVar[int]
    PENDING_CHILDREN_FIELD_NUMBER: _ClassVar[int]
    IS_CANCEL_REQUESTED_FIELD_NUMBER: _ClassVar[int]
    PID_FIELD_NUMBER: _ClassVar[int]
    RUNS_FIELD_NUMBER: _ClassVar[int]
    HISTORY_SIZE_FIELD_NUMBER: _ClassVar[int]
    PENDING_UPDATES_FIELD_NUMBER: _ClassVar[int]
    PAUSED_FIELD_NUMBER: _ClassVar[int]
    PARKED_FIELD_NUMBER: _ClassVar[int]
    ATTRIBUTES_FIELD_NUMBER: _ClassVar[int]
    RESET_OF_FIELD_NUMBER: _ClassVar[int]
    RESET_TO_FIELD_NUMBER: _ClassVar[int]
    REOPENED_FIELD_NUMBER: _ClassVar[int]
    workflow_id: str
    run_id: str
    workflow_type: str
    version: str
    status: str
    started_at: float
    closed_at: float
    history_length: int
    blocked: str
    parent_workflow_id: str
    input: _struct_pb2.Value
    result: _struct_pb2.Value
    failure: Failure
    pending_activities: _containers.RepeatedCompositeFieldContainer[PendingActivity]
    pending_timers: _containers.RepeatedCompositeFieldContainer[PendingTimer]
    pending_children: _containers.RepeatedCompositeFieldContainer[PendingChild]
    is_cancel_requested: bool
    pid: str
    runs: _containers.RepeatedCompositeFieldContainer[RunSummary]
    history_size: HistorySize
    pending_updates: _containers.RepeatedCompositeFieldContainer[PendingUpdate]
    paused: Pause
    parked: Parked
    attributes: _struct_pb2.Struct
    reset_of: ResetOf
    reset_to: str
    reopened: Reopening
    def __init__(self, workflow_id: _Optional[str] = ..., run_id: _Optional[str] = ..., workflow_type: _Optional[str] = ..., version: _Optional[str] = ..., status: _Optional[str] = ..., started_at: _Optional[float] = ..., closed_at: _Optional[float] = ..., history_length: _Optional[int] = ..., blocked: _Optional[str] = ..., parent_workflow_id: _Optional[str] = ..., input: _Optional[_Union[_struct_pb2.Value, _Mapping]] = ..., result: _Optional[_Union[_struct_pb2.Value, _Mapping]] = ..., failure: _Optional[_Union[Failure, _Mapping]] = ..., pending_activities: _Optional[_Iterable[_Union[PendingActivity, _Mapping]]] = ..., pending_timers: _Optional[_Iterable[_Union[PendingTimer, _Mapping]]] = ..., pending_children: _Optional[_Iterable[_Union[PendingChild, _Mapping]]] = ..., is_cancel_requested: bool = ..., pid: _Optional[str] = ..., runs: _Optional[_Iterable[_Union[RunSummary, _Mapping]]] = ..., history_size: _Optional[_Union[HistorySize, _Mapping]] = ..., pending_updates: _Optional[_Iterable[_Union[PendingUpdate, _Mapping]]] = ..., paused: _Optional[_Union[Pause, _Mapping]] = ..., parked: _Optional[_Union[Parked, _Mapping]] = ..., attributes: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., reset_of: _Optional[_Union[ResetOf, _Mapping]] = ..., reset_to: _Optional[str] = ..., reopened: _Optional[_Union[Reopening, _Mapping]] = ...) -> None: ...

class ResetOf(_message.Message):
    __slots__ = ("workflow_id", "run_id", "to_seq", "at", "reason", "request_id")
    WORKFLOW_ID_FIELD_NUMBER: _ClassVar[int]
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    TO_SEQ_FIELD_NUMBER: _ClassVar[int]
    AT_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    workflow_id: str
    run_id: str
    to_seq: int
    at: float
    reason: str
    request_id: str
    def __init__(self, workflow_id: _Optional[str] = ..., run_id: _Optional[str] = ..., to_seq: _Optional[int] = ..., at: _Optional[float] = ..., reason: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class Reopening(_message.Message):
    __slots__ = ("count", "at", "reason", "request_id")
    COUNT_FIELD_NUMBER: _ClassVar[int]
    AT_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    count: int
    at: float
    reason: str
    request_id: str
    def __init__(self, count: _Optional[int] = ..., at: _Optional[float] = ..., reason: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class Pause(_message.Message):
    __slots__ = ("since", "reason")
    SINCE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    since: float
    reason: str
    def __init__(self, since: _Optional[float] = ..., reason: _Optional[str] = ...) -> None: ...

class HistorySize(_message.Message):
    __slots__ = ("events", "bytes", "events_max", "bytes_max", "is_long", "waiting_signals")
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    BYTES_FIELD_NUMBER: _ClassVar[int]
    EVENTS_MAX_FIELD_NUMBER: _ClassVar[int]
    BYTES_MAX_FIELD_NUMBER: _ClassVar[int]
    IS_LONG_FIELD_NUMBER: _ClassVar[int]
    WAITING_SIGNALS_FIELD_NUMBER: _ClassVar[int]
    events: int
    bytes: float
    events_max: int
    bytes_max: float
    is_long: bool
    waiting_signals: int
    def __init__(self, events: _Optional[int] = ..., bytes: _Optional[float] = ..., events_max: _Optional[int] = ..., bytes_max: _Optional[float] = ..., is_long: bool = ..., waiting_signals: _Optional[int] = ...) -> None: ...

class PendingActivity(_message.Message):
    __slots__ = ("ordinal", "activity_type", "attempt", "failed_count", "state", "retry_at", "last_failure", "task_queue", "worker", "progress", "parked_at")
    ORDINAL_FIELD_NUMBER: _ClassVar[int]
    ACTIVITY_TYPE_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    FAILED_COUNT_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    RETRY_AT_FIELD_NUMBER: _ClassVar[int]
    LAST_FAILURE_FIELD_NUMBER: _ClassVar[int]
    TASK_QUEUE_FIELD_NUMBER: _ClassVar[int]
    WORKER_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    PARKED_AT_FIELD_NUMBER: _ClassVar[int]
    ordinal: int
    activity_type: str
    attempt: int
    failed_count: int
    state: str
    retry_at: float
    last_failure: str
    task_queue: str
    worker: str
    progress: _struct_pb2.Value
    parked_at: float
    def __init__(self, ordinal: _Optional[int] = ..., activity_type: _Optional[str] = ..., attempt: _Optional[int] = ..., failed_count: _Optional[int] = ..., state: _Optional[str] = ..., retry_at: _Optional[float] = ..., last_failure: _Optional[str] = ..., task_queue: _Optional[str] = ..., worker: _Optional[str] = ..., progress: _Optional[_Union[_struct_pb2.Value, _Mapping]] = ..., parked_at: _Optional[float] = ...) -> None: ...

class PendingTimer(_message.Message):
    __slots__ = ("ordinal", "fire_at")
    ORDINAL_FIELD_NUMBER: _ClassVar[int]
    FIRE_AT_FIELD_NUMBER: _ClassVar[int]
    ordinal: int
    fire_at: float
    def __init__(self, ordinal: _Optional[int] = ..., fire_at: _Optional[float] = ...) -> None: ...

class PendingChild(_message.Message):
    __slots__ = ("workflow_id", "workflow_type")
    WORKFLOW_ID_FIELD_NUMBER: _ClassVar[int]
    WORKFLOW_TYPE_FIELD_NUMBER: _ClassVar[int]
    workflow_id: str
    workflow_type: str
    def __init__(self, workflow_id: _Optional[str] = ..., workflow_type: _Optional[str] = ...) -> None: ...

class PendingUpdate(_message.Message):
    __slots__ = ("update_id", "name", "accepted_at")
    UPDATE_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    ACCEPTED_AT_FIELD_NUMBER: _ClassVar[int]
    update_id: str
    name: str
    accepted_at: float
    def __init__(self, update_id: _Optional[str] = ..., name: _Optional[str] = ..., accepted_at: _Optional[float] = ...) -> None: ...

class ResultRequest(_message.Message):
    __slots__ = ("namespace", "workflow_id", "run_id", "wait_ms")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    WORKFLOW_ID_FIELD_NUMBER: _ClassVar[int]
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    WAIT_MS_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    workflow_id: str
    run_id: str
    wait_ms: int
    def __init__(self, namespace: _Optional[str] = ..., workflow_id: _Optional[str] = ..., run_id: _Optional[str] = ..., wait_ms: _Optional[int] = ...) -> None: ...

class ResultResponse(_message.Message):
    __slots__ = ("status", "run_id", "result", "failure", "blocked")
    STATUS_FIELD_NUMBER: _ClassVar[int]
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    BLOCKED_FIELD_NUMBER: _ClassVar[int]
    status: str
    run_id: str
    result: _struct_pb2.Value
    failure: Failure
    blocked: str
    def __init__(self, status: _Optional[str] = ..., run_id: _Optional[str] = ..., result: _Optional[_Union[_struct_pb2.Value, _Mapping]] = ..., failure: _Optional[_Union[Failure, _Mapping]] = ..., blocked: _Optional[str] = ...) -> None: ...

class HistoryRequest(_message.Message):
    __slots__ = ("namespace", "workflow_id", "run_id", "from_seq", "limit", "wait_ms")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    WORKFLOW_ID_FIELD_NUMBER: _ClassVar[int]
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    FROM_SEQ_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    WAIT_MS_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    workflow_id: str
    run_id: str
    from_seq: int
    limit: int
    wait_ms: int
    def __init__(self, namespace: _Optional[str] = ..., workflow_id: _Optional[str] = ..., run_id: _Optional[str] = ..., from_seq: _Optional[int] = ..., limit: _Optional[int] = ..., wait_ms: _Optional[int] = ...) -> None: ...

class HistoryResponse(_message.Message):
    __slots__ = ("events", "next_seq", "is_end")
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_SEQ_FIELD_NUMBER: _ClassVar[int]
    IS_END_FIELD_NUMBER: _ClassVar[int]
    events: _containers.RepeatedCompositeFieldContainer[_struct_pb2.Struct]
    next_seq: int
    is_end: bool
    def __init__(self, events: _Optional[_Iterable[_Union[_struct_pb2.Struct, _Mapping]]] = ..., next_seq: _Optional[int] = ..., is_end: bool = ...) -> None: ...

class LogsRequest(_message.Message):
    __slots__ = ("namespace", "workflow_id", "run_id", "after", "limit", "wait_ms")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    WORKFLOW_ID_FIELD_NUMBER: _ClassVar[int]
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    WAIT_MS_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    workflow_id: str
    run_id: str
    after: str
    limit: int
    wait_ms: int
    def __init__(self, namespace: _Optional[str] = ..., workflow_id: _Optional[str] = ..., run_id: _Optional[str] = ..., after: _Optional[str] = ..., limit: _Optional[int] = ..., wait_ms: _Optional[int] = ...) -> None: ...

class LogsResponse(_message.Message):
    __slots__ = ("lines", "next_cursor", "is_end", "dropped_count")
    LINES_FIELD_NUMBER: _ClassVar[int]
    NEXT_CURSOR_FIELD_NUMBER: _ClassVar[int]
    IS_END_FIELD_NUMBER: _ClassVar[int]
    DROPPED_COUNT_FIELD_NUMBER: _ClassVar[int]
    lines: _containers.RepeatedCompositeFieldContainer[LogsLine]
    next_cursor: str
    is_end: bool
    dropped_count: int
    def __init__(self, lines: _Optional[_Iterable[_Union[LogsLine, _Mapping]]] = ..., next_cursor: _Optional[str] = ..., is_end: bool = ..., dropped_count: _Optional[int] = ...) -> None: ...

class LogsLine(_message.Message):
    __slots__ = ("run_id", "seq", "recorded_at", "level", "message", "fields")
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    SEQ_FIELD_NUMBER: _ClassVar[int]
    RECORDED_AT_FIELD_NUMBER: _ClassVar[int]
    LEVEL_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    FIELDS_FIELD_NUMBER: _ClassVar[int]
    run_id: str
    seq: int
    recorded_at: float
    level: str
    message: str
    fields: _struct_pb2.Struct
    def __init__(self, run_id: _Optional[str] = ..., seq: _Optional[int] = ..., recorded_at: _Optional[float] = ..., level: _Optional[str] = ..., message: _Optional[str] = ..., fields: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ...) -> None: ...

class FollowRequest(_message.Message):
    __slots__ = ("namespace", "workflow_id", "run_id", "from_seq")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    WORKFLOW_ID_FIELD_NUMBER: _ClassVar[int]
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    FROM_SEQ_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    workflow_id: str
    run_id: str
    from_seq: int
    def __init__(self, namespace: _Optional[str] = ..., workflow_id: _Optional[str] = ..., run_id: _Optional[str] = ..., from_seq: _Optional[int] = ...) -> None: ...

class FollowResponse(_message.Message):
    __slots__ = ("seq", "event")
    SEQ_FIELD_NUMBER: _ClassVar[int]
    EVENT_FIELD_NUMBER: _ClassVar[int]
    seq: int
    event: _struct_pb2.Struct
    def __init__(self, seq: _Optional[int] = ..., event: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ...) -> None: ...

class FeedRequest(_message.Message):
    __slots__ = ("namespace", "after", "limit", "wait_ms", "workflow_id", "workflow_type", "types", "where")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    WAIT_MS_FIELD_NUMBER: _ClassVar[int]
    WORKFLOW_ID_FIELD_NUMBER: _ClassVar[int]
    WORKFLOW_TYPE_FIELD_NUMBER: _ClassVar[int]
    TYPES_FIELD_NUMBER: _ClassVar[int]
    WHERE_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    after: str
    limit: int
    wait_ms: int
    workflow_id: str
    workflow_type: str
    types: str
    where: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, namespace: _Optional[str] = ..., after: _Optional[str] = ..., limit: _Optional[int] = ..., wait_ms: _Optional[int] = ..., workflow_id: _Optional[str] = ..., workflow_type: _Optional[str] = ..., types: _Optional[str] = ..., where: _Optional[_Iterable[str]] = ...) -> None: ...

class FeedResponse(_message.Message):
    __slots__ = ("events", "next_cursor", "is_at_head")
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_CURSOR_FIELD_NUMBER: _ClassVar[int]
    IS_AT_HEAD_FIELD_NUMBER: _ClassVar[int]
    events: _containers.RepeatedCompositeFieldContainer[FeedEvent]
    next_cursor: str
    is_at_head: bool
    def __init__(self, events: _Optional[_Iterable[_Union[FeedEvent, _Mapping]]] = ..., next_cursor: _Optional[str] = ..., is_at_head: bool = ...) -> None: ...

class FeedEvent(_message.Message):
    __slots__ = ("cursor", "workflow_id", "run_id", "workflow_type", "event", "unreadable")
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    WORKFLOW_ID_FIELD_NUMBER: _ClassVar[int]
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    WORKFLOW_TYPE_FIELD_NUMBER: _ClassVar[int]
    EVENT_FIELD_NUMBER: _ClassVar[int]
    UNREADABLE_FIELD_NUMBER: _ClassVar[int]
    cursor: str
    workflow_id: str
    run_id: str
    workflow_type: str
    event: _struct_pb2.Struct
    unreadable: UnreadableEvents
    def __init__(self, cursor: _Optional[str] = ..., workflow_id: _Optional[str] = ..., run_id: _Optional[str] = ..., workflow_type: _Optional[str] = ..., event: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., unreadable: _Optional[_Union[UnreadableEvents, _Mapping]] = ...) -> None: ...

class UnreadableEvents(_message.Message):
    __slots__ = ("first_seq", "last_seq", "code", "message")
    FIRST_SEQ_FIELD_NUMBER: _ClassVar[int]
    LAST_SEQ_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    first_seq: int
    last_seq: int
    code: str
    message: str
    def __init__(self, first_seq: _Optional[int] = ..., last_seq: _Optional[int] = ..., code: _Optional[str] = ..., message: _Optional[str] = ...) -> None: ...

class WatchRequest(_message.Message):
    __slots__ = ("namespace", "after", "workflow_id", "workflow_type", "types", "where")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    WORKFLOW_ID_FIELD_NUMBER: _ClassVar[int]
    WORKFLOW_TYPE_FIELD_NUMBER: _ClassVar[int]
    TYPES_FIELD_NUMBER: _ClassVar[int]
    WHERE_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    after: str
    workflow_id: str
    workflow_type: str
    types: str
    where: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, namespace: _Optional[str] = ..., after: _Optional[str] = ..., workflow_id: _Optional[str] = ..., workflow_type: _Optional[str] = ..., types: _Optional[str] = ..., where: _Optional[_Iterable[str]] = ...) -> None: ...

class SignalRequest(_message.Message):
    __slots__ = ("namespace", "workflow_id", "run_id", "name", "payload", "signal_id")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    WORKFLOW_ID_FIELD_NUMBER: _ClassVar[int]
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    SIGNAL_ID_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    workflow_id: str
    run_id: str
    name: str
    payload: _struct_pb2.Value
    signal_id: str
    def __init__(self, namespace: _Optional[str] = ..., workflow_id: _Optional[str] = ..., run_id: _Optional[str] = ..., name: _Optional[str] = ..., payload: _Optional[_Union[_struct_pb2.Value, _Mapping]] = ..., signal_id: _Optional[str] = ...) -> None: ...

class SignalResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class QueryRequest(_message.Message):
    __slots__ = ("namespace", "workflow_id", "run_id", "name", "input")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    WORKFLOW_ID_FIELD_NUMBER: _ClassVar[int]
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    INPUT_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    workflow_id: str
    run_id: str
    name: str
    input: _struct_pb2.Value
    def __init__(self, namespace: _Optional[str] = ..., workflow_id: _Optional[str] = ..., run_id: _Optional[str] = ..., name: _Optional[str] = ..., input: _Optional[_Union[_struct_pb2.Value, _Mapping]] = ...) -> None: ...

class QueryResponse(_message.Message):
    __slots__ = ("result",)
    RESULT_FIELD_NUMBER: _ClassVar[int]
    result: _struct_pb2.Value
    def __init__(self, result: _Optional[_Union[_struct_pb2.Value, _Mapping]] = ...) -> None: ...

class UpdateRequest(_message.Message):
    __slots__ = ("namespace", "workflow_id", "run_id", "name", "input", "update_id", "wait_ms", "wait_for")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    WORKFLOW_ID_FIELD_NUMBER: _ClassVar[int]
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    INPUT_FIELD_NUMBER: _ClassVar[int]
    UPDATE_ID_FIELD_NUMBER: _ClassVar[int]
    WAIT_MS_FIELD_NUMBER: _ClassVar[int]
    WAIT_FOR_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    workflow_id: str
    run_id: str
    name: str
    input: _struct_pb2.Value
    update_id: str
    wait_ms: int
    wait_for: str
    def __init__(self, namespace: _Optional[str] = ..., workflow_id: _Optional[str] = ..., run_id: _Optional[str] = ..., name: _Optional[str] = ..., input: _Optional[_Union[_struct_pb2.Value, _Mapping]] = ..., update_id: _Optional[str] = ..., wait_ms: _Optional[int] = ..., wait_for: _Optional[str] = ...) -> None: ...

class UpdateResultRequest(_message.Message):
    __slots__ = ("namespace", "workflow_id", "run_id", "update_id", "wait_ms")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    WORKFLOW_ID_FIELD_NUMBER: _ClassVar[int]
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    UPDATE_ID_FIELD_NUMBER: _ClassVar[int]
    WAIT_MS_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    workflow_id: str
    run_id: str
    update_id: str
    wait_ms: int
    def __init__(self, namespace: _Optional[str] = ..., workflow_id: _Optional[str] = ..., run_id: _Optional[str] = ..., update_id: _Optional[str] = ..., wait_ms: _Optional[int] = ...) -> None: ...

class UpdateResponse(_message.Message):
    __slots__ = ("status", "run_id", "update_id", "result", "failure", "blocked")
    STATUS_FIELD_NUMBER: _ClassVar[int]
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    UPDATE_ID_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    BLOCKED_FIELD_NUMBER: _ClassVar[int]
    status: str
    run_id: str
    update_id: str
    result: _struct_pb2.Value
    failure: Failure
    blocked: str
    def __init__(self, status: _Optional[str] = ..., run_id: _Optional[str] = ..., update_id: _Optional[str] = ..., result: _Optional[_Union[_struct_pb2.Value, _Mapping]] = ..., failure: _Optional[_Union[Failure, _Mapping]] = ..., blocked: _Optional[str] = ...) -> None: ...

class UpdateResultResponse(_message.Message):
    __slots__ = ("status", "run_id", "update_id", "result", "failure", "blocked")
    STATUS_FIELD_NUMBER: _ClassVar[int]
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    UPDATE_ID_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    BLOCKED_FIELD_NUMBER: _ClassVar[int]
    status: str
    run_id: str
    update_id: str
    result: _struct_pb2.Value
    failure: Failure
    blocked: str
    def __init__(self, status: _Optional[str] = ..., run_id: _Optional[str] = ..., update_id: _Optional[str] = ..., result: _Optional[_Union[_struct_pb2.Value, _Mapping]] = ..., failure: _Optional[_Union[Failure, _Mapping]] = ..., blocked: _Optional[str] = ...) -> None: ...

class CancelRequest(_message.Message):
    __slots__ = ("namespace", "workflow_id", "run_id", "reason", "request_id")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    WORKFLOW_ID_FIELD_NUMBER: _ClassVar[int]
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    workflow_id: str
    run_id: str
    reason: str
    request_id: str
    def __init__(self, namespace: _Optional[str] = ..., workflow_id: _Optional[str] = ..., run_id: _Optional[str] = ..., reason: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class CancelResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class TerminateRequest(_message.Message):
    __slots__ = ("namespace", "workflow_id", "run_id", "reason", "request_id")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    WORKFLOW_ID_FIELD_NUMBER: _ClassVar[int]
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    workflow_id: str
    run_id: str
    reason: str
    request_id: str
    def __init__(self, namespace: _Optional[str] = ..., workflow_id: _Optional[str] = ..., run_id: _Optional[str] = ..., reason: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class TerminateResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class PauseRequest(_message.Message):
    __slots__ = ("namespace", "workflow_id", "run_id", "reason", "request_id")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    WORKFLOW_ID_FIELD_NUMBER: _ClassVar[int]
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    workflow_id: str
    run_id: str
    reason: str
    request_id: str
    def __init__(self, namespace: _Optional[str] = ..., workflow_id: _Optional[str] = ..., run_id: _Optional[str] = ..., reason: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class PauseResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ResumeRequest(_message.Message):
    __slots__ = ("namespace", "workflow_id", "run_id", "reason", "request_id")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    WORKFLOW_ID_FIELD_NUMBER: _ClassVar[int]
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    workflow_id: str
    run_id: str
    reason: str
    request_id: str
    def __init__(self, namespace: _Optional[str] = ..., workflow_id: _Optional[str] = ..., run_id: _Optional[str] = ..., reason: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class ResumeResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ReopenRequest(_message.Message):
    __slots__ = ("namespace", "workflow_id", "run_id", "reason", "request_id")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    WORKFLOW_ID_FIELD_NUMBER: _ClassVar[int]
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    workflow_id: str
    run_id: str
    reason: str
    request_id: str
    def __init__(self, namespace: _Optional[str] = ..., workflow_id: _Optional[str] = ..., run_id: _Optional[str] = ..., reason: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class ReopenResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ResetRequest(_message.Message):
    __slots__ = ("namespace", "workflow_id", "run_id", "to_seq", "reason", "request_id", "signals", "version")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    WORKFLOW_ID_FIELD_NUMBER: _ClassVar[int]
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    TO_SEQ_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    SIGNALS_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    workflow_id: str
    run_id: str
    to_seq: int
    reason: str
    request_id: str
    signals: str
    version: str
    def __init__(self, namespace: _Optional[str] = ..., workflow_id: _Optional[str] = ..., run_id: _Optional[str] = ..., to_seq: _Optional[int] = ..., reason: _Optional[str] = ..., request_id: _Optional[str] = ..., signals: _Optional[str] = ..., version: _Optional[str] = ...) -> None: ...

class ResetResponse(_message.Message):
    __slots__ = ("workflow_id", "run_id", "to_seq", "reset_from", "is_new")
    WORKFLOW_ID_FIELD_NUMBER: _ClassVar[int]
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    TO_SEQ_FIELD_NUMBER: _ClassVar[int]
    RESET_FROM_FIELD_NUMBER: _ClassVar[int]
    IS_NEW_FIELD_NUMBER: _ClassVar[int]
    workflow_id: str
    run_id: str
    to_seq: int
    reset_from: str
    is_new: bool
    def __init__(self, workflow_id: _Optional[str] = ..., run_id: _Optional[str] = ..., to_seq: _Optional[int] = ..., reset_from: _Optional[str] = ..., is_new: bool = ...) -> None: ...

class ForkRequest(_message.Message):
    __slots__ = ("namespace", "workflow_id", "run_id", "to_seq", "reason", "request_id", "signals", "version", "new_workflow_id")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    WORKFLOW_ID_FIELD_NUMBER: _ClassVar[int]
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    TO_SEQ_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    SIGNALS_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    NEW_WORKFLOW_ID_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    workflow_id: str
    run_id: str
    to_seq: int
    reason: str
    request_id: str
    signals: str
    version: str
    new_workflow_id: str
    def __init__(self, namespace: _Optional[str] = ..., workflow_id: _Optional[str] = ..., run_id: _Optional[str] = ..., to_seq: _Optional[int] = ..., reason: _Optional[str] = ..., request_id: _Optional[str] = ..., signals: _Optional[str] = ..., version: _Optional[str] = ..., new_workflow_id: _Optional[str] = ...) -> None: ...

class ForkResponse(_message.Message):
    __slots__ = ("workflow_id", "run_id", "to_seq", "reset_from", "is_new")
    WORKFLOW_ID_FIELD_NUMBER: _ClassVar[int]
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    TO_SEQ_FIELD_NUMBER: _ClassVar[int]
    RESET_FROM_FIELD_NUMBER: _ClassVar[int]
    IS_NEW_FIELD_NUMBER: _ClassVar[int]
    workflow_id: str
    run_id: str
    to_seq: int
    reset_from: str
    is_new: bool
    def __init__(self, workflow_id: _Optional[str] = ..., run_id: _Optional[str] = ..., to_seq: _Optional[int] = ..., reset_from: _Optional[str] = ..., is_new: bool = ...) -> None: ...

class ResumeActivityRequest(_message.Message):
    __slots__ = ("namespace", "workflow_id", "run_id", "ordinal", "activity_type", "outcome", "result", "failure", "reason", "request_id")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    WORKFLOW_ID_FIELD_NUMBER: _ClassVar[int]
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    ORDINAL_FIELD_NUMBER: _ClassVar[int]
    ACTIVITY_TYPE_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    workflow_id: str
    run_id: str
    ordinal: int
    activity_type: str
    outcome: str
    result: _struct_pb2.Value
    failure: OperatorFailure
    reason: str
    request_id: str
    def __init__(self, namespace: _Optional[str] = ..., workflow_id: _Optional[str] = ..., run_id: _Optional[str] = ..., ordinal: _Optional[int] = ..., activity_type: _Optional[str] = ..., outcome: _Optional[str] = ..., result: _Optional[_Union[_struct_pb2.Value, _Mapping]] = ..., failure: _Optional[_Union[OperatorFailure, _Mapping]] = ..., reason: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class OperatorFailure(_message.Message):
    __slots__ = ("message", "type", "details")
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    DETAILS_FIELD_NUMBER: _ClassVar[int]
    message: str
    type: str
    details: _struct_pb2.Value
    def __init__(self, message: _Optional[str] = ..., type: _Optional[str] = ..., details: _Optional[_Union[_struct_pb2.Value, _Mapping]] = ...) -> None: ...

class ResumeActivityResponse(_message.Message):
    __slots__ = ("run_id", "ordinals")
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    ORDINALS_FIELD_NUMBER: _ClassVar[int]
    run_id: str
    ordinals: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, run_id: _Optional[str] = ..., ordinals: _Optional[_Iterable[int]] = ...) -> None: ...

class ListWorkersRequest(_message.Message):
    __slots__ = ("namespace", "task_queue")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    TASK_QUEUE_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    task_queue: str
    def __init__(self, namespace: _Optional[str] = ..., task_queue: _Optional[str] = ...) -> None: ...

class ListWorkersResponse(_message.Message):
    __slots__ = ("workers", "task_queues")
    WORKERS_FIELD_NUMBER: _ClassVar[int]
    TASK_QUEUES_FIELD_NUMBER: _ClassVar[int]
    workers: _containers.RepeatedCompositeFieldContainer[WorkerInfo]
    task_queues: _containers.RepeatedCompositeFieldContainer[TaskQueueInfo]
    def __init__(self, workers: _Optional[_Iterable[_Union[WorkerInfo, _Mapping]]] = ..., task_queues: _Optional[_Iterable[_Union[TaskQueueInfo, _Mapping]]] = ...) -> None: ...

class WorkerInfo(_message.Message):
    __slots__ = ("identity", "build", "state", "task_queues", "activity_types", "capacity", "tasks_in_flight")
    IDENTITY_FIELD_NUMBER: _ClassVar[int]
    BUILD_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    TASK_QUEUES_FIELD_NUMBER: _ClassVar[int]
    ACTIVITY_TYPES_FIELD_NUMBER: _ClassVar[int]
    CAPACITY_FIELD_NUMBER: _ClassVar[int]
    TASKS_IN_FLIGHT_FIELD_NUMBER: _ClassVar[int]
    identity: str
    build: str
    state: str
    task_queues: _containers.RepeatedScalarFieldContainer[str]
    activity_types: _containers.RepeatedScalarFieldContainer[str]
    capacity: float
    tasks_in_flight: float
    def __init__(self, identity: _Optional[str] = ..., build: _Optional[str] = ..., state: _Optional[str] = ..., task_queues: _Optional[_Iterable[str]] = ..., activity_types: _Optional[_Iterable[str]] = ..., capacity: _Optional[float] = ..., tasks_in_flight: _Optional[float] = ...) -> None: ...

class TaskQueueInfo(_message.Message):
    __slots__ = ("task_queue", "waiting_count", "waiting_since", "in_flight_count")
    TASK_QUEUE_FIELD_NUMBER: _ClassVar[int]
    WAITING_COUNT_FIELD_NUMBER: _ClassVar[int]
    WAITING_SINCE_FIELD_NUMBER: _ClassVar[int]
    IN_FLIGHT_COUNT_FIELD_NUMBER: _ClassVar[int]
    task_queue: str
    waiting_count: float
    waiting_since: float
    in_flight_count: float
    def __init__(self, task_queue: _Optional[str] = ..., waiting_count: _Optional[float] = ..., waiting_since: _Optional[float] = ..., in_flight_count: _Optional[float] = ...) -> None: ...

class DeployRequest(_message.Message):
    __slots__ = ("namespace", "archive", "is_routed", "request_id")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    ARCHIVE_FIELD_NUMBER: _ClassVar[int]
    IS_ROUTED_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    archive: bytes
    is_routed: bool
    request_id: str
    def __init__(self, namespace: _Optional[str] = ..., archive: _Optional[bytes] = ..., is_routed: bool = ..., request_id: _Optional[str] = ...) -> None: ...

class DeployResponse(_message.Message):
    __slots__ = ("version", "workflow_types", "is_new")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    WORKFLOW_TYPES_FIELD_NUMBER: _ClassVar[int]
    IS_NEW_FIELD_NUMBER: _ClassVar[int]
    version: str
    workflow_types: _containers.RepeatedScalarFieldContainer[str]
    is_new: bool
    def __init__(self, version: _Optional[str] = ..., workflow_types: _Optional[_Iterable[str]] = ..., is_new: bool = ...) -> None: ...

class ListPackagesRequest(_message.Message):
    __slots__ = ("namespace", "workflow_type")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    WORKFLOW_TYPE_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    workflow_type: str
    def __init__(self, namespace: _Optional[str] = ..., workflow_type: _Optional[str] = ...) -> None: ...

class ListPackagesResponse(_message.Message):
    __slots__ = ("packages", "routes")
    PACKAGES_FIELD_NUMBER: _ClassVar[int]
    ROUTES_FIELD_NUMBER: _ClassVar[int]
    packages: _containers.RepeatedCompositeFieldContainer[PackageSummary]
    routes: _containers.RepeatedCompositeFieldContainer[RouteEntry]
    def __init__(self, packages: _Optional[_Iterable[_Union[PackageSummary, _Mapping]]] = ..., routes: _Optional[_Iterable[_Union[RouteEntry, _Mapping]]] = ...) -> None: ...

class PackageSummary(_message.Message):
    __slots__ = ("version", "size_bytes", "deployed_at", "workflow_types", "routed_types")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    DEPLOYED_AT_FIELD_NUMBER: _ClassVar[int]
    WORKFLOW_TYPES_FIELD_NUMBER: _ClassVar[int]
    ROUTED_TYPES_FIELD_NUMBER: _ClassVar[int]
    version: str
    size_bytes: float
    deployed_at: float
    workflow_types: _containers.RepeatedScalarFieldContainer[str]
    routed_types: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, version: _Optional[str] = ..., size_bytes: _Optional[float] = ..., deployed_at: _Optional[float] = ..., workflow_types: _Optional[_Iterable[str]] = ..., routed_types: _Optional[_Iterable[str]] = ...) -> None: ...

class RouteEntry(_message.Message):
    __slots__ = ("workflow_type", "version", "routed_at")
    WORKFLOW_TYPE_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    ROUTED_AT_FIELD_NUMBER: _ClassVar[int]
    workflow_type: str
    version: str
    routed_at: float
    def __init__(self, workflow_type: _Optional[str] = ..., version: _Optional[str] = ..., routed_at: _Optional[float] = ...) -> None: ...

class RouteRequest(_message.Message):
    __slots__ = ("namespace", "workflow_types", "version", "request_id")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    WORKFLOW_TYPES_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    workflow_types: _containers.RepeatedScalarFieldContainer[str]
    version: str
    request_id: str
    def __init__(self, namespace: _Optional[str] = ..., workflow_types: _Optional[_Iterable[str]] = ..., version: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class RouteResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class UnloadRequest(_message.Message):
    __slots__ = ("namespace", "version", "request_id")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    version: str
    request_id: str
    def __init__(self, namespace: _Optional[str] = ..., version: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class UnloadResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...
