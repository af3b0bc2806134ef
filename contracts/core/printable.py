"""Makes text from a target safe to show on a terminal or a page."""


def printable(text: str) -> str:
    """Return the text on one line, with control characters, ANSI escapes and direction overrides escaped."""
    return text if text.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def printable_json(text: str) -> str:
    """Escape the non-printable characters that json.dumps may leave in strings. The JSON value stays the same."""
    return "\n".join(
        line if line.isprintable() else "".join(c if c.isprintable() else _escaped(c) for c in line)
        for line in text.split("\n")
    )


def _escaped(character: str) -> str:
    raw = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{raw[at : at + 2].hex()}" for at in range(0, len(raw), 2))
