"""Numbers with their nouns, in words."""


def counted(number: int, noun: str, *verb: str) -> str:
    """Return the number with its noun: "no runs", "1 run", "2,000 runs"; with the `verb` "is", "are": "1 run is"."""
    words = f"{number:,} {noun}{'' if number == 1 else 's'}" if number else f"no {noun}s"
    return f"{words} {verb[number != 1]}" if verb else words
