"""`python -m tests.sqlite_server`: prints its URL on the first line, then serves on threads."""

import argparse
import hmac
import re
import sys
import tempfile
import traceback
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from tests.sqlite_server import reading
from tests.sqlite_server.operations import Answer, Call, Operations, refusal
from tests.sqlite_server.reading import Refused
from tests.sqlite_server.store import Store

ORGANISATIONS = {"standin-token-one": "northside", "standin-token-two": "southside"}
MAX_BODY_BYTES = 64 * 1024 * 1024
OPEN = {"health_check", "linked_file"}
ROUTES = {
    "/v1/health": {"GET": "health_check"},
    "/v1/runs": {"GET": "list_runs", "POST": "create_run"},
    "/v1/runs/bulk": {"POST": "bulk_create_runs"},
    "/v1/runs/chain": {"POST": "create_run_chain"},
    "/v1/runs/([^/]+)": {"GET": "get_run", "PATCH": "update_run", "DELETE": "delete_run"},
    "/v1/runs/([^/]+)/retry": {"POST": "retry_run"},
    "/v1/run-attachments": {"GET": "list_run_attachments"},
    "/v1/run-attachments/([^/]+)": {"GET": "get_run_attachment"},
    "/v1/run-attachments/([^/]+)/download": {"GET": "download_run_attachment"},
    "/v1/run-attachments/([^/]+)/download-url": {"GET": "get_run_attachment_download_url"},
    "/files/([^/]+)": {"GET": "linked_file"},
    "/v1/(workflows|pools)(/.*)?": {},  # 405 whatever the method, and machines 404
}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # an answer leaves in one piece
    disable_nagle_algorithm = True
    operations: Operations

    def handle_request(self) -> None:
        try:
            answer = self._answer(self._body())
        except Refused as refused:
            answer = refusal(refused)
        except Exception:  # noqa: BLE001 - whatever it is, the client gets an answer
            traceback.print_exc()
            answer = refusal(Refused(500, "This should not have happened"))
        self._send(answer)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = do_TRACE = handle_request  # noqa: N815

    def _body(self) -> bytes:
        """Read even where nobody looks at it, so that the connection can go on."""
        length = self.headers.get("Content-Length", "0")
        if "Transfer-Encoding" in self.headers or not re.fullmatch("[0-9]{1,12}", length):
            self.close_connection = True
            raise Refused(411, "Say with Content-Length how long the body is")
        if int(length) > MAX_BODY_BYTES:
            self.close_connection = True
            raise Refused(413, "So much is not taken")
        return self.rfile.read(int(length))

    def _answer(self, body: bytes) -> Answer:
        path, _, query = self.path.partition("?")
        operation, given_id = self._route(path)
        org = "" if operation in OPEN else self._organisation()
        if given_id and operation not in OPEN:
            try:
                given_id = reading.uuid(given_id, ("path",))
            except Refused:
                raise Refused(400, "The id in the path is not a UUID") from None
        key = "" if self.command == "GET" else self.headers.get("Idempotency-Key", "")
        base_url = f"http://{self.headers.get('Host', '')}"
        scope = f"{self.command} {path}"
        return self.operations.answer(Call(org, operation, scope, key, given_id, query, body, base_url))

    def _route(self, path: str) -> tuple[str, str]:
        for pattern, methods in ROUTES.items():
            match = re.fullmatch(pattern, path)
            if match is None:
                continue
            if self.command not in methods:
                raise Refused(405, "The path has other methods", allow=", ".join(methods))
            return methods[self.command], unquote(match[1]) if match.groups() else ""
        raise Refused(404, "There is nothing under this path")

    def _organisation(self) -> str:
        scheme, _, token = self.headers.get("Authorization", "").partition(" ")
        for known, org in ORGANISATIONS.items():
            if scheme.lower() == "bearer" and hmac.compare_digest(token.encode("latin-1"), known.encode()):
                return org
        raise Refused(403, "Say who you are with a bearer token")

    def _send(self, answer: Answer) -> None:
        self.send_response(answer.status)
        if answer.status != 204:
            headers = {"CONTENT-TYPE": "application/json; charset=utf-8"} | dict(answer.headers)
            for name, value in (headers | {"content-length": str(len(answer.body))}).items():
                self.send_header(name, value)
        if self.close_connection:
            self.send_header("connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """What `http.server` itself refuses: a method that it does not know, a request that is not HTTP."""
        self.close_connection = True
        self._send(refusal(Refused(405 if code == 501 else code, message or "This is no request")))

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the base class's
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is not an error."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.sqlite_server", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0 picks a free one")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        Handler.operations = Operations(Store(str(Path(folder) / "runs.sqlite")))
        with Server(("127.0.0.1", asked.port), Handler) as server:
            print(f"http://127.0.0.1:{server.server_port}", flush=True)
            server.serve_forever()


if __name__ == "__main__":
    main()
