"""Decodes the bodies of requests and answers that are compressed with gzip or deflate."""

import contextlib
import zlib


def inflated(raw: bytes, max_bytes: int) -> bytes | None:
    """Return the decoded bytes; None if they are neither gzip nor deflate, or were cut. Of more than `max_bytes`, only
    the first `max_bytes + 1` are returned.
    """
    for wbits in (zlib.MAX_WBITS | 32, -zlib.MAX_WBITS):  # with the header of gzip or zlib, or without one
        inflater = zlib.decompressobj(wbits)
        with contextlib.suppress(zlib.error):
            decoded = inflater.decompress(raw, max_bytes + 1)
            if inflater.eof or len(decoded) > max_bytes:
                return decoded
    return None
