"""Makes replies from the document alone, for operations without a behaviour: from its examples, else its schemas."""

import base64
import math
import string
import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from random import Random
from typing import Any

from mockserver.spec.document import Document, step, types_of
from mockserver.spec.operation import Operation, is_json

# Limits on the depth and the number of values. Past the _OPTIONAL limits, optional parts are left out; past the _MAX
# limits, the schema is refused: it is assumed that no value of it ends.
_OPTIONAL_DEPTH = 6
_MAX_DEPTH = 60
_OPTIONAL_SIZE = 1_000
_MAX_SIZE = 100_000

# fmt: off
_WORDS = (
    "amber", "birch", "cedar", "delta", "ember", "fjord", "grove", "heron", "ivory", "jade", "kelp", "lotus", "maple",
    "north", "ocean", "pearl", "quartz", "river", "slate", "tulip", "umber", "violet", "willow", "zephyr",
)
# fmt: on
_FIRST_MOMENT = datetime(2024, 1, 1, tzinfo=UTC)


def reply(
    operation: Operation, status: int, *, name: str | None = None, dynamic: bool = False, seed: str = ""
) -> tuple[str | None, Any]:
    """Return the content type and the value of a valid reply; the same arguments give the same reply.

    Without `dynamic`, uses a documented example if there is one: the first that is about the operation. With it, makes
    the value from the schema, depending on the seed. Content that is not JSON is bytes; a reply without a body is
    (None, None).

    Raises KeyError if the operation does not document the status or the example; SpecError if no value can be made
    for the schema (for example a pattern without an example).
    """
    response = operation.responses[status]
    if response.content_type is None:
        if name is not None:
            raise KeyError(name)
        return None, None
    if name is not None or (response.examples and not dynamic):
        value = response.examples[_name_of_fitting(operation, response.examples) if name is None else name]
    else:
        random = Random(f"{operation.operation_id} {status} {seed if dynamic else ''}")
        value = from_schema(operation.document, response.schema, response.pointer, random, vary=dynamic)
    if not is_json(response.content_type):
        value = value if isinstance(value, bytes) else str(value).encode()
    return response.content_type, value


def _name_of_fitting(operation: Operation, examples: Mapping[str, Any]) -> str:
    """Return the name of the first example that only has violations which requests of the operation can have.

    Operations share the examples of their errors, and not all of them have the parameters that these are about.
    """
    parameters = {(parameter.place, parameter.name) for parameter in operation.parameters}

    def can_have(violation: Any) -> bool:
        match violation.get("loc") if isinstance(violation, dict) else None:
            case ["body", str(field), *_]:
                return operation.body is not None and field in operation.body.fields
            case ["body", *_]:
                return operation.body is not None
            case [str(place), str(name), *_]:
                return (place, name.lower() if place == "header" else name) in parameters
            case _:
                return True

    for name, example in examples.items():
        violations = example.get("detail") if isinstance(example, dict) else None
        if not isinstance(violations, list) or all(map(can_have, violations)):
            return name
    return next(iter(examples))


def from_schema(document: Document, schema: Any, pointer: str, random: Random, *, vary: bool) -> Any:
    """Make a value that is valid for the schema.

    With `vary`, every choice that the schema leaves open is drawn from `random`. Without it, uses examples, defaults
    and the first of several choices, and includes all optional properties.

    Raises SpecError if no value is found.
    """
    return _Maker(document, random, vary).make(schema, pointer, 0)


class _Maker:
    def __init__(self, document: Document, random: Random, vary: bool) -> None:
        self._document = document
        self._random = random
        self._vary = vary
        self._made = 0

    def make(self, schema: Any, pointer: str, depth: int) -> Any:
        schema, pointer = self._document.follow(schema, pointer)
        self._made += 1
        if depth > _MAX_DEPTH or self._made > _MAX_SIZE:
            raise self._document.error(pointer, "the schema is too deeply recursive to generate a value")
        if isinstance(schema, bool):
            return self._anything()
        if not self._vary:
            for documented in (schema.get("examples"), [schema["example"]] if "example" in schema else None):
                if documented:
                    return documented[0]
            if "default" in schema:
                return schema["default"]
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            return self._pick(schema["enum"])
        for keyword in ("anyOf", "oneOf", "allOf"):
            if keyword in schema:
                return self._choose(schema[keyword], f"{pointer}/{keyword}", depth)
        kinds = types_of(schema)
        if not kinds:
            return self._anything()
        kind = self._pick(kinds)
        if kind == "object":
            return self._object(schema, pointer, depth)
        if kind == "array":
            return self._array(schema, pointer, depth)
        if kind == "string":
            return self._text(schema, pointer)
        if kind == "integer":
            return self._integer(schema, pointer)
        if kind == "number":
            return self._number(schema, pointer)
        return None if kind == "null" else self._vary and self._random.random() < 0.5

    def _has_room(self, depth: int) -> bool:
        return depth <= _OPTIONAL_DEPTH and self._made <= _OPTIONAL_SIZE

    def _pick(self, values: Any) -> Any:
        return self._random.choice(values) if self._vary else values[0]

    def _word(self) -> str:
        return self._random.choice(_WORDS)

    def _anything(self) -> Any:
        return self._pick([{}, self._word(), self._random.randrange(100), True, None, [self._word()]])

    def _choose(self, choices: list[Any], pointer: str, depth: int) -> Any:
        indices = list(range(len(choices)))
        nulls = [i for i in indices if isinstance(choices[i], dict) and choices[i].get("type") == "null"]
        if nulls and not self._has_room(depth):
            return None
        index = self._random.choice(indices) if self._vary else next((i for i in indices if i not in nulls), 0)
        return self.make(choices[index], f"{pointer}/{index}", depth + 1)

    def _object(self, schema: dict[str, Any], pointer: str, depth: int) -> dict[str, Any]:
        properties = schema.get("properties")
        if not properties:
            return self._map(schema, pointer, depth)
        required = schema.get("required", ())
        return {
            name: self.make(member, step(f"{pointer}/properties", name), depth + 1)
            for name, member in properties.items()
            if name in required or (self._has_room(depth) and (not self._vary or self._random.random() < 0.7))
        }

    def _map(self, schema: dict[str, Any], pointer: str, depth: int) -> dict[str, Any]:
        values = schema.get("additionalProperties", True)
        fewest = schema.get("minProperties", 0)
        most = 0 if values is False else schema.get("maxProperties", fewest + 3)
        size = self._random.randint(fewest, max(fewest, most)) if self._vary and self._has_room(depth) else fewest
        if size > most:
            raise self._document.error(f"{pointer}/minProperties", "minProperties exceeds maxProperties")
        return {
            f"{self._word()}_{index}": self.make(values, f"{pointer}/additionalProperties", depth + 1)
            for index in range(size)
        }

    def _array(self, schema: dict[str, Any], pointer: str, depth: int) -> list[Any]:
        fewest = schema.get("minItems", 0)
        length = fewest
        if self._has_room(depth):
            most = min(schema.get("maxItems", math.inf), fewest + 3)
            length = self._random.randint(fewest, most) if self._vary else max(fewest, min(most, 1))
        items = schema.get("items", True)
        return [self.make(items, f"{pointer}/items", depth + 1) for _ in range(length)]

    # --- Leaf values

    def _text(self, schema: dict[str, Any], pointer: str) -> str:
        if "pattern" in schema:
            raise self._document.error(f"{pointer}/pattern", "cannot generate text for a pattern; add an example")
        form = _FORMS.get(schema.get("format", ""))
        if form is not None:
            return form(self._random)
        text = f"{self._word()} {self._word()}"
        fewest, most = schema.get("minLength", 0), schema.get("maxLength", math.inf)
        while len(text) < fewest:
            text += self._random.choice(string.ascii_lowercase)
        return text if len(text) <= most else text[: int(most)]

    def _integer(self, schema: dict[str, Any], pointer: str) -> int:
        return int(self._on_grid(schema, pointer, Fraction(1)))

    def _number(self, schema: dict[str, Any], pointer: str) -> float:
        return float(self._on_grid(schema, pointer, Fraction(1, 100)))

    def _on_grid(self, schema: dict[str, Any], pointer: str, fineness: Fraction) -> Fraction:
        """Return a number within the bounds that is a multiple of `multipleOf`, or else of `fineness`."""
        grid = Fraction(str(schema["multipleOf"])) if "multipleOf" in schema else fineness
        if fineness == 1:
            grid = Fraction(grid.numerator)  # a fraction's integer multiples
        floors = [math.ceil(_exact(schema["minimum"]) / grid)] if "minimum" in schema else []
        if "exclusiveMinimum" in schema:
            floors.append(math.floor(_exact(schema["exclusiveMinimum"]) / grid) + 1)
        ceilings = [math.floor(_exact(schema["maximum"]) / grid)] if "maximum" in schema else []
        if "exclusiveMaximum" in schema:
            ceilings.append(math.ceil(_exact(schema["exclusiveMaximum"]) / grid) - 1)
        lowest = max(floors) if floors else min([0, *ceilings])
        highest = min(ceilings) if ceilings else lowest + 100
        if lowest > highest:
            raise self._document.error(pointer, "no number is within these bounds")
        return grid * (self._random.randint(lowest, highest) if self._vary else lowest)


def _exact(number: Any) -> Fraction:
    return Fraction(str(number))


def _uuid(random: Random) -> str:
    return str(uuid.UUID(int=random.getrandbits(128), version=4))


def _moment(random: Random) -> datetime:
    return _FIRST_MOMENT + timedelta(seconds=random.randrange(2 * 365 * 86_400))


def _word(random: Random) -> str:
    return random.choice(_WORDS)


_FORMS: Mapping[str, Callable[[Random], str]] = {
    "uuid": _uuid,
    "date-time": lambda random: _moment(random).isoformat().replace("+00:00", "Z"),
    "date": lambda random: _moment(random).date().isoformat(),
    "time": lambda random: _moment(random).time().isoformat() + "Z",
    "byte": lambda random: base64.b64encode(_word(random).encode()).decode(),
    "email": lambda random: f"{_word(random)}@example.com",
    "hostname": lambda random: f"{_word(random)}.example.com",
    "ipv4": lambda random: f"192.0.2.{random.randrange(256)}",
    "ipv6": lambda random: f"2001:db8::{random.randrange(1, 65536):x}",
    "uri": lambda random: f"https://example.com/{_word(random)}",
}
