"""Decides whether a request may be sent, by its effect, the permissions given, and what this check created.

| | loopback, full | elsewhere, full | live |
|---|---|---|---|
| read | yes | yes | yes |
| write, at all | if `Target.may_write` | if `Target.may_write` | if `Target.may_write` |
| write to a UUID | own, or made up | own, or made up and unknown | own, or made up and unknown |
| write to an id that is not a UUID | yes | if harmless | if harmless |
| create a pool or a workflow (nothing deletes them) | yes | yes | no |
| write to a whole collection or an unknown path | yes | no | no |
| join a session, link an attachment | yes | yes | own, or made up and unknown |

"Own" ids are those of resources that this check created; "unknown" ids are those that the target answers with 404.

"Loopback, full" is the user's own server, where an id that is not a UUID is harmless. Elsewhere, a broken server may
interpret such an id as a number, a pattern or a prefix of someone's id. So it must contain `not-a-uuid`, the ownership
marker or a made-up id.

On a deployment, desktops act on the workflow and the input values of a run. So a request that a server may accept must
be of the workflow that the user named, and have all fields of the base request that may not be varied. The scenarios
see to most of that when they make their cases. But a case that fails is shrunk, and a case of a report may be any.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

from contracts.core.exchange import Request
from contracts.core.findings import Remedy
from contracts.core.target import Target
from contracts.guard.effect import Effect, canonical, path_of_run, uuids_under
from contracts.guard.identity import CheckIdentity
from contracts.guard.ownership import Ownership
from contracts.guard.refusals import NotAllowed, NotOwned
from contracts.guard.runs_client import RunsClient, json_object_of_200

_HARMLESS_NON_UUID = "not-a-uuid"
_CREATABLE_IN_FULL = frozenset({"pools", "workflows"})
_FIELDS: Final = frozenset(
    {
        *("count", "machine_id", "pool_ids", "input_values", "sensitive_input_values", "file_inputs"),
        *("session_id", "start_session", "session_alias", "release_session_after"),
    }
)
"""The fields of a create or a retry that say what a run does, and where."""


@dataclass(eq=False, repr=False)
class Gate:
    """Decides by the tables of the module, and on a target that others use also by what the target answers.

    Before a write to such a target, `client` reads a made-up id, which must be unknown, or a run of which the check
    knows only the id, which must be new. An id that has passed is not read again.
    """

    target: Target
    ownership: Ownership
    identity: CheckIdentity
    authorizations: Collection[str]
    client: Callable[[], RunsClient]

    def require_allowed(self, request: Request, effect: Effect) -> None:
        """Raises NotAllowed or NotOwned."""
        if not effect.writes:
            return
        what = f"{request.method} {request.path_without_query}"
        if not self.target.may_write:
            may_be_one = "a broken server might take it for a write, and " if request.is_read else ""
            why = f"{what}: {may_be_one}writes are not allowed on this target (--allow-writes)"
            raise NotAllowed(why, Remedy.ALLOW_WRITES)
        if self.target.is_shared:
            self._require_limited_effect(what, effect)
        for text in effect.ids:
            self._require_own_id(what, text)
        if self.target.is_shared or not effect.creates:
            for text in effect.body_ids:
                self._require_own_id(what, text)

    def require_as_named(self, what: str, effect: Effect) -> None:
        """Raises NotAllowed if a request that a server may accept starts a workflow that was not named, or changes a
        field that may not be varied.
        """
        named, base = self.target.named_workflow, self.target.base_request
        if named is not None and any(canonical(each) != canonical(named) for each in effect.workflow_ids):
            raise NotAllowed(f"{what}: would start a workflow that was not named")
        if base is None:
            return
        body = effect.fields
        for name in sorted(_FIELDS.union(base).difference(self.target.varied_fields, ("workflow_id",))):
            # A retry keeps what it does not name, and a single create has no count.
            may_be_left_out = not effect.creates or name == "count" or base.get(name) is None
            if body.get(name) != base.get(name) and not (body.get(name) is None and may_be_left_out):
                why = f"{what}: {name} is not as in the base request (--vary {name} allows that)"
                raise NotAllowed(why, Remedy.ALLOW_FIELDS)

    def _require_limited_effect(self, what: str, effect: Effect) -> None:
        for resource in effect.collections:
            if self.target.profile == "live" or resource not in _CREATABLE_IN_FULL:
                raise NotAllowed(f"{what}: could change more than this check created")
        for text in effect.non_uuids:
            harmless = _HARMLESS_NON_UUID in text or self.identity.marker in text
            if not harmless and not self.ownership.contains_made_up(text):
                raise NotAllowed(f"{what}: a broken server might take {text[:40]!r} for the id of something else")
        if self.target.profile == "live":
            self._require_own_links(what, effect.body)

    def _require_own_links(self, what: str, body: Any) -> None:
        for session_id in uuids_under(body, {"session_id"}):
            if not self.ownership.has_session(session_id) and not self._is_allowed_unknown(session_id):
                raise NotOwned(f"{what}: session {session_id} is not one of this check")
        for attachment_id in uuids_under(body, {"output_attachment_ids"}):
            if not self.ownership.created(attachment_id) and not self._is_allowed_unknown(attachment_id):
                raise NotOwned(f"{what}: attachment {attachment_id} is not one of this check")

    def _require_own_id(self, what: str, text: str) -> None:
        if not self.ownership.created(text):
            if not self._is_allowed_unknown(text):
                raise NotOwned(f"{what}: {text} was not created by this check")
        elif self.target.is_shared and text in self.ownership.unproven:
            if not self._is_ours(text):
                raise NotOwned(f"{what}: {text} is older than this check, though an answer reported it as created")
            self.ownership.unproven.discard(text)

    def _is_allowed_unknown(self, text: str) -> bool:
        if not self.ownership.is_made_up(text):
            return False
        if not self.target.is_shared or text in self.ownership.proven_unknown:
            return True
        client, path = self.client(), f"/v1/runs/{quote(text, safe='')}"
        if any(client.request("GET", path, each).status != 404 for each in self.authorizations):
            return False
        self.ownership.proven_unknown.add(text)
        return True

    def _is_ours(self, run_id: str) -> bool:
        """Return whether the run is new, or no longer exists."""
        client, path = self.client(), path_of_run(run_id) or "/v1/runs/not-a-uuid"
        answer = client.request("GET", path, self.ownership.runs[run_id])
        run = json_object_of_200(answer)
        if run is None:
            return answer.status == 404
        return self.identity.may_include(run, answer, client.clock.now())
