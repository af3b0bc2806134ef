"""Texts that servers are known to change, refuse or fail on, by what they reveal.

All of them are valid wherever the contract takes a text. `UNUSUAL` is for requests that carry many texts at once;
`FEW` has the first one of each kind, for requests that carry one.
"""

from __future__ import annotations

from typing import Final

from contracts.data import limits
from contracts.openapi.schemas import MAX_TEXT

KINDS: Final[dict[str, tuple[str, ...]]] = {
    "empty": ("",),
    "blank": (" ", "\t", "\n", "\r"),
    "trimmed": ("  padded  ", " padded\n", "a\tb", "a  b"),
    "line ends": ("line\r\nline\n", "line\r\nline\t"),
    "NUL": ("a\x00b", "\x00", "\x00\x00"),
    "control characters": ("\x7f", "\x01\x02\x1f", "\x80\x9f"),
    "composed": ("é",),
    "decomposed": ("e\u0301", "A\u030a", "\u1e9b\u0323", "\u1112\u1161\u11ab"),
    "compatibility forms": ("ﬁ", "Ⅷ", "ĳ", "Ǆ", "𝔘𝔫𝔦"),
    "case": ("MiXed Case", "İ", "ı", "ß", "ẞ", "Σς"),
    "other scripts": ("日本語", "łŁ 日本", "한국어", "العربية", "עברית", "ไทย", "हिन्दी"),
    "beyond 16 bits": ("😀", "\U0010ffff"),
    "several characters in one": ("👨\u200d👩\u200d👧\u200d👦", "👩\u200d👧 😀", "🇩🇪", "👍🏽"),
    "line separators": ("\u2028", "\u2029"),
    "writing direction": ("\u202e",),
    "byte order mark": ("\ufeff",),
    "invisible": ("\u200b", "\u200d", "\u00a0", "\u00ad", "\ue000", "\uffff", "\ufffd"),
    "constants": ("null", "None", "undefined", "true", "false", "NaN", "Infinity", "-"),
    "numbers": ("5", "0", "1", "-1", "007", "0042", "123", "1.0", "1.5", "1e5", "0x1F"),
    "moments": ("2024-01-31T12:00:00+00:00", "2024-01-31T12:00:00Z", "2024-01-31", "12:00"),
    "UUIDs": ("3C90C3CC-0D44-4B50-8888-8DD25736052A", "3c90c3cc-0d44-4b50-8888-8dd25736052a"),
    "JSON": ('{"a": [1]}', "[]", "{}", '"{}"'),
    "double quotes": ('"', '"it\'s" \\ / <b>&amp;</b> %41 ${x} {{y}} $z'),
    "escapes": ("\\", "\\n", "\\u0041", "/"),
    "SQL": ("'; DROP TABLE runs; --", "'", "`x`"),
    "paths": ("../../etc/passwd", "..", "//", "C:\\Temp\\x", "a/b\\c"),
    "markup": ("<b>&amp;</b>", "<script>alert(1)</script>", "&lt;", 'it\'s "quoted" <b>&amp;'),
    "percent signs": ("%41%00", "%s%n", "a+b", "a&b=c", "a;b", "#", "?"),
    "templates": ("${x}", "{{x}}", "{x}", "$ref", "*", "~", "^", "a|b"),
    "sheets": ("=1+1", "@x", "a,b"),
    "addresses": ("https://example.com/?q=1", "mailto:a@b.example", "data:,x"),
    "words of the contract": ("password", "sensitive", "alias"),
    "encodings": ("dGVzdA==", "Basic dGVzdA=="),
}
SHORT: Final = tuple(text for kind in KINDS.values() for text in kind)

_WIDE: Final = ("é" * 300, "😀" * 257, "日" * 5000, "😀" * MAX_TEXT)
"""Long in bytes or in 16-bit units, though short in characters."""
_ALL_OF_LATIN: Final = "".join(chr(code) for code in range(1, 256) if chr(code) not in "«»")

_LENGTHS: Final = (*limits.sizes(15, 1024), *limits.above(1024, MAX_TEXT))

UNUSUAL: Final = (*SHORT, *("x" * length for length in _LENGTHS), *_WIDE, _ALL_OF_LATIN)
FEW: Final = (*(kind[0] for kind in KINDS.values()), *("x" * length for length in limits.few(64, MAX_TEXT)), *_WIDE)
