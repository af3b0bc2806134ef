"""Makes text from a target safe to show on a terminal or a page."""

from collections.abc import Callable


def printable(text: str) -> str:
    """Return the text on one line, with control characters, ANSI escapes and direction overrides escaped."""
    return replace_unprintable(text, lambda character: repr(character)[1:-1])


def printable_json(text: str) -> str:
    """Escape the non-printable characters that json.dumps may leave in strings. The JSON value stays the same."""
    return "\n".join(replace_unprintable(line, _escaped) for line in text.split("\n"))


def replace_unprintable(text: str, replacement: Callable[[str], str] = lambda character: " ") -> str:
    """Replace each character that is not printable, by a space or by what `replacement` returns for it."""
    return text if text.isprintable() else "".join(c if c.isprintable() else replacement(c) for c in text)


def _escaped(character: str) -> str:
    raw = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{raw[at : at + 2].hex()}" for at in range(0, len(raw), 2))
