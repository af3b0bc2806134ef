"""Reads bodies and queries. The first thing that is wrong with a request is raised as `Refused`; no other is named."""

import base64
import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl

Loc = tuple[str | int, ...]
Reader = Callable[[Any, Loc], Any]

MAX_DEPTH = 200
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
STATUSES = ("scheduling", "running", "running_checks", "success", "task_failed", "error", "cancelled")
RUN_FIELDS = (
    *("machine_id", "user_id", "organization_id", "is_priority", "error", "output_data", "input_attachment_ids"),
    *("output_attachment_ids", "run_message_history", "input_values", "main_prompt", "model_metadata", "pool_ids"),
    *("sensitive_input_aliases", "usage_metadata", "post_run_checks", "session_id", "session_alias"),
    *("release_session_after", "started_at", "ended_at"),
)


class Refused(Exception):
    def __init__(self, status: int, detail: Any, **headers: str) -> None:
        super().__init__(status, detail)
        self.status, self.detail, self.headers = status, detail, headers


def invalid(loc: Loc, kind: str, message: str) -> Refused:
    return Refused(422, [{"type": kind, "msg": message, "loc": list(loc)}])


def parsed(body: bytes) -> Any:
    """The body as JSON: UTF-8 without lone surrogates, finite numbers, a bounded depth."""
    try:
        value = json.loads(body.decode(), parse_float=_finite, parse_constant=_finite)
        json.dumps(value, ensure_ascii=False).encode()
        is_deep = _depth(value) > MAX_DEPTH
    except (ValueError, RecursionError):
        raise Refused(400, "This body cannot be read as JSON") from None
    if is_deep:
        raise Refused(400, "This body is nested too deeply")
    return value


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError("not finite")
    return value


def _depth(value: Any) -> int:
    children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + max(map(_depth, children), default=0)


# Values of JSON


def of_type(kind: type, name: str) -> Reader:
    def read(value: Any, loc: Loc) -> Any:
        if not isinstance(value, kind):
            raise invalid(loc, f"not_{name}", f"This has to be a {name}")
        return value

    return read


text = of_type(str, "string")
flag = of_type(bool, "boolean")
mapping = of_type(dict, "object")


def count(value: Any, loc: Loc) -> int:
    if type(value) is not int:
        raise invalid(loc, "not_integer", "This has to be a whole number")
    if not 1 <= value <= 1000:
        raise invalid(loc, "out_of_range", "From 1 to 1000 runs can be made at once")
    return value


def uuid(value: Any, loc: Loc) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", value.lower()):
        raise invalid(loc, "not_uuid", "This has to be a UUID with dashes")
    return value.lower()


def moment(value: Any, loc: Loc) -> datetime:
    if isinstance(value, str) and re.fullmatch(r"\d{4}-\d\d-\d\d[Tt ].*([Zz]|[+-]\d\d:\d\d)", value, re.ASCII):
        try:
            return datetime.fromisoformat(value.upper())
        except ValueError:
            pass
    raise invalid(loc, "not_date_time", "This has to be a date and a time with its zone, as in RFC 3339")


def base64_bytes(value: Any, loc: Loc) -> bytes:
    try:
        return base64.b64decode(text(value, loc), validate=True)
    except ValueError:
        raise invalid(loc, "not_base64", "This has to be base64") from None


def one_of(*names: str) -> Reader:
    def read(value: Any, loc: Loc) -> str:
        if not isinstance(value, str) or value not in names:
            raise invalid(loc, "not_in_list", "This has to be one of the names that the reference lists")
        return value

    return read


def items(read_item: Reader, *, at_least: int = 0) -> Reader:
    def read(value: Any, loc: Loc) -> list[Any]:
        if not isinstance(value, list):
            raise invalid(loc, "not_list", "This has to be a list")
        if len(value) < at_least:
            raise invalid(loc, "too_short", f"This has to have {at_least} or more")
        return [read_item(item, (*loc, index)) for index, item in enumerate(value)]

    return read


@dataclass(frozen=True)
class Field:
    read: Reader
    is_required: bool = False
    is_nullable: bool = True
    default: Any = None


def record(fields: Mapping[str, Field]) -> Reader:
    """Null for a nullable field is the same as nothing. Other properties are ignored."""

    def read(value: Any, loc: Loc) -> dict[str, Any]:
        found = {}
        for name, field in fields.items():
            given = mapping(value, loc).get(name)
            if name not in value and field.is_required:
                raise invalid((*loc, name), "required", "This is required")
            is_left_out = name not in value or (given is None and field.is_nullable)
            found[name] = field.default if is_left_out else field.read(given, (*loc, name))
        return found

    return read


REQUIRED_ID = Field(uuid, is_required=True, is_nullable=False)
FILE = record(
    {
        "filename": Field(text, is_required=True, is_nullable=False),
        "content": Field(base64_bytes, is_required=True, is_nullable=False),
        "target_path": Field(text),
        "cleanup_imports_after_run": Field(flag, is_nullable=False, default=False),
    }
)
PLACE = {"machine_id": Field(uuid), "pool_ids": Field(items(uuid)), "session_id": Field(uuid)}
INPUTS = {
    "input_values": Field(mapping),
    "sensitive_input_values": Field(mapping),
    "file_inputs": Field(items(FILE)),
    "start_session": Field(flag, default=False),
}
IN_SESSION = {"session_alias": Field(text), "release_session_after": Field(flag)}
STEP = record(
    {
        "workflow_id": REQUIRED_ID,
        "session_alias": Field(text),
        "inputs": Field(mapping),
        "sensitive_inputs": Field(mapping),
    }
)
BULK_CREATE = record(
    {"workflow_id": REQUIRED_ID, "count": Field(count, is_required=True, is_nullable=False), **PLACE, **INPUTS}
)
CREATE = record({"workflow_id": REQUIRED_ID, **PLACE, **INPUTS, **IN_SESSION})
RETRY = record({"reuse_session": Field(flag, default=True), **PLACE, **INPUTS, **IN_SESSION})
UPDATE = record(
    {
        "status": Field(one_of(*STATUSES)),
        "error": Field(items(text)),
        "output_data": Field(mapping),
        "output_attachment_ids": Field(items(text)),
        "run_message_history": Field(items(mapping)),
        "input_values": Field(mapping),
        "usage_metadata": Field(mapping),
        "started_at": Field(moment),
        "ended_at": Field(moment),
        "release_session_after": Field(flag),
    }
)
CHAIN = record(
    {
        "steps": Field(items(STEP, at_least=1), is_required=True, is_nullable=False),
        "shared_inputs": Field(mapping),
        "shared_sensitive_inputs": Field(mapping),
        "shared_file_inputs": Field(items(FILE)),
        "keep_session_after_completion": Field(flag, default=False),
        **PLACE,
    }
)


# Queries


def whole(low: int, high: float = math.inf) -> Reader:
    def read(value: Any, loc: Loc) -> int:
        if not re.fullmatch(r"-?[0-9]{1,4000}", value):
            raise invalid(loc, "not_integer", "This has to be a whole number")
        if not low <= int(value) <= high:
            raise invalid(loc, "out_of_range", f"This has to be from {low} to {high}")
        return int(value)

    return read


def spelled_flag(value: Any, loc: Loc) -> bool:
    return bool(one_of("true", "false")(value, loc) == "true")


def microseconds(value: Any, loc: Loc) -> int:
    return (moment(value, loc) - EPOCH) // timedelta(microseconds=1)


PAGE = {"skip": Field(whole(0), default=0), "limit": Field(whole(1, 1000), default=100)}
RUN_QUERY = {
    "workflow_id": Field(uuid),
    "machine_id": Field(uuid),
    "session_id": Field(uuid),
    "status": Field(one_of(*STATUSES)),
    "created_at_from": Field(microseconds),
    "created_at_to": Field(microseconds),
    "search": Field(text, default=""),
    "deep_search": Field(spelled_flag, default=False),
    "fields": Field(items(one_of(*RUN_FIELDS))),
    "sort_mode": Field(one_of("activity", "created_at_desc"), default="activity"),
    "include": Field(text),
    **PAGE,
}
ATTACHMENT_QUERY = {"run_id": Field(uuid), "attachment_type": Field(one_of("input", "output")), **PAGE}
URL_QUERY = {"expires_in": Field(whole(10, 3600), default=300)}


def query(fields: Mapping[str, Field], written: str) -> dict[str, Any]:
    """Of a parameter that is repeated the last counts; `fields` is a list."""
    given: dict[str, Any] = {}
    try:
        pairs = parse_qsl(written, keep_blank_values=True, errors="strict")
    except ValueError:
        raise Refused(400, "This query is no UTF-8") from None
    for name, value in pairs:
        given[name] = [*given.get(name, ()), value] if name == "fields" else value
    read: dict[str, Any] = record(fields)(given, ("query",))
    return read
