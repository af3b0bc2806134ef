"""The bodies and enumerations of the API as pydantic models, written by hand from what is known of it.

The stand-in and the FastAPI applications that the mock is compared with read requests by them. Fields stand in the
order of the API's own document, since FastAPI reports errors in that order. Unknown properties are ignored, as the real
server does.
"""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from pydantic import BaseModel, Field


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
    MACHINE_ID = "machine_id"
    USER_ID = "user_id"
    ORGANIZATION_ID = "organization_id"
    IS_PRIORITY = "is_priority"
    ERROR = "error"
    OUTPUT_DATA = "output_data"
    INPUT_ATTACHMENT_IDS = "input_attachment_ids"
    OUTPUT_ATTACHMENT_IDS = "output_attachment_ids"
    RUN_MESSAGE_HISTORY = "run_message_history"
    INPUT_VALUES = "input_values"
    MAIN_PROMPT = "main_prompt"
    MODEL_METADATA = "model_metadata"
    POOL_IDS = "pool_ids"
    SENSITIVE_INPUT_ALIASES = "sensitive_input_aliases"
    USAGE_METADATA = "usage_metadata"
    POST_RUN_CHECKS = "post_run_checks"
    SESSION_ID = "session_id"
    SESSION_ALIAS = "session_alias"
    RELEASE_SESSION_AFTER = "release_session_after"
    STARTED_AT = "started_at"
    ENDED_AT = "ended_at"


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


class RunBulkCreate(BaseModel):
    workflow_id: UUID
    count: int = Field(gt=0, le=1000)
    machine_id: UUID | None = None
    pool_ids: list[UUID] | None = None
    input_values: dict[str, Any] | None = None
    file_inputs: list[FileInput] | None = None
    sensitive_input_values: dict[str, Any] | None = None
    session_id: UUID | None = None
    start_session: bool | None = False


class RunCreate(BaseModel):
    workflow_id: UUID
    machine_id: UUID | None = None
    pool_ids: list[UUID] | None = None
    input_values: dict[str, Any] | None = None
    file_inputs: list[FileInput] | None = None
    sensitive_input_values: dict[str, Any] | None = None
    session_id: UUID | None = None
    start_session: bool | None = False
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
    pool_parameters: dict[str, Any] | None = None


class PoolMachines(BaseModel):
    machine_ids: list[UUID]


class WorkflowCreate(BaseModel):
    main_prompt: str
    name: str | None = None
    input_schema: str | None = None
    output_schema: str | None = None
    is_webhooks_enabled: bool = False
