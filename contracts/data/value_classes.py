"""Values that stores, languages and libraries are known to change or to refuse, in classes, each with its reason.

All values are valid wherever the contract takes a text, a member name or any JSON value. `value_packs` puts them into
bodies; `texts` and `json_values` pick single ones for requests that carry few.
"""

from dataclasses import dataclass, field
from typing import Any, Final

from contracts.data import limits
from contracts.openapi.schemas import MAX_DIGITS

Json = Any


@dataclass(frozen=True, slots=True)
class ValueClass:
    """`is_often_refused`: the values are sent apart from those of other classes, whose faults a refusal would hide.

    `is_whole_text`: a server recognises such a value only as the whole text, so it cannot be joined with others. For a
    field that takes one text, the values of all other classes are joined into one text.
    """

    reason: str
    values: tuple[Json, ...]
    is_often_refused: bool = field(default=False, kw_only=True)
    is_whole_text: bool = field(default=False, kw_only=True)


IN_TEMPLATES: Final = "x"
"""The name in the templates. `value_packs` puts a member of this name beside them."""
TEXTS: Final[dict[str, ValueClass]] = {
    "empty": ValueClass("Oracle and many form libraries take an empty text for null", ("",), is_whole_text=True),
    "blank": ValueClass("a text that is empty once it is trimmed", (" ", "\t", "\n", "\r"), is_whole_text=True),
    "trimmed": ValueClass(
        "strip() on input; CHAR columns and headers lose spaces at the ends",
        ("  padded  ", " padded\n", "a\tb", "a  b"),
    ),
    "line ends": ValueClass("HTML forms and XML normalise line ends", ("line\r\nline\n", "line\r\nline\t", "a\rb")),
    "NUL": ValueClass(
        "PostgreSQL refuses NUL in text and jsonb; C libraries end a text there",
        ("a\x00b", "\x00", "\x00\x00"),
        is_often_refused=True,
    ),
    "control characters": ValueClass(
        "XML forbids them; log and terminal filters remove them",
        ("\x7f", "\x01\x02\x1f", "\x80\x9f"),
        is_often_refused=True,
    ),
    "composed": ValueClass("NFD decomposes (HFS+ and Apple APIs)", ("é",)),
    "decomposed": ValueClass(
        "NFC composes: many web frameworks and browsers", ("e\u0301", "A\u030a", "\u1e9b\u0323", "\u1112\u1161\u11ab")
    ),
    "compatibility forms": ValueClass(
        "NFKC folds them: search indexes, identifiers, SASLprep", ("ﬁ", "Ⅷ", "ĳ", "Ǆ", "𝔘𝔫𝔦", "ｆｕｌｌ", "①²")
    ),
    "case": ValueClass("lower() and upper(), case-insensitive collations", ("MiXed Case", "İ", "ı", "ß", "ẞ", "Σς")),
    "other scripts": ValueClass(
        "latin-1 and cp1252 connections replace them by ?",
        ("日本語", "łŁ 日本", "한국어", "العربية", "עברית", "ไทย", "हिन्दी"),
    ),
    "beyond 16 bits": ValueClass(
        "MySQL's utf8 holds 3 bytes only; UTF-16 cuts pairs in two", ("😀", "\U0010ffff"), is_often_refused=True
    ),
    "several characters in one": ValueClass(
        "emoji filters and truncation split sequences",
        ("👨\u200d👩\u200d👧\u200d👦", "👩\u200d👧 😀", "🇩🇪", "👍🏽", "❤\ufe0f"),
    ),
    "line separators": ValueClass("JavaScript took them for line ends; splitlines() does", ("\u2028", "\u2029")),
    "writing direction": ValueClass("removed as a spoofing character", ("\u202e",), is_often_refused=True),
    "byte order mark": ValueClass("utf-8-sig and many readers remove it", ("\ufeff", "\ufeffa")),
    "invisible": ValueClass(
        "strip() and sanitizers remove them or make them spaces",
        ("\u200b", "\u200d", "\u00a0", "\u00ad", "\ue000", "\uffff", "\ufffd"),
    ),
    "constants": ValueClass(
        "YAML, form and config readers turn them into null, booleans or NaN",
        ("null", "None", "undefined", "true", "false", "True", "yes", "no", "on", "off", "NaN", "Infinity", "-", "~"),
        is_whole_text=True,
    ),
    "numbers": ValueClass(
        "YAML, CSV, spreadsheets and loose casts read a number",
        ("5", "0", "1", "-1", "007", "0042", "123", "1.0", "1.50", "1e5", "1e3", "0x1F", "1_000", "1,5", "+5"),
        is_whole_text=True,
    ),
    "long numbers": ValueClass(
        "a number that a double does not hold: ids lose their last digits",
        ("9007199254740993", "1" + "0" * 25),
        is_whole_text=True,
    ),
    "moments": ValueClass(
        "readers turn them into dates, stores into UTC",
        ("2024-01-31T12:00:00+00:00", "2024-01-31T12:00:00Z", "2024-01-31T13:00:00+01:00", "2024-01-31", "12:00"),
        is_whole_text=True,
    ),
    "UUIDs": ValueClass(
        "a UUID type writes them in lower case",
        ("3C90C3CC-0D44-4B50-8888-8DD25736052A", "3c90c3cc-0d44-4b50-8888-8dd25736052a"),
        is_whole_text=True,
    ),
    "JSON": ValueClass(
        "a column of JSON text is parsed twice", ('{"a": [1]}', "[]", "{}", '"{}"', '"quoted"'), is_whole_text=True
    ),
    "double quotes": ValueClass("quoting by hand", ('"', '"it\'s" \\ / <b>&amp;</b> %41 ${x} {{y}} $z')),
    "escapes": ValueClass("unescaping once too often", ("\\", "\\n", "\\u0041", "/", "\\u0000")),
    "SQL": ValueClass("quotes doubled or removed by filters", ("'; DROP TABLE runs; --", "'", "`x`")),
    "paths": ValueClass(
        "path filters normalise them", ("../../etc/passwd", "..", "//", "C:\\Temp\\x", "a/b\\c", "\\\\server\\x")
    ),
    "markup": ValueClass(
        "HTML is escaped, or tags are removed",
        ("<b>&amp;</b>", "<script>alert(1)</script>", "&lt;", 'it\'s "quoted" <b>&amp;'),
    ),
    "percent signs": ValueClass(
        "decoded as a URL or used as a format", ("%41%00", "%s%n", "a+b", "a&b=c", "a;b", "#", "?")
    ),
    "templates": ValueClass(
        "environment variables and templates are filled in",
        (
            *(form.replace("name", IN_TEMPLATES) for form in ("${name}", "{{name}}", "{name}", "%(name)s", ":name")),
            "$ref",
            "*",
            "^",
            "a|b",
            "$HOME",
        ),
    ),
    "sheets": ValueClass("prefixed with a quote against formulas", ("=1+1", "@x", "a,b")),
    "addresses": ValueClass("links are rewritten", ("https://example.com/?q=1", "mailto:a@b.example", "data:,x")),
    "words of the contract": ValueClass("filters for secrets mask them", ("password", "sensitive", "alias")),
    "encodings": ValueClass(
        "decoded because they look like base64", ("dGVzdA==", "Basic dGVzdA=="), is_whole_text=True
    ),
}

KEYS: Final[dict[str, ValueClass]] = {
    "empty and blank": ValueClass(
        "stores that need a name drop or refuse them", ("", " ", "\n"), is_often_refused=True
    ),
    "trimmed": ValueClass("names are trimmed", ("a b", " a", "a ", " a ")),
    "case": ValueClass(
        "names are folded, or converted between camel and snake case",
        ("A", "aA", "ID", "CASE", "case", "camelCase", "snake_case", "kebab-case", "UPPER"),
    ),
    "paths": ValueClass(
        "MongoDB and JSON paths read a dot as nesting",
        ("a", "a.b", "a/b", "a[0]", "a[b]", "/", "*"),
        is_often_refused=True,
    ),
    "operators": ValueClass(
        "MongoDB refuses or drops names with $; JSON-LD and XML mappers take @ and #",
        ("$ref", "$set", "$where", "@type", "#", "_private"),
        is_often_refused=True,
    ),
    "prototypes": ValueClass(
        "JavaScript loses or filters them against prototype pollution",
        ("__proto__", "constructor", "prototype", "__class__", "toString"),
    ),
    "numbers": ValueClass(
        "PHP and JavaScript make them indexes, and sort them first; typed maps write them as numbers",
        ("10", "0", "1", "-1", "7", "007", "1.0", "1e3"),
    ),
    "constants": ValueClass("YAML and typed maps read another type", ("null", "true", "None")),
    "names of the contract": ValueClass(
        "flattening or merging mixes them up with the fields of a run",
        ("id", "status", "error", "count", "session_id", "workflow_id", "machine_id", "pool_ids"),
    ),
    "names of objects": ValueClass(
        "models and mappers have members of these names",
        ("input_values", "file_inputs", "created_at", "output_data", "type", "self"),
    ),
    "other scripts": ValueClass("connections and normal forms, as in texts", ("é", "e\u0301", "ﬁ", "日本", "😀")),
    "NUL": ValueClass("PostgreSQL refuses it, in names too", ("\x00", "a\x00"), is_often_refused=True),
    "escapes": ValueClass("quoting by hand", ('"', "\\", "'", "%41", "<b>")),
    "templates": ValueClass("a format or template contains the name", ("{x}", "{0}", "{", "%s", "${x}")),
    "long": ValueClass(
        "columns and indexes of names have 64 or 255 characters",
        tuple("x" * length for length in (*limits.around(64, 255), 1000)),
    ),
}

_WIDE_LIMITS: Final = limits.around(*(sign * width for width in limits.WIDTHS for sign in (1, -1)))
NUMBERS: Final[dict[str, ValueClass]] = {
    "small integers": ValueClass("0 and 1 become booleans", (0, 1, -1, 2)),
    "limits of integer types": ValueClass(
        "32 and 64 bits wrap or are refused; doubles round above 2**53", _WIDE_LIMITS, is_often_refused=True
    ),
    "large integers": ValueClass(
        "no fixed type holds them; readers of JSON make doubles of them",
        (10**19, 10**21, 2**128 + 1, 10**40 + 7, 10**100 + 1),
        is_often_refused=True,
    ),
    "longest integers": ValueClass(
        "limits of digits",
        (10 ** (MAX_DIGITS - 1) + 7, -(10 ** (MAX_DIGITS - 1)) - 7, 10**MAX_DIGITS - 1),
        is_often_refused=True,
    ),
    "whole doubles": ValueClass(
        "JavaScript and jsonb write integers",
        (0.0, 1.0, -1.0, 5.0, 100.0, 1e3, 1e15, 1e16, 1e17, 1e21, 1e22, 1e23, -1e22, 1e100),
    ),
    "negative zero": ValueClass("decimal types have none; JavaScript writes 0", (-0.0,)),
    "many digits": ValueClass(
        "single precision, decimals of few places, short output formats",
        (0.5, 1.5, -1.5, 0.1, 0.1 + 0.2, 1 / 3, 4.35, 2.675, 0.07, 3.141592653589793, 123456789.12345679),
    ),
    "end of whole numbers": ValueClass(
        "where doubles and singles no longer hold every integer", (9007199254740993.0, 16777217.0)
    ),
    "small doubles": ValueClass("fixed-point output writes 0", (1e-5, 1e-7, 1e-10)),
    "denormals": ValueClass(
        "flushed to zero, or out of range", (5e-324, 2.2250738585072014e-308, -5e-324), is_often_refused=True
    ),
    "largest doubles": ValueClass(
        "out of range for decimals and singles",
        (1.7976931348623157e308, -1.7976931348623157e308),
        is_often_refused=True,
    ),
}

STRUCTURES: Final[dict[str, ValueClass]] = {
    "booleans and null": ValueClass("booleans become numbers, null is dropped", (True, False, None)),
    "empty containers": ValueClass("empty objects and lists become null, or one another (PHP)", ({}, [], [[]], [{}])),
    "empty members": ValueClass("exclude_none and clean-up of empty members", ({"a": {}}, {"a": []}, {"a": ""})),
    "null members": ValueClass(
        "dropped by exclude_none and merge patches", ({"a": None}, {"a": 1, "b": None}, {"x": [{"y": [{"z": None}]}]})
    ),
    "null items": ValueClass("dropped by compaction", ([None], [None, None], [1, None, 2])),
    "repeated items": ValueClass(
        "stores of sets drop repeats", ([1, 1, 1], ["b", "a", "b", 1, 1], [{"a": 1}, {"a": 1}])
    ),
    "order": ValueClass("stores of sets sort", (["b", "a"], {"b": 1, "a": 2}, [3, 1, 2], ["B", "a", "C"])),
    "types that compare equal": ValueClass(
        "sets and caches take 1, 1.0 and true for one value",
        ([1, "1", 1.0, True, None], [True, False], [0, False, "", None, [], {}]),
    ),
    "lists in lists": ValueClass("PostgreSQL arrays and Firestore have none", ([[1], [2, [3]]], [[0.5, False]])),
    "single items": ValueClass("a list of one is unwrapped (XML and query mappers)", ([1], ["x"], [[1]], [{"a": 1}])),
    "objects in objects": ValueClass(
        "flattening and shallow copies",
        ({"a": {"a": {"a": 1}}}, {"b": {"a": {"list": [{"deep": 3.0}], "empty": {}}}, "none": []}),
    ),
    "keys that differ by case": ValueClass("case-insensitive maps keep one of them", ({"a": 1, "A": 2},)),
    "keys that fold": ValueClass(
        "normal forms and trimming make one of two", ({"é": 1, "e\u0301": 2}, {"x": 1, "x ": 2}, {"ß": 1, "ss": 2})
    ),
    "keys that look like paths": ValueClass("unflattening", ({"a.b": 1, "a": {"b": 2}},)),
    "keys of a list": ValueClass("objects with the names 0, 1, … become lists", ({"0": "a", "1": "b"},)),
    "typed objects": ValueClass(
        "readers of extended JSON make other types of them",
        ({"$date": "2024-01-31T12:00:00Z"}, {"$oid": "0" * 24}, {"$numberLong": "5"}, {"__type__": "x"}),
        is_often_refused=True,
    ),
}
