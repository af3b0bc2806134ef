"""Replies from the document: for operations without a behaviour, and for what `Prefer` asks for."""

from __future__ import annotations

from mockserver.behaviour.context import Preferences
from mockserver.errors import BadRequest
from mockserver.reply import JSON, WITHOUT_CONTENT, BytesContent, JSONContent, Reply, phrase
from mockserver.spec import Operation, SpecError
from mockserver.spec import reply as reply_from_spec


def documented_reply(operation: Operation, preferences: Preferences, *, seed: str) -> Reply:
    """Make a reply from its example or schema. Raises BadRequest if it lacks the example, or none can be generated."""
    status = preferences.code or operation.success_status
    try:
        media_type, value = reply_from_spec(
            operation, status, name=preferences.example, dynamic=preferences.dynamic, seed=seed
        )
    except KeyError:
        if preferences.example is None and status not in operation.responses:
            content = None if status in WITHOUT_CONTENT else JSONContent({"detail": phrase(status)})
            return Reply(status, content, is_documented=False)
        raise _not_documented(operation, status, preferences.example) from None
    except SpecError as error:
        raise BadRequest(f"Cannot generate a response for {operation.operation_id}: {error}") from error
    if media_type is None:
        return Reply(status)
    headers = {"Retry-After": "1"} if status == 429 else {}
    if media_type == JSON or media_type.endswith("+json"):
        return Reply(status, JSONContent(value), media_type, headers)
    return Reply(status, BytesContent(value if isinstance(value, bytes) else str(value).encode()), media_type, headers)


def _not_documented(operation: Operation, status: int, example: str | None) -> BadRequest:
    known = ", ".join(str(each) for each in sorted(operation.responses))
    names = ", ".join(operation.responses[status].examples) if status in operation.responses else ""
    asked = f"example {example!r} of {status}" if example is not None else f"{status}"
    hint = f"; its examples of {status}: {names}" if names else ""
    return BadRequest(f"{operation.operation_id} documents no {asked}; it documents {known}{hint}")
