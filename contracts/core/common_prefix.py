"""Compares two texts from their beginning."""


def common_prefix_length(one: str, other: str) -> int:
    pairs = enumerate(zip(one, other, strict=False))
    return next((length for length, (a, b) in pairs if a != b), min(len(one), len(other)))
