"""What requests carry, as pydantic models written by hand from what is known of the API.

Unknown properties are ignored, as the real server does. Reading is pydantic's lenient one; `strictly` makes
the other kind out of a model.
"""

import re
from datetime import datetime
from enum import StrEnum
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin
from uuid import UUID

from pydantic import BaseModel, BeforeValidator, Field, StrictBool, StrictInt, create_model


class Status(StrEnum):
    SCHEDULING = "scheduling"
    RUNNING = "running"
    RUNNING_CHECKS = "running_checks"
    SUCCESS = "success"
    TASK_FAILED = "task_failed"
    ERROR = "error"
    CANCELLED = "cancelled"


class SortMode(StrEnum):
    ACTIVITY = "activity"
    CREATED_AT_DESC = "created_at_desc"


class RunField(StrEnum):
    USER_ID = "user_id"
    ORGANIZATION_ID = "organization_id"
    ERROR = "error"
    OUTPUT_DATA = "output_data"
    INPUT_ATTACHMENT_IDS = "input_attachment_ids"
    OUTPUT_ATTACHMENT_IDS = "output_attachment_ids"
    RUN_MESSAGE_HISTORY = "run_message_history"
    INPUT_VALUES = "input_values"
    POOL_IDS = "pool_ids"
    SENSITIVE_INPUT_ALIASES = "sensitive_input_aliases"
    SESSION_ID = "session_id"
    SESSION_ALIAS = "session_alias"
    RELEASE_SESSION_AFTER = "release_session_after"
    STARTED_AT = "started_at"
    ENDED_AT = "ended_at"
    USAGE_METADATA = "usage_metadata"
    IS_PRIORITY = "is_priority"
    MAIN_PROMPT = "main_prompt"
    MODEL_METADATA = "model_metadata"
    POST_RUN_CHECKS = "post_run_checks"
    ID = "id"
    WORKFLOW_ID = "workflow_id"
    MACHINE_ID = "machine_id"
    STATUS = "status"
    CREATED_AT = "created_at"


class MachineStatus(StrEnum):
    CONNECTED = "connected"
    DISCONNECTED = "disconnected"
    ERROR = "error"


class AttachmentType(StrEnum):
    INPUT = "input"
    OUTPUT = "output"


class FileInput(BaseModel):
    filename: str
    content: str
    target_path: str | None = None
    cleanup_imports_after_run: bool = False


class RunBody(BaseModel):
    """What single and bulk creates have in common."""

    workflow_id: UUID
    machine_id: UUID | None = None
    pool_ids: list[UUID] | None = None
    input_values: dict[str, Any] | None = None
    file_inputs: list[FileInput] | None = None
    sensitive_input_values: dict[str, Any] | None = None
    session_id: UUID | None = None
    start_session: bool | None = False


class RunBulkCreate(RunBody):
    count: int = Field(gt=0, le=1000)


class RunCreate(RunBody):
    session_alias: str | None = None
    release_session_after: bool | None = None


class RunUpdate(BaseModel):
    status: Status | None = None
    error: list[str] | None = None
    output_data: dict[str, Any] | None = None
    output_attachment_ids: list[str] | None = None
    run_message_history: list[dict[str, Any]] | None = None
    input_values: dict[str, Any] | None = None
    usage_metadata: dict[str, Any] | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    release_session_after: bool | None = None


class RunRetry(BaseModel):
    input_values: dict[str, Any] | None = None
    sensitive_input_values: dict[str, Any] | None = None
    file_inputs: list[FileInput] | None = None
    machine_id: UUID | None = None
    pool_ids: list[UUID] | None = None
    reuse_session: bool | None = True
    session_id: UUID | None = None
    start_session: bool | None = False
    session_alias: str | None = None
    release_session_after: bool | None = None


class ChainStep(BaseModel):
    workflow_id: UUID
    session_alias: str | None = None
    inputs: dict[str, Any] | None = None
    sensitive_inputs: dict[str, Any] | None = None


class ChainCreate(BaseModel):
    steps: list[ChainStep] = Field(min_length=1)
    shared_inputs: dict[str, Any] | None = None
    shared_sensitive_inputs: dict[str, Any] | None = None
    shared_file_inputs: list[FileInput] | None = None
    keep_session_after_completion: bool | None = False
    machine_id: UUID | None = None
    pool_ids: list[UUID] | None = None
    session_id: UUID | None = None


class PoolCreate(BaseModel):
    name: str
    description: str | None = None


class PoolMachines(BaseModel):
    machine_ids: list[UUID]


class WorkflowCreate(BaseModel):
    main_prompt: str
    name: str | None = None
    input_schema: str | None = None
    output_schema: str | None = None
    is_webhooks_enabled: bool = False


class Page(BaseModel):
    skip: int = Field(default=0, ge=0)
    limit: int = Field(default=100, ge=1, le=1000)


class RunQuery(Page):
    workflow_id: UUID | None = None
    machine_id: UUID | None = None
    session_id: UUID | None = None
    status: Status | None = None
    created_at_from: datetime | None = None
    created_at_to: datetime | None = None
    search: str | None = None
    deep_search: bool = False
    fields_: list[RunField] | None = Field(default=None, alias="fields")
    sort_mode: SortMode = SortMode.ACTIVITY
    include: str | None = None


class AttachmentQuery(Page):
    run_id: UUID | None = None
    attachment_type: AttachmentType | None = None


class MachineQuery(Page):
    status: MachineStatus | None = None


class UrlQuery(BaseModel):
    expires_in: int = Field(default=300, ge=10, le=3600)


BODIES = ("RunBulkCreate", "RunCreate", "RunUpdate", "RunRetry", "ChainCreate")


def _dashed(value: Any) -> Any:
    if not (isinstance(value, str) and re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", value)):
        raise ValueError("a UUID is written in lower case with dashes")
    return value


def _strict(kind: Any) -> Any:
    if kind is int:
        return StrictInt
    if kind is bool:
        return StrictBool
    if kind is UUID:
        return Annotated[UUID, BeforeValidator(_dashed)]
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return strictly(kind)
    if get_origin(kind) is list:
        return list[_strict(get_args(kind)[0])]
    if get_origin(kind) in (Union, UnionType):
        return Union[tuple(part if part is NoneType else _strict(part) for part in get_args(kind))]  # noqa: UP007
    return kind


def strictly(model: type[BaseModel]) -> type[BaseModel]:
    """The same model, but scalars of JSON are taken only as what they are."""
    fields: dict[str, Any] = {name: (_strict(field.annotation), field) for name, field in model.model_fields.items()}
    return create_model(model.__name__, __base__=model, **fields)
