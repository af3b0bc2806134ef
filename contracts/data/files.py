"""Files of a request: names and contents that servers are known to change, refuse or fail on."""

import base64
import gzip
import itertools
import zlib
from collections.abc import Iterator
from typing import Any, Final

from contracts.data import limits
from contracts.data.combining import batches, in_turn

NAMES: Final = (
    *("a", "a.txt", "A.TXT", "null", "0", "a" * 100 + ".txt", "b" * 251 + ".txt"),
    *(".hidden", "archive.tar.gz", "no extension", "trailing.", "two  blanks.txt", "x.exe", "x.html", "x.json"),
    *("é.pdf", "e\u0301.pdf", "名前.csv", "emoji 😀.txt", "it's.txt", "comma,.txt", "semi;colon.txt"),
    *("a+b&c=d.txt", "#1.txt", "100%.txt", "%41.txt", "{x}.txt", "[1].txt", "~.txt", "@x.png", "=x.csv"),
)
UNSAFE_NAMES: Final = (
    *("", " ", ".", "..", "/", "\\", "../../etc/passwd", "a/b.txt", "C:\\x", "CON", "a:b", "*", '"'),
    *("\x00", "a\x00b", "a\nb", "a\r\nX: y", "\u202e", "\u200b", "a" * 300, "a" * 5000),
)
"""A server may refuse them."""
MARKED_NAME: Final = "contracts-«marker».txt"
"""A name that only files of one case have, so that a list of attachments shows which of them were stored."""
PATHS: Final = ("C:\\Temp\\a.txt", "/tmp/a.txt", "é/😀.txt", "%TEMP%\\a.txt", " a b ", "a//b/./c", "x" * 200)


def content(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def pattern(step: int, period: int, size: int) -> bytes:
    """Return the bytes of `index * step % period`."""
    return (bytes(index * step % period for index in range(period)) * (size // period + 1))[:size]


def file(name: str = "a.txt", raw: bytes = b"hello", **more: Any) -> dict[str, Any]:
    return {"filename": name, "content": content(raw), **more}


def unusual_contents() -> Iterator[bytes]:
    yield from (b"", b"\x00", b"a", b"ab", b"abc", b"abcd", b" padded \n", b"\n", b"\r\n", b"a\r\nb\n", b"\x00" * 16)
    yield from (b"\xff\xfe", b"\xef\xbb\xbfbom", "wide".encode("utf-16"), "é日😀".encode(), "é".encode("latin-1"))
    yield from (b'{"a": 1}', b"%PDF-1.4\n", b"PK\x03\x04 no archive", b"\x89PNG\r\n\x1a\n", bytes(range(256)))
    yield from (b"YWJj", b"aGVsbG8gd29ybGQ=")  # itself base64: shows whether content is encoded or decoded twice
    for text in (b"", b"unpacked", b"unpacked " * 1000):
        yield gzip.compress(text, mtime=0)
        yield zlib.compress(text)
    for size in limits.above(255, 2**18):
        yield pattern(7, 251, size)


def unusual_inputs() -> Iterator[list[dict[str, Any]]]:
    """Yield values of `file_inputs`: many files, unusual contents and names, all options, and files that are alike."""
    many = ([file(f"{n}.txt", str(n).encode()) for n in range(count)] for count in limits.above(1, 101))
    yield from in_turn((batches(_unusual_files(), 12), many))
    options: tuple[dict[str, Any], ...] = ({}, {"target_path": "C:\\x\\a.txt"})
    flags: tuple[dict[str, Any], ...] = ({}, *({"cleanup_imports_after_run": flag} for flag in (True, False)))
    pairs = itertools.product(options, flags)
    yield [file(f"{index}.txt", **option, **flag) for index, (option, flag) in enumerate(pairs)]
    yield [file("a.txt"), file("a.txt")]
    yield [file("a.txt", b"one"), file("a.txt", b"two")]
    yield [file("a.txt", b"same"), file("b.txt", b"same")]
    # Of one size, and equal but for the last or the first byte.
    yield [file(f"{part[:1].hex()}.txt", part) for part in (b"x" * 5000, b"x" * 4999 + b"y", b"z" + b"x" * 4999)]


def _unusual_files() -> Iterator[dict[str, Any]]:
    """Yield a file for each unusual content. The first ones have the unusual names, the others the unusual paths."""
    paths = itertools.cycle((None, *PATHS))
    for number, raw in enumerate(unusual_contents()):
        if number < len(NAMES):
            yield file(NAMES[number], raw, target_path="C:\\" + NAMES[number])
        else:
            yield file(f"{number}.txt", raw, target_path=next(paths))


def packed() -> list[dict[str, Any]]:
    """Return `file_inputs` with each unusual name, path and small content once."""
    raws = [raw for raw in unusual_contents() if len(raw) < 20_000]
    names = (*NAMES, *(f"{number}.txt" for number in range(len(raws) - len(NAMES))))
    return [
        file(name, raw, target_path=PATHS[number % len(PATHS)], cleanup_imports_after_run=number % 2 == 0)
        for number, (name, raw) in enumerate(zip(names, raws, strict=True))
    ]
