"""A stranger's words as a terminal and a page can show them."""

from __future__ import annotations


def printable(text: str) -> str:
    """In one line, and without what a terminal would obey: control characters, ANSI, overrides of the direction."""
    return text if text.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def printable_json(text: str) -> str:
    """A JSON text of the same value: what json.dumps leaves as it is within strings, though it is not printable."""
    return "".join(c if c.isprintable() or c == "\n" else _escaped(c) for c in text)


def _escaped(character: str) -> str:
    raw = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{raw[at : at + 2].hex()}" for at in range(0, len(raw), 2))
