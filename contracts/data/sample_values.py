"""One object with every kind of value that servers are known to change, small enough for every operation.

The cases with `boundary_values` try each value separately. This object takes a sample of all of them through every
operation that writes or returns values.
"""

from __future__ import annotations

from typing import Any, Final

from contracts.data.boundary_values import nested

VALUES: Final[dict[str, Any]] = {
    "whole double": 2.0,
    "negative whole double": -5.0,
    "double": 0.1234567890123,
    "small double": 5e-324,
    "large double": 1e22,
    "integer": 1,
    "zero": 0,
    "negative": -7,
    "beyond doubles": 2**53 + 1,
    "beyond 64 bits": 2**64 + 3,
    "digits": "0042",
    "numeric": "1.0",
    "true": True,
    "false": False,
    "null": None,
    "words": ["true", "false", "null", "None", "NaN", " padded\n", "", {" padded ": " padded "}],
    "moment": "2024-01-31T12:00:00+00:00",
    "uuid": "3C90C3CC-0D44-4B50-8888-8DD25736052A",
    "empty": "",
    "blank": " ",
    "padded": "  padded\t",
    "lines": "one\r\ntwo\n",
    "nul": "a\x00b",
    "control": "\x01\x1f\x7f",
    "latin": "é",
    "decomposed": "e\u0301",
    "compatible": "ﬁⅧ",
    "beyond latin": "łŁ€ß日本語",
    "emoji": "👩\u200d👧 😀",
    "marks": "\u200b\u2028\ufeff",
    "quoted": '"it\'s" \\ / <b>&amp;</b> %41 ${x} {{y}} $z',
    "json": '{"a": [1]}',
    "long": "xy" * 300,
    "name" * 70: "a long name",
    "list": [1, 1.0, "1", True, None, [], {}, [[0.5, False]], {"a": None}],
    "repeated": ["b", "a", "b", 1, 1],
    "object": {"b": {"a": {"list": [{"deep": 3.0, "null": None}], "empty": {}}}, "none": []},
    "empty list": [],
    "empty object": {},
    "deep": nested(56, kind="mixed"),
    "many": {f"k{index}": index for index in range(130)},
    "series": list(range(130)),
    "": "no name",
    " a ": "a padded name",
    "é": 1,
    "e\u0301": 2,
    "😀": "a name beyond the plane",
    "CASE": 1,
    "case": 2,
    "a.b": 1,
    "a": {"b": 2},
    "$ref": "x",
    "__proto__": {"x": 1},
    "7": "seven",
    "status": "success",
    "id": 5,
}
