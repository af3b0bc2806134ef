"""Numbers with their nouns, in words."""


def counted(number: int, noun: str) -> str:
    """Return the number with its noun: "no runs", "1 run", "2,000 runs"."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}" if number else f"no {noun}s"
