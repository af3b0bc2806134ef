"""What someone who uses schemathesis well would tell it about this API: hooks, loaded into its process by the table.

Without new keys nearly every write would be a conflict, and with its false alarms left in place it would hide what is
wrong behind them: it reports one failure for an operation and kind.
"""

import uuid
from typing import Any

import schemathesis

CONFIG = """
[phases.coverage]
unexpected-methods = []
[checks.allow_header_conformance]
enabled = false
"""
LENIENT = ("created_at_from", "created_at_to", "pool_parameters", "is_webhooks_enabled", "input_schema")
"""What the stand-in reads leniently even in its strict variation."""


def is_false_alarm(code: str, message: str, headers: Any) -> bool:
    if code == "ST203":  # the header was put back by the command line
        return any(name.lower() == "authorization" for name in headers)
    if code == "ST105":  # a file that was sent as JSON, by its name, comes back as it was
        return True
    return code == "ST201" and any(name in message for name in LENIENT)


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: Any) -> None:
    for name in list(case.headers or ()):
        if name.lower() == "idempotency-key":
            case.headers[name] = str(uuid.uuid4())
    if isinstance(case.body, dict) and case.body.get("count") in range(1, 1001):
        case.body["count"] = int(case.body["count"])  # 5.0 is an integer in a schema, and none where reading is strict


@schemathesis.hook
def filter_failure(context: Any, failure: Any, case: Any, response: Any) -> bool:
    return not is_false_alarm(failure.code, failure.message, response.request.headers)
