"""What each operation does. A method is named for its operation, and gives the status and the content of its answer."""

import hashlib
import json
import secrets
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from sqlite3 import Row
from typing import Any
from urllib.parse import quote

from tests.sqlite_server import reading
from tests.sqlite_server.reading import Refused, invalid
from tests.sqlite_server.store import ACTIVITY, JSON_COLUMNS, TERMINAL, Store, folded, new_id, written

ALWAYS_LISTED = ("id", "workflow_id", "machine_id", "status", "created_at")


@dataclass(frozen=True)
class Answer:
    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Call:
    """`id` is the one in the path, if there is one."""

    org: str
    operation: str
    scope: str
    key: str
    id: str
    query: str
    body: bytes
    base_url: str


def encoded(content: Any) -> bytes:
    return b"" if content is None else json.dumps(content, ensure_ascii=False).encode()


def refusal(refused: Refused) -> Answer:
    return Answer(refused.status, encoded({"detail": refused.detail}), refused.headers)


class Operations:
    """One request at a time; of a refused one nothing stays but its idempotency key."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.lock = threading.Lock()

    def answer(self, call: Call) -> Answer:
        with self.lock, self.store.transaction("request"):
            self.store.advance()
            request = self._fingerprint(call)
            sql = "SELECT * FROM keys WHERE org = ? AND scope = ? AND key = ?"
            known = self.store.one(sql, call.org, call.scope, call.key) if call.key else None
            if known is not None and known["request"] != request:
                used = "Another request has had this key"
                return refusal(invalid(("header", "Idempotency-Key"), "key_in_use", used))
            if known is not None:
                return Answer(known["status"], known["body"])
            answer = self._handled(call)
            if call.key:
                answered = {"request": request, "status": answer.status, "body": answer.body}
                self.store.add("keys", org=call.org, scope=call.scope, key=call.key, **answered)
            return answer

    def _handled(self, call: Call) -> Answer:
        operation: Callable[[Call], Answer | tuple[int, Any]] = getattr(self, call.operation)
        try:
            with self.store.transaction("operation"):
                done = operation(call)
        except Refused as refused:
            return refusal(refused)
        return done if isinstance(done, Answer) else Answer(done[0], encoded(done[1]))

    def _fingerprint(self, call: Call) -> bytes:
        """The same for the same JSON, whatever the order of its names."""
        try:
            said = json.dumps(reading.parsed(call.body), sort_keys=True).encode()
        except Refused:
            said = call.body
        return hashlib.sha256(said).digest()

    # Creating

    def bulk_create_runs(self, call: Call) -> tuple[int, Any]:
        asked = reading.BULK_CREATE(reading.parsed(call.body), ("body",))
        if asked["session_id"] is None and asked["start_session"]:
            asked["session_id"], asked["keeps_machine"] = new_id(), True
        runs = [self._create(call.org, asked) for _ in range(asked["count"])]
        return 201, {"errors": [], "failed_count": 0, "created_runs": runs}

    def create_run(self, call: Call) -> tuple[int, Any]:
        asked = reading.CREATE(reading.parsed(call.body), ("body",))
        return 201, self._create(call.org, asked)

    def create_run_chain(self, call: Call) -> tuple[int, Any]:
        asked = reading.CHAIN(reading.parsed(call.body), ("body",))
        place = {name: asked[name] for name in ("machine_id", "pool_ids")}
        session_id = asked["session_id"] or new_id()
        runs = []
        for number, step in enumerate(asked["steps"], start=1):
            shared = {
                "session_id": session_id,
                "keeps_machine": asked["session_id"] is None,
                "input_values": _merged(asked["shared_inputs"], step["inputs"]),
                "sensitive_input_values": _merged(asked["shared_sensitive_inputs"], step["sensitive_inputs"]),
                "file_inputs": asked["shared_file_inputs"],
                "release_session_after": number == len(asked["steps"]) and not asked["keep_session_after_completion"],
            }
            runs.append(self._create(call.org, step | place | shared))
        return 201, {"run_ids": [run["id"] for run in runs], "session_id": session_id}

    def _create(self, org: str, asked: Mapping[str, Any]) -> dict[str, Any]:
        """A session that was joined decides the machine; a machine makes pools void."""
        run_id = new_id()
        session_id = asked["session_id"] or (run_id if asked.get("start_session") else None)
        has_place = asked["session_id"] is None or asked.get("keeps_machine", False)
        machine_id = asked["machine_id"] if has_place else None
        columns = {
            "pool_ids": asked["pool_ids"] if has_place and machine_id is None else None,
            "input_values": asked["input_values"],
            "sensitive_input_aliases": _aliases(asked["sensitive_input_values"]),
            "input_attachment_ids": self._attach(org, run_id, asked["file_inputs"]),
            "session_alias": asked.get("session_alias"),
            "release_session_after": asked.get("release_session_after"),
        }
        self.store.add(
            "runs", id=run_id, org=org, workflow_id=asked["workflow_id"], machine_id=machine_id, session_id=session_id,
            status="scheduling", created_ms=self.store.now_ms, **_as_json(columns),
        )  # fmt: skip
        run = self._run(org, run_id)
        self.store.schedule(org, run["number"], session_id)
        return _shown(run)

    def _attach(self, org: str, run_id: str, files: list[dict[str, Any]] | None) -> list[str]:
        return [
            self.store.attach(
                *(org, run_id, "input", one["filename"], one["content"]),
                *(one["target_path"], one["cleanup_imports_after_run"]),
            )
            for one in files or ()
        ]

    # Reading and changing

    def _run(self, org: str, run_id: str) -> Row:
        run = self.store.one("SELECT * FROM runs WHERE org = ? AND id = ?", org, run_id)
        if run is None:
            raise Refused(404, "Nobody here has such a run")
        return run

    def get_run(self, call: Call) -> tuple[int, Any]:
        asked = reading.query({"include": reading.RUN_QUERY["include"]}, call.query)
        shown = _shown(self._run(call.org, call.id))
        return 200, shown if asked["include"] is None else shown | {"included": []}

    def list_runs(self, call: Call) -> tuple[int, Any]:
        asked = reading.query(reading.RUN_QUERY, call.query)
        wanted = folded(asked["search"])
        tests = {f"{name} = ?": asked[name] for name in ("workflow_id", "machine_id", "session_id", "status")}
        tests["created_ms * 1000 >= ?"] = asked["created_at_from"]
        tests["created_ms * 1000 <= ?"] = asked["created_at_to"]
        if asked["deep_search"]:
            tests["instr(words || x'ff' || more_words, ?)"] = wanted or None
        else:
            tests["instr(words, ?)"] = wanted or None
        order = ACTIVITY if asked["sort_mode"] == "activity" else "created_ms DESC, number DESC"
        rows, answer = self._page("runs", call.org, tests, order, asked)
        answer["items"] = [_shown(row) for row in rows]
        if asked["fields"] is not None:
            kept = {*ALWAYS_LISTED, *asked["fields"]}
            answer["items"] = [{name: run[name] for name in run if name in kept} for run in answer["items"]]
        return 200, answer if asked["include"] is None else answer | {"included": []}

    def _page(
        self, table: str, org: str, tests: Mapping[str, Any], order: str, asked: Mapping[str, Any]
    ) -> tuple[list[Row], dict[str, Any]]:
        """Tests without a value are left out."""
        made = {"org = ?": org} | {test: value for test, value in tests.items() if value is not None}
        where = f"FROM {table} WHERE {' AND '.join(made)}"
        counted = self.store.one(f"SELECT count(*) {where}", *made.values())
        assert counted is not None
        page = asked["limit"], min(asked["skip"], 2**62)
        rows = self.store.all(f"SELECT * {where} ORDER BY {order} LIMIT ? OFFSET ?", *made.values(), *page)
        return rows, {"limit": asked["limit"], "skip": asked["skip"], "total": counted[0], "items": []}

    def update_run(self, call: Call) -> tuple[int, Any]:
        """Null changes nothing. Only a cancellation is taken as a new status."""
        run = self._run(call.org, call.id)
        asked = reading.UPDATE(reading.parsed(call.body), ("body",))
        changes = {name: value for name, value in asked.items() if value is not None and name != "usage_metadata"}
        status = changes.pop("status", run["status"])
        for name in ("started_at", "ended_at"):
            if name in changes:
                changes[name] = changes[name].isoformat()
        changes |= _as_json({name: changes[name] for name in JSON_COLUMNS if name in changes})
        if status != run["status"]:
            if run["status"] in TERMINAL:
                raise Refused(409, "This run is over")
            if status != "cancelled":
                raise invalid(("body", "status"), "not_allowed", "A run can only be cancelled")
            changes = {"ended_at": written(self.store.now_ms)} | changes | {"status": status, "due_ms": None}
        if changes:
            self.store.change(run["number"], **changes)
        if status != run["status"]:
            self.store.next_in_session(call.org, run["session_id"], self.store.now_ms)
        return 200, _shown(self._run(call.org, call.id))

    def delete_run(self, call: Call) -> tuple[int, Any]:
        run = self._run(call.org, call.id)
        self.store.all("DELETE FROM attachments WHERE run_id = ?", run["id"])
        self.store.all("DELETE FROM runs WHERE number = ?", run["number"])
        self.store.next_in_session(call.org, run["session_id"], self.store.now_ms)
        return 204, None

    def retry_run(self, call: Call) -> tuple[int, Any]:
        run = self._run(call.org, call.id)
        asked = reading.RETRY(reading.parsed(call.body), ("body",))
        if run["status"] not in TERMINAL:
            raise Refused(409, "This run is not over yet")
        replaced = ["output"] if asked["file_inputs"] is None else ["output", "input"]
        for kind in replaced:
            self.store.all("DELETE FROM attachments WHERE run_id = ? AND kind = ?", run["id"], kind)
        given = {name: asked[name] for name in ("input_values", "session_alias", "release_session_after")}
        given["sensitive_input_aliases"] = _aliases(asked["sensitive_input_values"])
        if asked["file_inputs"] is not None:
            given["input_attachment_ids"] = self._attach(call.org, run["id"], asked["file_inputs"])
        if asked["session_id"] is not None:
            place = {"session_id": asked["session_id"], "machine_id": None, "pool_ids": None}
        else:
            stays = run["session_id"] if asked["reuse_session"] else None
            place = {"session_id": new_id() if asked["start_session"] else stays}
            if asked["machine_id"] is not None:
                place |= {"machine_id": asked["machine_id"], "pool_ids": None}
            elif asked["pool_ids"] is not None:
                place |= {"machine_id": None, "pool_ids": json.dumps(asked["pool_ids"])}
        cleared = ("output_data", "error", "run_message_history", "output_attachment_ids", "started_at", "ended_at")
        kept = _as_json({name: value for name, value in given.items() if value is not None})
        self.store.change(run["number"], status="scheduling", **dict.fromkeys(cleared), **place, **kept)
        self.store.schedule(call.org, run["number"], place["session_id"])
        return 200, _shown(self._run(call.org, call.id))

    # Attachments

    def list_run_attachments(self, call: Call) -> tuple[int, Any]:
        asked = reading.query(reading.ATTACHMENT_QUERY, call.query)
        tests = {"run_id = ?": asked["run_id"], "kind = ?": asked["attachment_type"]}
        rows, answer = self._page("attachments", call.org, tests, "number", asked)
        return 200, answer | {"items": [_attachment_shown(row) for row in rows]}

    def get_run_attachment(self, call: Call) -> tuple[int, Any]:
        return 200, _attachment_shown(self._attachment(call.org, call.id))

    def download_run_attachment(self, call: Call) -> Answer:
        return self._download(self._attachment(call.org, call.id))

    def get_run_attachment_download_url(self, call: Call) -> tuple[int, Any]:
        attachment = self._attachment(call.org, call.id)
        expires_in = reading.query(reading.URL_QUERY, call.query)["expires_in"]
        secret, until_ms = secrets.token_urlsafe(), self.store.now_ms + 1000 * expires_in
        self.store.add("links", secret=secret, attachment_id=attachment["id"], until_ms=until_ms)
        return 200, {"expires_in": expires_in, "url": f"{call.base_url}/files/{secret}"}

    def linked_file(self, call: Call) -> Answer:
        found = self.store.one(
            "SELECT attachments.* FROM attachments JOIN links ON attachments.id = links.attachment_id "
            "WHERE secret = ? AND until_ms >= ?",
            call.id, self.store.now_ms,
        )  # fmt: skip
        if found is None:
            raise Refused(404, "This link leads nowhere")
        return self._download(found)

    def _attachment(self, org: str, attachment_id: str) -> Row:
        found = self.store.one("SELECT * FROM attachments WHERE org = ? AND id = ?", org, attachment_id)
        if found is None:
            raise Refused(404, "Nobody here has such a file")
        return found

    def _download(self, attachment: Row) -> Answer:
        found = self.store.one("SELECT content FROM contents WHERE digest = ?", attachment["digest"])
        assert found is not None
        named = f"attachment; filename*=UTF-8''{quote(attachment['filename'], safe='')}"
        return Answer(200, found["content"], {"CONTENT-TYPE": "application/octet-stream", "content-disposition": named})

    def health_check(self, call: Call) -> tuple[int, Any]:
        return 200, {"status": "ok", "storage": "sqlite"}


def _merged(shared: dict[str, Any] | None, own: dict[str, Any] | None) -> dict[str, Any] | None:
    return None if shared is None and own is None else (shared or {}) | (own or {})


def _aliases(sensitive: Mapping[str, Any] | None) -> dict[str, str] | None:
    """The values themselves are kept nowhere: no machine here would use them."""
    return None if sensitive is None else {name: f"vault/{secrets.token_hex(12)}" for name in sensitive}


def _as_json(columns: Mapping[str, Any]) -> dict[str, str | None]:
    return {name: None if value is None else json.dumps(value, ensure_ascii=False) for name, value in columns.items()}


def _shown(run: Row) -> dict[str, Any]:
    """Optional properties without a value are left out."""
    shown = {"created_at": written(run["created_ms"]), "status": run["status"], "organization_id": run["org"]}
    shown |= {name: run[name] for name in ("machine_id", "workflow_id", "id")}
    shown |= {name: run[name] for name in ("session_id", "ended_at", "started_at") if run[name] is not None}
    return shown | {name: json.loads(run[name]) for name in JSON_COLUMNS if run[name] is not None}


def _attachment_shown(attachment: Row) -> dict[str, Any]:
    shown = {
        "storage_path": f"sqlite/{attachment['number']}",
        "created_at": written(attachment["created_ms"]),
        "attachment_type": attachment["kind"],
        "content_type": "application/octet-stream",
        "size_bytes": attachment["size"],
        "cleanup_imports_after_run": bool(attachment["cleanup"]),
        "filename": attachment["filename"],
        "run_id": attachment["run_id"],
        "id": attachment["id"],
    }
    path = attachment["target_path"]
    return shown if path is None else shown | {"target_path": path}
