"""HTTP itself: methods, errors as JSON, and rate limits."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from contracts.conversation import JSON_HEADER, Talk, World, request_for
from contracts.exchange import TOKEN, Request
from contracts.oracle import operation_at, universal_violations
from contracts.rules.rule import Rule
from contracts.search import Scenario
from contracts.shapes import operations
from contracts.shrinking import Case

GROUP = "HTTP"
RULES = (
    Rule(
        "HTTP-METHOD",
        "api",
        "An undocumented method is refused",
        "A method that the document does not have for a path (HEAD and OPTIONS aside) is refused with a 4xx, usually "
        "405; where another path matches too, 404 and 422 are as good.",
        GROUP,
    ),
    Rule(
        "HTTP-ERROR-JSON",
        "api",
        "Every error is JSON with detail",
        "Each 4xx has content type application/json and an object with detail, also for unknown paths and wrong "
        "methods.",
        GROUP,
    ),
    Rule(
        "HTTP-LIMIT",
        "api",
        "A 429 says when to come back",
        "A 429 has Retry-After, in seconds or as an HTTP date.",
        GROUP,
    ),
)

METHODS: Final = ("GET", "POST", "PUT", "PATCH", "DELETE")


def run_method(talk: Talk, case: Case) -> None:
    path = talk.fill(case["path"])
    body = b"{}" if case["method"] in {"POST", "PUT", "PATCH"} else None
    headers = (("Authorization", TOKEN), *((JSON_HEADER,) if body is not None else ()))
    heard = talk.send(Request(case["method"], path, headers, body))
    if case["known"]:
        cause = f"{case['method']} is answered on {case['template']}"
        talk.require(heard.refused, "HTTP-METHOD", cause, "a 4xx", heard.words, heard)


def method_cases(world: World) -> Iterator[Case]:
    documented = {(method, path) for method, path in operations().values()}
    for template in dict.fromkeys(path for _, path in operations().values()):
        path = template
        for name in ("run_id", "attachment_id", "machine_id", "pool_id", "workflow_id"):
            path = path.replace("{" + name + "}", "«unknown»")
        for method in METHODS:
            if (method, template) not in documented:
                yield {"method": method, "path": path, "template": template, "known": True}
                if world.first_run is not None and "{run_id}" in template:
                    real = template.replace("{run_id}", world.first_run)
                    yield {"method": method, "path": real, "template": template, "known": True}


def path_cases(world: World) -> Iterator[Case]:
    for path in (
        "/",
        "/v1",
        "/v1/",
        "/v1/nothing",
        "/v2/runs",
        "/runs",
        "/v1/runs/«unknown»/nothing",
        "/v1/run",
        "/v1/runs/bulk/nothing",
        "/v1/runs/«unknown»/retry/x",
        "/nothing/é".replace("é", "%C3%A9"),
        "/v1/%00",
        "/v1/runs/«unknown»/cancel",
        "/v1/bulk",
    ):
        for method in METHODS:
            yield {"method": method, "path": path, "template": path, "known": False}


def run_many(talk: Talk, case: Case) -> None:
    """Many requests in a row, and writes at once. What the target put off was sent again, but is judged here."""
    world = talk.world
    for _ in range(case["reads"]):
        talk.call("list_runs", query=[("limit", "1")])
    if world.may_create and case["writes"]:
        keys = [talk.named(f"key:{number}") for number in range(case["writes"])]
        talk.send_together([request_for("bulk_create_runs", body={"count": 0}, key=key) for key in keys])
    for exchange in world.guard.throttled:
        world.count("HTTP-LIMIT")
        operation = operation_at(exchange.request.method, exchange.request.path)
        for violation in universal_violations(operation, exchange.answer, world.marks.forms, exchange.request):
            talk.fail(violation, exchange)


def many_cases(world: World) -> Iterator[Case]:
    yield {"reads": 220, "writes": 0}
    yield {"reads": 0, "writes": 6}


SCENARIOS = (
    Scenario("many requests", ("HTTP-LIMIT",), run_many, many_cases, creates=False, together=False, telling=1),
    Scenario(
        "undocumented methods",
        ("HTTP-METHOD", "HTTP-ERROR-JSON"),
        run_method,
        method_cases,
        creates=False,
        telling=1,
    ),
    Scenario(
        "unknown paths",
        ("HTTP-ERROR-JSON",),
        run_method,
        path_cases,
        creates=False,
        telling=1,
    ),
)
