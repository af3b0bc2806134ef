"""The operations of a document, compiled once: they decode requests and check replies."""

from collections.abc import Iterator, Mapping
from copy import copy
from dataclasses import dataclass, field
from json import JSONDecodeError
from typing import Any, Literal, NamedTuple
from urllib.parse import parse_qsl

from pydantic_core import SchemaValidator, ValidationError

from mockserver.spec.document import Document, step, types_of
from mockserver.spec.jsontext import MAX_NESTING, MAX_VALUES, TooManyValues, parse_json
from mockserver.spec.request import Invalid, RawRequest
from mockserver.spec.validation import Reader, compile_reader, validator
from mockserver.spec.violations import MAX_VIOLATIONS, Masker, Violations, json_invalid, missing

Coercion = Literal["strict", "lax"]
Place = Literal["path", "query", "header"]

_METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
_OTHER_PATH_FIELDS = frozenset({"parameters", "summary", "description", "servers"})
# The supported style of a parameter in each place.
_STYLES: Mapping[Place, str] = {"path": "simple", "query": "form", "header": "simple"}
_NO_FIELDS: frozenset[str] = frozenset()
# An answer nests what the client sent some levels deeper.
_REPLY_EXTRA_NESTING = 8
# OpenAPI 3.1, "Parameter Object": header parameters with these names are ignored.
_IGNORED_HEADERS = frozenset({"accept", "content-type", "authorization"})


class Bounds(NamedTuple):
    """Limits: the nesting of a body (else 400), its number of values (else 413), and the violations reported."""

    nesting: int = MAX_NESTING
    values: int = MAX_VALUES
    violations: int = MAX_VIOLATIONS


BOUNDS = Bounds()


class Call(NamedTuple):
    """A valid request, decoded to Python values.

    `query`, `headers` (lower-case names) and a `body` that is an object hold the values that were sent, and defaults
    for those that were not. A value that was not sent and has no default is absent. UUIDs are lower-case text with
    dashes, enums are plain text, date-times are aware datetimes. `sent` is the body before validation.
    If an optional body was not sent, `body` is an empty object if the schema accepts one, else None.
    """

    operation: "Operation"
    path: dict[str, Any]
    query: dict[str, Any]
    headers: dict[str, Any]
    body: Any
    sent: Any

    @property
    def sent_fields(self) -> frozenset[str]:
        """The top-level body fields that were sent and that the document defines."""
        known = self.operation.body
        return known.fields.intersection(self.sent) if known is not None and isinstance(self.sent, dict) else _NO_FIELDS


@dataclass(frozen=True, slots=True)
class Parameter:
    name: str  # lower case for a header
    place: Place
    required: bool
    many: bool  # may be repeated; its value is a list
    reader: Reader = field(repr=False)
    default: Mapping[str, Any]  # {name: default}, or empty


@dataclass(frozen=True, slots=True)
class Body:
    required: bool
    reader: Reader = field(repr=False)
    fields: frozenset[str]


@dataclass(frozen=True, slots=True)
class Response:
    status: int
    content_type: str | None  # None: no body
    schema: Any
    pointer: str  # of the schema
    examples: Mapping[str, Any]  # an unnamed example has the name "default"


class Operation:
    """One method of one path. Immutable, except that reply validators are compiled on first use."""

    def __init__(
        self,
        document: Document,
        *,
        operation_id: str,
        method: str,
        path: str,
        secured: bool,
        parameters: tuple[Parameter, ...],
        body: Body | None,
        responses: dict[int, Response],
        coercion: Coercion,
        bounds: Bounds,
    ) -> None:
        self.document = document
        self.operation_id = operation_id
        self.method = method  # upper case
        self.path = path  # the template: /v1/runs/{run_id}
        self.secured = secured
        self.parameters = parameters
        self.body = body
        self.has_body = body is not None
        self.responses = responses
        self.success_status = min((status for status in responses if 200 <= status < 300), default=200)
        self.query_names = frozenset(parameter.name for parameter in parameters if parameter.place == "query")
        self.query_lists = frozenset(each.name for each in parameters if each.place == "query" and each.many)
        newer = document.root.get("x-newer-properties", ())
        self.known_fields = frozenset(newer) | (body.fields if body is not None else frozenset())
        self._allow_constants = coercion == "lax"
        self._bounds = bounds
        self._masker = Masker(document.sensitive, document.enumerations)
        self._path = [parameter for parameter in parameters if parameter.place == "path"]
        self._query = [parameter for parameter in parameters if parameter.place == "query"]
        self._headers = [parameter for parameter in parameters if parameter.place == "header"]
        self._reply_validators: dict[int, SchemaValidator] = {}

    def __repr__(self) -> str:
        return f"<Operation {self.operation_id}: {self.method} {self.path}>"

    def with_bounds(self, bounds: Bounds) -> "Operation":
        """Return the same operation with other limits."""
        other = copy(self)
        other._bounds = bounds
        return other

    def decode(self, raw: RawRequest) -> Call:
        """Validate and decode a request. No side effects, so a long body can be decoded in another thread.

        Raises Invalid with all violations at once, up to `Bounds.violations`, in the order path, query, header, body.
        """
        sent: Any = None
        finite = True
        if self.body is not None and raw.body:
            sent, finite = self._parse(raw)
        violations = Violations(self._bounds.violations)
        path: dict[str, Any] = {}
        for parameter in self._path:
            self._read(parameter, raw.path[parameter.name], path, violations)
        query = self._read_query(raw.query, violations) if self._query else {}
        headers: dict[str, Any] = {}
        for parameter in self._headers:
            value = raw.header(parameter.name)
            if value is not None or parameter.required or parameter.default:
                self._read(parameter, value, headers, violations)
        body = self._read_body(raw, sent, finite, violations) if self.body is not None else None
        if violations:
            raise Invalid(422, violations=violations.listed(), sent=sent)
        return Call(self, path, query, headers, body, sent)

    def check_reply(self, status: int, content_type: str | None, body: bytes) -> str | None:
        """Describe what the document does not allow in this reply, or return None. Extra properties are allowed."""
        response = self.responses.get(status)
        if response is None:
            return f"{self.operation_id} documents no status {status}"
        media_type = None if content_type is None else content_type.partition(";")[0].strip().lower()
        if response.content_type is None:
            return "a body where none is documented" if body else None
        if media_type != response.content_type:
            return f"content type {content_type}, documented is {response.content_type}"
        if not is_json(response.content_type):
            return None
        nesting = MAX_NESTING + _REPLY_EXTRA_NESTING
        try:
            value, finite = parse_json(body, allow_constants=False, max_nesting=nesting, max_values=len(body))
        except (ValueError, RecursionError) as error:
            return f"the body cannot be read as JSON: {error}"
        if not finite:
            return "a number in the body is past the largest double"
        check = self._reply_validators.get(status)
        if check is None:
            check = validator(self.document, response.schema, response.pointer, "strict")
            self._reply_validators[status] = check
        try:
            check.validate_python(value, context=Violations())
        except ValidationError as error:
            return "; ".join(
                f"at {'.'.join(map(str, line['loc'])) or 'the whole'}: {line['msg']}"
                for line in error.errors(include_url=False, include_input=False)[:5]
            )
        return None

    def _parse(self, raw: RawRequest) -> tuple[Any, bool]:
        if not is_json(raw.content_type):
            return raw.body, True
        try:
            return parse_json(
                raw.body,
                allow_constants=self._allow_constants,
                max_nesting=self._bounds.nesting,
                max_values=self._bounds.values,
            )
        except JSONDecodeError as error:
            raise Invalid(422, violations=[json_invalid(error.pos, error.msg)]) from error
        except TooManyValues as error:
            raise Invalid(413, detail=f"The body holds more than {self._bounds.values} values") from error
        except (ValueError, RecursionError) as error:
            raise Invalid(400, detail="There was an error parsing the body") from error

    def _read_body(self, raw: RawRequest, value: Any, finite: bool, violations: Violations) -> Any:
        assert self.body is not None
        if not raw.body:
            if self.body.required:
                violations.add(missing(("body",)))
                return None
            try:
                return self.body.reader.read({}, violations)
            except ValidationError:
                return None
        try:
            read = self.body.reader.read if finite else self.body.reader.read_exactly
            return read(value, violations)
        except ValidationError as error:
            violations.add_all(error, self._masker, "body")
            return None

    def _read_query(self, query: str | bytes, violations: Violations) -> dict[str, Any]:
        sent: dict[str, list[str]] = {}
        if query:
            text = query if isinstance(query, str) else query.decode("latin-1")
            for name, one in parse_qsl(text, keep_blank_values=True):
                sent.setdefault(name, []).append(one)
        values: dict[str, Any] = {}
        for parameter in self._query:
            several = sent.get(parameter.name)
            if several is not None:
                self._read(parameter, several if parameter.many else several[-1], values, violations)
            elif parameter.required or parameter.default:
                self._read(parameter, None, values, violations)
        return values

    def _read(self, parameter: Parameter, value: Any, values: dict[str, Any], violations: Violations) -> None:
        if value is None:
            if parameter.required:
                violations.add(missing((parameter.place, parameter.name)))
            else:
                values.update(parameter.default)
            return
        try:
            values[parameter.name] = parameter.reader.read(value, violations)
        except ValidationError as error:
            violations.add_all(error, self._masker, parameter.place, parameter.name)


def is_json(content_type: str | None) -> bool:
    """Whether FastAPI reads the content type as JSON: application/json or application/…+json."""
    if content_type == "application/json":
        return True
    if not content_type:
        return False
    main, _, subtype = content_type.partition(";")[0].strip().lower().partition("/")
    return main == "application" and "/" not in subtype and (subtype == "json" or subtype.endswith("+json"))


# --- Compiling --------------------------------------------------------------------------------------------------------


class _At(NamedTuple):
    """A location in the document, with references resolved."""

    document: Document
    value: Any
    pointer: str

    def member(self, name: str) -> "_At":
        value, pointer = self.document.follow(self.value.get(name), step(self.pointer, name))
        return _At(self.document, value, pointer)

    def items(self, name: str) -> "list[_At]":
        values = self.value.get(name, [])
        if not isinstance(values, list):
            raise self.document.error(step(self.pointer, name), "a list")
        at = step(self.pointer, name)
        return [
            _At(self.document, *self.document.follow(value, step(at, index))).mapping()
            for index, value in enumerate(values)
        ]

    def members(self, name: str) -> "dict[str, _At]":
        holder = self.member(name)
        return {} if holder.value is None else {key: holder.member(key) for key in holder.mapping().value}

    def mapping(self) -> "_At":
        if not isinstance(self.value, dict):
            raise self.document.error(self.pointer, f"a mapping, not {self.value!r}")
        return self


def compile_operations(document: Document, *, coercion: Coercion, bounds: Bounds = BOUNDS) -> dict[str, Operation]:
    """Return the operations by operationId, in document order. Raises SpecError."""
    compiler = _Compiler(document, coercion, bounds)
    operations: dict[str, Operation] = {}
    for path, item in _At(document, document.root, "").members("paths").items():
        for name in item.mapping().value:
            if name in _METHODS:
                operation = compiler.operation(path, item, name)
                if operation.operation_id in operations:
                    other = operations[operation.operation_id]
                    raise document.error(
                        f"{step(item.pointer, name)}/operationId", f"{other.method} {other.path} has the same"
                    )
                operations[operation.operation_id] = operation
            elif name not in _OTHER_PATH_FIELDS and not name.startswith("x-"):
                raise document.error(step(item.pointer, name), "is not supported in a path")
    return operations


class _Compiler:
    def __init__(self, document: Document, coercion: Coercion, bounds: Bounds) -> None:
        self._document = document
        self._bounds = bounds
        self._coercion: Coercion = coercion
        self._readers: dict[tuple[str, bool], Reader] = {}

    def operation(self, path: str, item: _At, method: str) -> Operation:
        at = item.member(method).mapping()
        operation_id = at.value.get("operationId")
        if not isinstance(operation_id, str):
            raise self._document.error(at.pointer, "an operation needs an operationId")
        body = at.member("requestBody")
        return Operation(
            self._document,
            operation_id=operation_id,
            method=method.upper(),
            path=path,
            secured=self._secured(at),
            parameters=self._parameters(path, item, at),
            body=None if body.value is None else self._body(body.mapping()),
            responses=self._responses(at),
            coercion=self._coercion,
            bounds=self._bounds,
        )

    def _secured(self, at: _At) -> bool:
        """Whether a request needs credentials. Without security, or with an empty alternative, it does not."""
        alternatives, pointer = self._document.root.get("security", []), "/security"
        if "security" in at.value:
            alternatives, pointer = at.value["security"], f"{at.pointer}/security"
        if not isinstance(alternatives, list):
            raise self._document.error(pointer, "a list of security requirements")
        return bool(alternatives) and all(alternatives)

    def _parameters(self, path: str, item: _At, at: _At) -> tuple[Parameter, ...]:
        found: dict[tuple[str, str], Parameter] = {}
        for place in (*item.items("parameters"), *at.items("parameters")):
            parameter = self._parameter(place)
            if parameter.place != "header" or parameter.name not in _IGNORED_HEADERS:
                found[parameter.place, parameter.name] = parameter
        named = {name for where, name in found if where == "path"}
        in_path = {part[1:-1] for part in path.split("/") if part.startswith("{") and part.endswith("}")}
        if named != in_path or path.count("{") != len(in_path):
            raise self._document.error(
                at.pointer, f"path parameters are {sorted(named)}, the path is {path} (one parameter a segment)"
            )
        return tuple(found.values())

    def _parameter(self, at: _At) -> Parameter:
        name = at.value.get("name")
        if not isinstance(name, str):
            raise self._document.error(at.pointer, "a parameter needs a name")
        place = next((place for place in _STYLES if place == at.value.get("in")), None)
        if place is None:
            raise self._document.error(f"{at.pointer}/in", f"parameters in {at.value.get('in')!r} are not supported")
        if at.value.get("style", _STYLES[place]) != _STYLES[place]:
            raise self._document.error(f"{at.pointer}/style", f"in {place}, only {_STYLES[place]} is supported")
        if "content" in at.value or "schema" not in at.value:
            raise self._document.error(at.pointer, "a parameter needs a schema; content is not supported")
        schema, pointer = at.member("schema")[1:]
        kinds = {kind for one in self._alternatives(schema, pointer) for kind in types_of(one)}
        many = place == "query" and "array" in kinds
        if "object" in kinds or ("array" in kinds and not many):
            raise self._document.error(pointer, f"{' or '.join(sorted(kinds))} in {place} is not supported")
        if many and at.value.get("explode", True) is not True:
            raise self._document.error(f"{at.pointer}/explode", "lists are supported as repeated parameters only")
        name = name.lower() if place == "header" else name
        return Parameter(
            name=name,
            place=place,
            required=at.value.get("required") is True,
            many=many,
            reader=self._reader(schema, pointer, text=True),
            default={name: schema["default"]} if "default" in schema else {},
        )

    def _alternatives(self, schema: Any, pointer: str) -> Iterator[dict[str, Any]]:
        """Yield the schema and all schemas that it leads to through references and choices."""
        pending, seen = [(schema, pointer)], set[str]()
        while pending:
            schema, pointer = self._document.follow(*pending.pop())
            if pointer not in seen and isinstance(schema, dict):
                seen.add(pointer)
                yield schema
                for keyword in ("anyOf", "oneOf", "allOf"):
                    for index, choice in enumerate(schema.get(keyword, ())):
                        pending.append((choice, f"{pointer}/{keyword}/{index}"))

    def _body(self, at: _At) -> Body:
        media = at.member("content").mapping()
        unread = [media_type for media_type in media.value if not is_json(media_type)]
        if unread or len(media.value) != 1:
            where = step(media.pointer, unread[0]) if unread else media.pointer
            raise self._document.error(where, "a request body is supported as JSON, in one media type")
        schema, pointer = next(iter(at.members("content").values())).mapping().member("schema")[1:]
        if schema is None:
            raise self._document.error(media.pointer, "a request body needs a schema")
        return Body(
            required=at.value.get("required") is True,
            reader=self._reader(schema, pointer, text=False),
            fields=frozenset(name for one in self._alternatives(schema, pointer) for name in one.get("properties", ())),
        )

    def _reader(self, schema: Any, pointer: str, *, text: bool) -> Reader:
        """Return the reader of a schema; a schema that is referred to repeatedly has one reader."""
        if (pointer, text) not in self._readers:
            self._readers[pointer, text] = compile_reader(
                self._document, schema, pointer, mode=self._coercion, text=text
            )
        return self._readers[pointer, text]

    def _responses(self, at: _At) -> dict[int, Response]:
        responses = {}
        for status, place in at.members("responses").items():
            if not (len(status) == 3 and status.isdecimal()):
                raise self._document.error(
                    place.pointer, "a status is three digits; ranges and default are not supported"
                )
            responses[int(status)] = self._response(int(status), place.mapping())
        if not responses:
            raise self._document.error(at.pointer, "an operation needs a response")
        return responses

    def _response(self, status: int, at: _At) -> Response:
        contents = at.members("content")
        if len(contents) > 1:
            raise self._document.error(f"{at.pointer}/content", "one media type a response is supported")
        content_type, schema, pointer = next(iter(contents), None), True, ""
        examples: dict[str, Any] = {}
        if content_type is not None:
            media = contents[content_type].mapping()
            pointer = media.pointer
            if "schema" in media.value:
                schema, pointer = media.member("schema")[1:]
            for name, example in media.members("examples").items():
                examples[name] = example.mapping().value.get("value")
            if "example" in media.value:
                examples = {"default": media.value["example"]}
        return Response(
            status=status,
            content_type=content_type,
            schema=schema,
            pointer=pointer,
            examples=examples,
        )
