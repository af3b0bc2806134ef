"""Reads a request body by the contract: it is valid, invalid in certain parts, or ambiguous."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from contracts.core.exchange import Request
from contracts.core.json_tree import Path, is_json
from contracts.openapi.schemas import (
    MAX_BODY_BYTES,
    UNREAD,
    Diagnostics,
    InvalidPart,
    beyond_limits,
    body_schema,
    is_uuid,
    operations,
    reader_of,
)

KEY_OF_INPUT_AND_SECRET: Final = "one key for an input and a secret"
CREATES: Final = frozenset({"bulk_create_runs", "create_run", "create_run_chain"})
"""The operations that create runs."""


@dataclass(frozen=True, slots=True)
class ParsedRequest:
    """A request body as the contract reads it. `value` is its normal form, with UNREAD for unreadable parts."""

    operation: str
    body: Any
    value: Any
    invalid_parts: tuple[InvalidPart, ...] = ()
    ambiguities: tuple[str, ...] = ()
    ambiguous_places: tuple[Path, ...] = ()
    """The paths of the ambiguities; the empty path if one of them has none."""
    unknown_properties: tuple[Path, ...] = ()
    """The paths of properties that are not documented, apart from `is_priority: false`. A server may refuse them."""

    @property
    def is_valid(self) -> bool:
        return not self.invalid_parts and not self.ambiguities

    @property
    def is_invalid(self) -> bool:
        """Whether every server must refuse the body: it has invalid parts, and is not ambiguous as a whole."""
        return bool(self.invalid_parts) and not self.is_ambiguous_as_a_whole

    @property
    def is_ambiguous_as_a_whole(self) -> bool:
        """Whether an ambiguity concerns the whole body (`body: ...`)."""
        return any(ambiguity.startswith("body:") for ambiguity in self.ambiguities)

    def given(self, name: str) -> Any:
        """Return the normal value of a field; None if it is absent or null."""
        return self.value.get(name) if isinstance(self.value, dict) else None


_NO_OBJECT: Final = (InvalidPart((), "body"),)
"""The invalid parts of a body that is not a JSON object."""


class _UndeterminedError(Exception):
    """The contract does not determine how a body with this is read."""


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _UndeterminedError("duplicate keys")
    return found


def _short_float(digits: str) -> float:
    if len(digits) > _MAX_NUMBER_LENGTH:
        raise _UndeterminedError("a number with more digits than every server must accept")
    return float(digits)


_MAX_NUMBER_LENGTH: Final = 400
"""Every double can be written with this many characters, also without an exponent."""


def read_request(operation: str, request: Request) -> ParsedRequest:
    """Parse and judge the body of a request."""
    return read_raw_body(operation, request.body, request.header("content-type"))


def read_raw_body(operation: str, raw: bytes | None, content_type: str | None = "application/json") -> ParsedRequest:
    """Parse and judge a body as it is sent over the wire."""

    def undetermined(why: str) -> ParsedRequest:
        return ParsedRequest(operation, None, UNREAD, ambiguities=(f"body: {why}",))

    if raw and len(raw) > MAX_BODY_BYTES:
        return undetermined("larger than every server must accept")
    if content_type is None or content_type.split(";")[0].strip().lower() != "application/json":
        return undetermined("another content type")
    if not raw or not raw.strip():
        if operation == "retry_run":
            return ParsedRequest(operation, None, {}, ambiguities=("body: none",))
        return ParsedRequest(operation, None, UNREAD, invalid_parts=_NO_OBJECT)
    try:
        body = json.loads(raw.decode("utf-8"), object_pairs_hook=_unique_keys, parse_float=_short_float)
    except _UndeterminedError as error:
        return undetermined(str(error))
    except RecursionError:
        return undetermined("deeper nesting than every server must accept")
    except ValueError as error:
        if "integer string conversion" in str(error):
            return undetermined("an integer with too many digits")
        if raw.startswith(b"\xef\xbb\xbf") or is_json(raw):
            return undetermined("another encoding")
        return ParsedRequest(operation, None, UNREAD, invalid_parts=_NO_OBJECT)
    return read_body(operation, body)


def is_well_formed(operation: str | None, request: Request) -> bool:
    """Whether the credentials, the ids in the path and the body of a request are of the documented form."""
    if operation is None or not request.has_own_token:
        return False
    segments = request.path_without_query.strip("/").split("/")
    template = operations()[operation][1].strip("/").split("/")
    if not all(is_uuid(segment) for part, segment in zip(template, segments, strict=True) if part.startswith("{")):
        return False
    if body_schema(operation) is None:
        return True
    return not read_request(operation, request).invalid_parts


def read_body(operation: str, body: Any) -> ParsedRequest:
    name = body_schema(operation)
    if name is None:
        return ParsedRequest(operation, body, body, ambiguities=("body: the operation has none",))
    if not isinstance(body, dict):
        if body is None and operation == "retry_run":
            return ParsedRequest(operation, body, {}, ambiguities=("body: null for none",))
        return ParsedRequest(operation, body, UNREAD, invalid_parts=_NO_OBJECT)
    diagnostics = Diagnostics()
    value = reader_of(name)(body, (), diagnostics)
    without_place = list(_domain_ambiguities(operation, body))
    if (exceeded_limit := beyond_limits(_without_contents(body))) is not None:
        without_place.append(f"body: {exceeded_limit}")
    wrong = {invalid.path for invalid in diagnostics.invalid_parts}
    places: list[Path] = [path for path in diagnostics.places if path not in wrong]
    if without_place:
        places.append(())
    ambiguities = (*diagnostics.ambiguities, *without_place)
    unknown = tuple(path for path in diagnostics.unknown_properties if not _is_sent_by_clients(operation, body, path))
    return ParsedRequest(operation, body, value, tuple(diagnostics.invalid_parts), ambiguities, tuple(places), unknown)


def _is_sent_by_clients(operation: str, body: Mapping[str, Any], path: Path) -> bool:
    """Whether the published client sends this property, so that no server may refuse it."""
    return operation in CREATES and path == ("is_priority",) and body["is_priority"] is False


def _without_contents(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return a body without the contents of its files, which only the largest size of a body limits."""
    shortened = dict(body)
    for name in ("file_inputs", "shared_file_inputs"):
        if isinstance(files := body.get(name), list):
            are_texts = [isinstance(file, dict) and isinstance(file.get("content"), str) for file in files]
            pairs = zip(files, are_texts, strict=True)
            shortened[name] = [file | {"content": ""} if is_text else file for file, is_text in pairs]
    return shortened


def _domain_ambiguities(operation: str, body: Mapping[str, Any]) -> Iterator[str]:
    """Yield ambiguities of fields that have the right type."""
    for files in (body.get("file_inputs"), body.get("shared_file_inputs")):
        for file in files if isinstance(files, list) else ():
            if isinstance(file, dict):
                if isinstance(file.get("filename"), str) and not is_plain_filename(file["filename"]):
                    yield "an unusual file name"
                if "cleanup_imports_after_run" in file and file["cleanup_imports_after_run"] is None:
                    yield "body: null for a flag of a file"
    if operation == "update_run":
        if body.get("status") not in (None, "cancelled"):
            yield "an update of status"
        if any(value is None for value in body.values()):
            yield "null in an update"
        if body.get("output_attachment_ids"):
            yield "attachments that may be unknown"
    if operation == "create_run_chain" and '"$ref"' in json.dumps(body):
        yield "a reference to another step"
    if any(plain & secret for plain, secret in _names_of_inputs(body)):
        yield KEY_OF_INPUT_AND_SECRET
    if operation == "add_machine_to_pool":
        machines = body.get("machine_ids")
        if isinstance(machines, list) and all(map(is_uuid, machines)):
            yield "body: machines that may be unknown"
    elif operation in {"create_pool", "create_workflow"} and not _is_plain_resource(body):
        yield "body: a resource beside the runs"


def _names_of_inputs(body: Mapping[str, Any]) -> Iterator[tuple[set[str], set[str]]]:
    """Yield the names of the inputs and of the sensitive inputs of each run that a body asks for."""

    def names(*values: Any) -> set[str]:
        return {name for value in values if isinstance(value, dict) for name in value}

    yield names(body.get("input_values")), names(body.get("sensitive_input_values"))
    shared, secret = body.get("shared_inputs"), body.get("shared_sensitive_inputs")
    steps = body.get("steps")
    for step in steps if isinstance(steps, list) else ():
        if isinstance(step, dict):
            yield names(shared, step.get("inputs")), names(secret, step.get("sensitive_inputs"))


def _is_plain_resource(body: Mapping[str, Any]) -> bool:
    """Whether the contract determines if a pool or workflow of these values is accepted: no blank name or prompt, no
    schema or parameters to parse, and no null for is_webhooks_enabled, whose type is not documented.
    """
    if body.get("is_webhooks_enabled", False) is None:
        return False
    texts = [text for text in (body.get("name"), body.get("main_prompt")) if isinstance(text, str)]
    to_parse = [body.get(name) for name in ("input_schema", "output_schema", "pool_parameters")]
    return all(map(str.strip, texts)) and all(value is None for value in to_parse)


def is_plain_filename(name: str) -> bool:
    return 0 < len(name.encode(errors="replace")) <= 255 and name.isprintable() and not set(name) & set('/\\:*?"<>|')
