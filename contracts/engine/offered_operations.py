"""Finds out which operations a target offers, with requests that it must refuse if they are writes (probes).

An operation with an unexpected answer counts as offered; the rules then report the fault.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from contracts.core.exchange import Answer, Request
from contracts.core.json_tree import is_json
from contracts.core.made_up import MadeUp
from contracts.engine.check_context import CheckContext
from contracts.engine.request_building import path_for, request_for
from contracts.guard import NoAnswer, OutOfBudget, Refused
from contracts.openapi.router import operation_at
from contracts.openapi.schemas import UNREAD, operations
from contracts.oracle import CREATES, accepts

_NOT_THERE = frozenset({404, 405})
_CREATES_OTHER_RESOURCES = frozenset({"create_pool", "create_workflow"})
"""A live check does not probe them for 405: a broken server might create something that cannot be deleted."""


@dataclass(eq=False)
class OfferedOperations:
    """`send` returns None if the request was refused or no answer came. `real_ids` returns ids that exist for the
    parameter of a path.
    """

    check: CheckContext
    made_up_ids: MadeUp
    send: Callable[[Request], Answer | None]
    real_ids: Callable[[str], list[str]]
    _unknown_path_answer: Answer | None = None

    def find_not_offered(self) -> None:
        by_path: dict[str, list[str]] = {}
        for name, (_, path) in operations().items():
            if name not in {"bulk_create_runs", "health_check"}:
                by_path.setdefault(path, []).append(name)
        for path, names in by_path.items():
            if not self._is_offered(path):
                for name in names:
                    self.check.not_offered[name] = f"every probe of {path} is 404 or 405"
                continue
            for name in names if len(names) > 1 or path == "/v1/runs/chain" else ():
                method = operations()[name][0]
                is_probed = method != "GET" and not (self.check.is_live and name in _CREATES_OTHER_RESOURCES)
                if is_probed and not self._is_routed(method, path):
                    self.check.not_offered[name] = f"{method} {path} is 405, whatever the id"

    def _is_routed(self, method: str, path: str) -> bool:
        """Return whether an offered path has this method. Only a 405 shows that it does not, both for an unknown id and
        for a malformed one. A live check sends only the unknown id.
        """
        if method == "DELETE" and self.check.is_live:
            try:
                return self.check.guard.offers_delete()
            except (Refused, NoAnswer):
                return True
        ids = [""]
        if "{" in path:
            ids = [self._made_up()] if self.check.is_live else [self._made_up(), "not-a-uuid"]
        probes = [self._probe(method, path_for(path, resource_id)) for resource_id in ids]
        answers = list(map(self.send, probes))
        return any(answer is None or answer.status != 405 for answer in answers)

    def _is_offered(self, path: str) -> bool:
        """Return whether any probe gets a status other than 404 and 405. Also true if the budget is used up, or if no
        probe with a documented method got an answer: the rules then report what they find.
        """
        documented = _documented_methods(path)
        probed = False
        for request in self._probes(path):
            try:
                answer = self.check.guard.send(request).answer
            except OutOfBudget:
                return True
            except (Refused, NoAnswer):
                continue
            if answer.status not in _NOT_THERE:
                return True
            probed |= request.method in documented
            if self.check.is_live and request.method == "GET" and answer.status == 404:
                # A live check sends few probes: it compares the 404 with that of a path that does not exist.
                return answer.body != self._answer_of_unknown_path().body
        return not probed

    def answers_any_path(self, listed: Answer) -> bool:
        """Return whether a path that does not exist has the same answer as the list of runs, or both are not JSON."""
        unknown = self._answer_of_unknown_path()
        if not accepts(unknown):
            return False
        return unknown.body == listed.body or not (is_json(unknown.body) or is_json(listed.body))

    def _answer_of_unknown_path(self) -> Answer:
        if self._unknown_path_answer is None:
            answer = self.send(self._probe("GET", "/v1/nothing-is-here"))
            self._unknown_path_answer = Answer(0, (), b"") if answer is None else answer
        return self._unknown_path_answer

    def _probes(self, path: str) -> Iterable[Request]:
        """Yield requests to a path, the most informative first: with an id that exists, a malformed one and an unknown
        one, then with methods that are not documented.
        """
        documented = _documented_methods(path)
        ids = [*self.real_ids(path), "not-a-uuid"] if "{" in path else [""]
        if "{run_id}" in path and not self.check.is_live:
            ids.append(self._made_up())
        for resource_id in ids:
            for method in documented:
                if method == "GET" or resource_id != self.check.foreign_run:
                    yield self._probe(method, path_for(path, resource_id))
        for method in ("GET", "POST", "PATCH", "PUT", "DELETE"):
            if method not in documented and not self.check.is_live:
                yield self._probe(method, path_for(path, ids[-1]))

    def _probe(self, method: str, path: str) -> Request:
        """Return a request that the target must refuse if it is a write. A create of a live check has a session of this
        check in its body: if the target creates a run anyway, the session proves that the run belongs to the check.
        """
        body: dict[str, Any] = {"status": 5}
        if self.check.is_live and operation_at(method, path) in CREATES:
            body["session_id"] = self.check.guard.new_session()
        return request_for((method, path), body=body if method in {"POST", "PATCH", "PUT"} else UNREAD)

    def _made_up(self) -> str:
        """Return a made-up id that the guard allows in the path of a write."""
        made_up = self.made_up_ids.uuid()
        self.check.guard.allow_unknown(made_up)
        return made_up


def _documented_methods(path: str) -> list[str]:
    return [method for method, template in operations().values() if template == path]
