"""Decides whether a request may be sent, by its effect, the permissions given, and what this check created.

| | loopback, full | elsewhere, full | live |
|---|---|---|---|
| reads | yes | yes | yes |
| writes at all | if `Target.may_write` | as left | as left |
| writes to a UUID | created by this check, or made up | the same, if a made-up id is unknown to the target | as left |
| writes to an id that is not a UUID | yes | if it contains `not-a-uuid`, the marker or a made-up id | as left |
| creating pools and workflows (nothing deletes them) | yes | yes | no |
| writes to a whole collection or an unknown path | yes | no | no |
| joining a session, linking attachments | any | any | created by this check, or made up and unknown to the target |

"Loopback, full" is the user's own server, where an id that is not a UUID is harmless. Elsewhere a broken server may
take it for a number, a pattern or a prefix of someone's id, so only texts that cannot be any of these pass. "As left"
means the same as in the column to the left.
"""

from collections.abc import Callable, Collection
from typing import Any
from urllib.parse import quote

from contracts.core.exchange import Request
from contracts.core.target import Target
from contracts.guard.effect import Effect, path_of_run, uuids_under
from contracts.guard.identity import CheckIdentity
from contracts.guard.ownership import Ownership
from contracts.guard.refusals import NotAllowed, NotOwned
from contracts.guard.runs_client import RunsClient, json_object

_HARMLESS_ODD_ID = "not-a-uuid"
_SESSION = frozenset({"session_id"})
_ATTACHMENTS = frozenset({"output_attachment_ids"})
_CREATABLE_IN_FULL = frozenset({"pools", "workflows"})


class Gate:
    """If others use the target too, `client` asks it before a write whether it knows a made-up id, and whether a run is
    new for which an answer reported only the id. Once the target's answer allows the write, it is not asked again.
    """

    def __init__(
        self,
        target: Target,
        ownership: Ownership,
        identity: CheckIdentity,
        *,
        authorizations: Collection[str],
        client: Callable[[], RunsClient],
    ) -> None:
        self._is_live = target.profile == "live"
        self._is_own_server = target.is_loopback and not self._is_live
        self._may_write = target.may_write
        self._ownership = ownership
        self._identity = identity
        self._authorizations = authorizations
        self._client = client

    def check(self, request: Request, effect: Effect) -> None:
        """Raises NotAllowed or NotOwned."""
        if not effect.writes:
            return
        what = f"{request.method} {request.path.partition('?')[0]}"
        if not self._may_write:
            raise NotAllowed(f"{what}: writes are not allowed on this target (--allow-writes)")
        if not self._is_own_server:
            self._check_reach(what, effect)
        for text in effect.ids:
            self._check_id(what, text)
        if not (self._is_own_server and effect.creates):
            for text in effect.body_ids:
                self._check_id(what, text)

    def _check_reach(self, what: str, effect: Effect) -> None:
        for resource in effect.collections:
            if self._is_live or resource not in _CREATABLE_IN_FULL:
                raise NotAllowed(f"{what}: could change more than this check created")
        for text in effect.odd_ids:
            if not (
                _HARMLESS_ODD_ID in text or self._identity.marker in text or self._ownership.contains_made_up(text)
            ):
                raise NotAllowed(f"{what}: a broken server might take {text[:40]!r} for the id of something else")
        if self._is_live:
            self._check_links(what, effect.body)

    def _check_links(self, what: str, body: Any) -> None:
        for session_id in uuids_under(body, _SESSION):
            if not self._ownership.has_session(session_id) and not self._is_allowed_unknown(session_id):
                raise NotOwned(f"{what}: session {session_id} is not one of this check")
        for attachment_id in uuids_under(body, _ATTACHMENTS):
            if not self._ownership.created(attachment_id) and not self._is_allowed_unknown(attachment_id):
                raise NotOwned(f"{what}: attachment {attachment_id} is not one of this check")

    def _check_id(self, what: str, text: str) -> None:
        if self._ownership.created(text):
            if self._is_own_server or text not in self._ownership.unproven:
                return
            if self._is_ours(text):
                self._ownership.unproven.discard(text)
                return
            raise NotOwned(f"{what}: {text} is older than this check, though an answer reported it as created")
        if not self._is_allowed_unknown(text):
            raise NotOwned(f"{what}: {text} was not created by this check")

    def _is_allowed_unknown(self, text: str) -> bool:
        if not self._ownership.is_made_up(text):
            return False
        if self._is_own_server or text in self._ownership.proven_unknown:
            return True
        if self._is_unknown(text):
            self._ownership.proven_unknown.add(text)
            return True
        return False

    def _is_unknown(self, text: str) -> bool:
        """Return whether none of the organisations that the check has a token for sees the run."""
        client, path = self._client(), f"/v1/runs/{quote(text, safe='')}"
        return all(client.request("GET", path, each).status == 404 for each in self._authorizations)

    def _is_ours(self, run_id: str) -> bool:
        """Return whether the run is new, or no longer exists."""
        client, path = self._client(), path_of_run(run_id) or "/v1/runs/not-a-uuid"
        answer = client.request("GET", path, self._ownership.runs[run_id])
        run = json_object(answer)
        if run is None:
            return answer.status == 404
        return self._identity.may_include(run, answer, client.clock.now())
