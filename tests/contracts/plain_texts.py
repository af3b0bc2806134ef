"""What is wrong with the texts of a finding, as a stranger reads them."""

import re
from collections.abc import Iterator

from contracts.core.findings import Finding

_PATTERNS = {
    "a count of others": re.compile(r"\b\d+ others?\b"),
    "a plural of one": re.compile(
        r"(?<![\w.,:#-])1 (of 1 |more |new |created |other )?(runs|items|bytes|files|errors|attachments|keys|steps)\b"
    ),
    "a whole id though it is the only one of its beginning": re.compile(
        r"([0-9a-f]{8})-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
    ),
    "a Python value": re.compile(
        r"(?<![\w\"'=-])(None|True|False)(?![\w\"'-])|<[\w.]+ object at|\bdict_keys\(|\{'|\['"
    ),
    "a text without words": re.compile(r"^[\d\W]*$"),
}


def unclear(finding: Finding) -> Iterator[str]:
    """Yield what is wrong, with the text."""
    for text in (finding.summary, finding.expected, finding.got, finding.neighbour, finding.guess):
        for problem, pattern in _PATTERNS.items() if text else ():
            found = pattern.search(text)
            is_ambiguous = found is not None and len(re.findall(f"{found[1]}-" if found.lastindex else "$^", text)) > 1
            if found is not None and not is_ambiguous:
                yield f"{problem}: {text}"
    if not finding.summary:
        yield "no summary"
