"""What the stand-in reads: the API's bodies, the queries of its lists, and `strictly` for a server without coercion."""

import re
from datetime import datetime
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin
from uuid import UUID

from pydantic import BaseModel, BeforeValidator, Field, StrictBool, StrictInt, create_model

from tests.api_models import (
    AttachmentType,
    ChainCreate,
    ChainStep,
    FileInput,
    MachineStatus,
    PoolCreate,
    PoolMachines,
    RunBulkCreate,
    RunCreate,
    RunField,
    RunRetry,
    RunUpdate,
    SortMode,
    Status,
    WorkflowCreate,
)

__all__ = [
    "AttachmentType",
    "ChainCreate",
    "ChainStep",
    "FileInput",
    "MachineStatus",
    "PoolCreate",
    "PoolMachines",
    "RunBulkCreate",
    "RunCreate",
    "RunField",
    "RunRetry",
    "RunUpdate",
    "SortMode",
    "Status",
    "WorkflowCreate",
]


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
    name: str | None = None
    search: str = ""


class WorkflowQuery(Page):
    search: str = ""


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
