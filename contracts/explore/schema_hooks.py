"""The hooks that schemathesis loads: they keep its requests useful and harmless.

The hooks know nothing of rules. A failure is recorded and dropped, so that schemathesis neither spends time shrinking
it nor hides the next one of its kind: `contracts.explore.schema_fuzz` shrinks and deduplicates by our own means.
"""

import functools
import itertools
import json
import os
import uuid
from collections.abc import Collection
from pathlib import Path
from typing import Any, Final

import schemathesis

from contracts.core.json_tree import leaves
from contracts.explore.schema_plan import FRESH_KEY, VARIABLE, SchemaPlan
from contracts.openapi.schemas import SENSITIVE_FIELDS, is_uuid

_FEW_RUNS: Final = 5
_MANY_RUNS: Final = 10_000
"""A larger `count` is reduced, since the budget would not allow that many runs. It stays invalid."""


class CaseRewriter:
    """Rewrites the cases of one schemathesis process, and keeps the ids that it has seen."""

    def __init__(self, plan: SchemaPlan) -> None:
        self._plan = plan
        self.seen: set[str] = set(itertools.chain(*plan.paths.values(), plan.unknown))
        self.own: set[str] = set(self.seen)
        """The ids that a write may name: the others belong to scenarios that run in parallel."""
        self._paths = {name: itertools.cycle(ids) for name, ids in plan.paths.items() if ids}
        self._unknown = itertools.cycle(plan.unknown)
        self._turn = itertools.count()
        self.deleted: str | None = None

    def rewrite(self, case: Any) -> None:
        """Change a case to use ids that exist, recognisable secrets, new idempotency keys and few runs."""
        # `Case.meta` is not a documented part of schemathesis; see `schema_fuzz`.
        is_invalid = case.meta is None or case.meta.generation.mode.is_negative
        is_coverage = case.meta is not None and case.meta.phase.name.value == "coverage"
        for name in list(case.headers or ()):
            if name.lower() == "idempotency-key" and _is_plain_key(case.headers[name]):
                case.headers[name] = f"{FRESH_KEY}{uuid.uuid4()}"
        if isinstance(case.path_parameters, dict):
            ids = self.seen if case.operation.method.upper() == "GET" else self.own
            case.path_parameters = {n: self._path_id(n, value, ids) for n, value in case.path_parameters.items()}
        if isinstance(case.query, dict) and not is_invalid and "run_id" in case.query:
            case.query["run_id"] = self._path_id("run_id", case.query["run_id"], self.seen)
        if isinstance(case.body, dict):
            case.body = self._body(case.body, is_invalid=is_invalid, is_coverage=is_coverage)

    def _path_id(self, name: str, value: Any, ids: Collection[str]) -> Any:
        """Return the id to send. One run id in five becomes the run that was deleted last. An id that is not one of
        `ids` is replaced: three times out of four by one that exists, otherwise by one that does not.
        """
        if not is_uuid(value):
            return value
        turn = next(self._turn)
        if name == "run_id" and self.deleted is not None and turn % 5 == 0:
            return self.deleted
        if value in ids:
            return value
        if name in self._paths and turn % 4:
            return next(self._paths[name])
        return next(self._unknown)

    def _body(self, body: dict[str, Any], *, is_invalid: bool, is_coverage: bool) -> dict[str, Any]:
        """Return the body to send. In the coverage phase, valid counts and secrets are to be tested, and stay."""
        changed = dict(body)
        count = changed.get("count")
        if not is_coverage and isinstance(count, int | float) and _FEW_RUNS < count <= 1000 and count == int(count):
            changed["count"] = 1 + int(count) % _FEW_RUNS
        if isinstance(count, int) and count > _MANY_RUNS:
            changed["count"] = 1001 + count % 1000
        steps = changed.get("steps")
        if isinstance(steps, list):
            changed["steps"] = steps = [dict(step) if isinstance(step, dict) else step for step in steps]
        for each in (changed, *(steps if isinstance(steps, list) else ())):
            if isinstance(each, dict):
                for name in () if is_coverage else SENSITIVE_FIELDS:
                    if isinstance(each.get(name), dict):
                        each[name] = dict.fromkeys(each[name], self._plan.secret)
                if not is_invalid:
                    self._put_known_ids(each)
        return changed

    def _put_known_ids(self, body: dict[str, Any]) -> None:
        for name, ids in self._plan.known.items():
            if body.get(name) in (None, []):
                continue
            if not ids:
                del body[name]
            else:
                body[name] = ids[:1] if isinstance(body[name], list) else ids[0]

    def learn(self, case: Any, answer: bytes) -> None:
        """Keep the ids in a success, which count as existing from now on. After a delete, keep the id of the run."""
        if case.operation.method.upper() == "DELETE":
            self.deleted = (case.path_parameters or {}).get("run_id")
            return
        try:
            shown = {leaf for _, leaf in leaves(json.loads(answer)) if is_uuid(leaf)}
        except (ValueError, RecursionError):
            return
        self.seen |= shown
        if case.operation.method.upper() == "POST":
            self.own |= shown


def _is_plain_key(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) <= 255 and value.isascii() and value.isprintable()


@functools.cache
def rewriter() -> CaseRewriter:
    """Return the one instance of this process."""
    return CaseRewriter(SchemaPlan.read(Path(os.environ[VARIABLE])))


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: Any) -> None:
    rewriter().rewrite(case)


@schemathesis.hook
def after_call(context: Any, case: Any, response: Any) -> None:
    if response.status_code < 300:
        rewriter().learn(case, response.content)


@schemathesis.hook
def filter_failure(context: Any, failure: Any, case: Any, response: Any) -> bool:
    """Drop every failure: our oracle judges the answers."""
    return False
