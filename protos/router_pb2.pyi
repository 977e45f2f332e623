from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class WatchRequest(_message.Message):
    __slots__ = ("worker_id",)
    WORKER_ID_FIELD_NUMBER: _ClassVar[int]
    worker_id: str
    def __init__(self, worker_id: _Optional[str] = ...) -> None: ...

class TableEvent(_message.Message):
    __slots__ = ("catalog_revision", "view_age_ms", "catalog_json", "verdicts", "explain")
    CATALOG_REVISION_FIELD_NUMBER: _ClassVar[int]
    VIEW_AGE_MS_FIELD_NUMBER: _ClassVar[int]
    CATALOG_JSON_FIELD_NUMBER: _ClassVar[int]
    VERDICTS_FIELD_NUMBER: _ClassVar[int]
    EXPLAIN_FIELD_NUMBER: _ClassVar[int]
    catalog_revision: int
    view_age_ms: int
    catalog_json: bytes
    verdicts: Verdicts
    explain: ExplainOrder
    def __init__(self, catalog_revision: _Optional[int] = ..., view_age_ms: _Optional[int] = ..., catalog_json: _Optional[bytes] = ..., verdicts: _Optional[_Union[Verdicts, _Mapping]] = ..., explain: _Optional[_Union[ExplainOrder, _Mapping]] = ...) -> None: ...

class Verdict(_message.Message):
    __slots__ = ("channel", "model", "is_open", "reason", "worker_id", "expires_in_ms")
    CHANNEL_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    IS_OPEN_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    WORKER_ID_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_IN_MS_FIELD_NUMBER: _ClassVar[int]
    channel: str
    model: str
    is_open: bool
    reason: str
    worker_id: str
    expires_in_ms: int
    def __init__(self, channel: _Optional[str] = ..., model: _Optional[str] = ..., is_open: _Optional[bool] = ..., reason: _Optional[str] = ..., worker_id: _Optional[str] = ..., expires_in_ms: _Optional[int] = ...) -> None: ...

class Verdicts(_message.Message):
    __slots__ = ("items",)
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    items: _containers.RepeatedCompositeFieldContainer[Verdict]
    def __init__(self, items: _Optional[_Iterable[_Union[Verdict, _Mapping]]] = ...) -> None: ...

class ReportVerdictsRequest(_message.Message):
    __slots__ = ("verdicts",)
    VERDICTS_FIELD_NUMBER: _ClassVar[int]
    verdicts: _containers.RepeatedCompositeFieldContainer[Verdict]
    def __init__(self, verdicts: _Optional[_Iterable[_Union[Verdict, _Mapping]]] = ...) -> None: ...

class ReportVerdictsResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ExplainOrder(_message.Message):
    __slots__ = ("order_id", "group", "model", "account_id", "text")
    ORDER_ID_FIELD_NUMBER: _ClassVar[int]
    GROUP_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    order_id: str
    group: str
    model: str
    account_id: str
    text: str
    def __init__(self, order_id: _Optional[str] = ..., group: _Optional[str] = ..., model: _Optional[str] = ..., account_id: _Optional[str] = ..., text: _Optional[str] = ...) -> None: ...

class ExplainedCandidate(_message.Message):
    __slots__ = ("channel", "model", "upstream_model", "priority", "weight", "in_flight", "is_chosen", "reason")
    CHANNEL_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    UPSTREAM_MODEL_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_FIELD_NUMBER: _ClassVar[int]
    IN_FLIGHT_FIELD_NUMBER: _ClassVar[int]
    IS_CHOSEN_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    channel: str
    model: str
    upstream_model: str
    priority: int
    weight: int
    in_flight: int
    is_chosen: bool
    reason: str
    def __init__(self, channel: _Optional[str] = ..., model: _Optional[str] = ..., upstream_model: _Optional[str] = ..., priority: _Optional[int] = ..., weight: _Optional[int] = ..., in_flight: _Optional[int] = ..., is_chosen: _Optional[bool] = ..., reason: _Optional[str] = ...) -> None: ...

class ExplainedRequest(_message.Message):
    __slots__ = ("order_id", "worker_id", "catalog_revision", "problem", "candidates")
    ORDER_ID_FIELD_NUMBER: _ClassVar[int]
    WORKER_ID_FIELD_NUMBER: _ClassVar[int]
    CATALOG_REVISION_FIELD_NUMBER: _ClassVar[int]
    PROBLEM_FIELD_NUMBER: _ClassVar[int]
    CANDIDATES_FIELD_NUMBER: _ClassVar[int]
    order_id: str
    worker_id: str
    catalog_revision: int
    problem: str
    candidates: _containers.RepeatedCompositeFieldContainer[ExplainedCandidate]
    def __init__(self, order_id: _Optional[str] = ..., worker_id: _Optional[str] = ..., catalog_revision: _Optional[int] = ..., problem: _Optional[str] = ..., candidates: _Optional[_Iterable[_Union[ExplainedCandidate, _Mapping]]] = ...) -> None: ...

class ExplainedResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class RouteRequest(_message.Message):
    __slots__ = ("group", "model")
    GROUP_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    group: str
    model: str
    def __init__(self, group: _Optional[str] = ..., model: _Optional[str] = ...) -> None: ...

class RouteResponse(_message.Message):
    __slots__ = ("catalog_revision", "view_age_ms", "resolution_json")
    CATALOG_REVISION_FIELD_NUMBER: _ClassVar[int]
    VIEW_AGE_MS_FIELD_NUMBER: _ClassVar[int]
    RESOLUTION_JSON_FIELD_NUMBER: _ClassVar[int]
    catalog_revision: int
    view_age_ms: int
    resolution_json: bytes
    def __init__(self, catalog_revision: _Optional[int] = ..., view_age_ms: _Optional[int] = ..., resolution_json: _Optional[bytes] = ...) -> None: ...

class ChannelReport(_message.Message):
    __slots__ = ("channel", "state", "reason")
    CHANNEL_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    channel: str
    state: str
    reason: str
    def __init__(self, channel: _Optional[str] = ..., state: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class ReportRequest(_message.Message):
    __slots__ = ("worker_id", "catalog_revision", "channels")
    WORKER_ID_FIELD_NUMBER: _ClassVar[int]
    CATALOG_REVISION_FIELD_NUMBER: _ClassVar[int]
    CHANNELS_FIELD_NUMBER: _ClassVar[int]
    worker_id: str
    catalog_revision: int
    channels: _containers.RepeatedCompositeFieldContainer[ChannelReport]
    def __init__(self, worker_id: _Optional[str] = ..., catalog_revision: _Optional[int] = ..., channels: _Optional[_Iterable[_Union[ChannelReport, _Mapping]]] = ...) -> None: ...

class ReportResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ApplyRequest(_message.Message):
    __slots__ = ("source", "source_name", "note", "dry_run", "expected_revision")
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    SOURCE_NAME_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_REVISION_FIELD_NUMBER: _ClassVar[int]
    source: str
    source_name: str
    note: str
    dry_run: bool
    expected_revision: int
    def __init__(self, source: _Optional[str] = ..., source_name: _Optional[str] = ..., note: _Optional[str] = ..., dry_run: _Optional[bool] = ..., expected_revision: _Optional[int] = ...) -> None: ...

class CatalogProblem(_message.Message):
    __slots__ = ("line", "field", "message")
    LINE_FIELD_NUMBER: _ClassVar[int]
    FIELD_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    line: int
    field: str
    message: str
    def __init__(self, line: _Optional[int] = ..., field: _Optional[str] = ..., message: _Optional[str] = ...) -> None: ...

class ApplyResponse(_message.Message):
    __slots__ = ("revision", "unchanged", "problems")
    REVISION_FIELD_NUMBER: _ClassVar[int]
    UNCHANGED_FIELD_NUMBER: _ClassVar[int]
    PROBLEMS_FIELD_NUMBER: _ClassVar[int]
    revision: int
    unchanged: bool
    problems: _containers.RepeatedCompositeFieldContainer[CatalogProblem]
    def __init__(self, revision: _Optional[int] = ..., unchanged: _Optional[bool] = ..., problems: _Optional[_Iterable[_Union[CatalogProblem, _Mapping]]] = ...) -> None: ...

class ShowRequest(_message.Message):
    __slots__ = ("revision",)
    REVISION_FIELD_NUMBER: _ClassVar[int]
    revision: int
    def __init__(self, revision: _Optional[int] = ...) -> None: ...

class ShowResponse(_message.Message):
    __slots__ = ("revision", "catalog_json", "channels", "verdicts")
    REVISION_FIELD_NUMBER: _ClassVar[int]
    CATALOG_JSON_FIELD_NUMBER: _ClassVar[int]
    CHANNELS_FIELD_NUMBER: _ClassVar[int]
    VERDICTS_FIELD_NUMBER: _ClassVar[int]
    revision: int
    catalog_json: bytes
    channels: _containers.RepeatedCompositeFieldContainer[ChannelReport]
    verdicts: _containers.RepeatedCompositeFieldContainer[Verdict]
    def __init__(self, revision: _Optional[int] = ..., catalog_json: _Optional[bytes] = ..., channels: _Optional[_Iterable[_Union[ChannelReport, _Mapping]]] = ..., verdicts: _Optional[_Iterable[_Union[Verdict, _Mapping]]] = ...) -> None: ...

class HistoryRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class RevisionInfo(_message.Message):
    __slots__ = ("revision", "created_at_s", "note")
    REVISION_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_S_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    revision: int
    created_at_s: int
    note: str
    def __init__(self, revision: _Optional[int] = ..., created_at_s: _Optional[int] = ..., note: _Optional[str] = ...) -> None: ...

class HistoryResponse(_message.Message):
    __slots__ = ("revisions",)
    REVISIONS_FIELD_NUMBER: _ClassVar[int]
    revisions: _containers.RepeatedCompositeFieldContainer[RevisionInfo]
    def __init__(self, revisions: _Optional[_Iterable[_Union[RevisionInfo, _Mapping]]] = ...) -> None: ...

class RollbackRequest(_message.Message):
    __slots__ = ("revision",)
    REVISION_FIELD_NUMBER: _ClassVar[int]
    revision: int
    def __init__(self, revision: _Optional[int] = ...) -> None: ...

class ExplainRequest(_message.Message):
    __slots__ = ("group", "model", "account_id", "text")
    GROUP_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    group: str
    model: str
    account_id: str
    text: str
    def __init__(self, group: _Optional[str] = ..., model: _Optional[str] = ..., account_id: _Optional[str] = ..., text: _Optional[str] = ...) -> None: ...

class ExplainResponse(_message.Message):
    __slots__ = ("edges",)
    EDGES_FIELD_NUMBER: _ClassVar[int]
    edges: _containers.RepeatedCompositeFieldContainer[ExplainedRequest]
    def __init__(self, edges: _Optional[_Iterable[_Union[ExplainedRequest, _Mapping]]] = ...) -> None: ...
