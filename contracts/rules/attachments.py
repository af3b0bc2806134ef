"""Attachments: an input file can be downloaded unchanged, with the name and options that were sent."""

import base64
import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final
from urllib.parse import urlsplit

from contracts.core.counting import counted
from contracts.core.findings import Rule
from contracts.data import in_turn_by_kind, limits, value_packs, write_bodies
from contracts.data.files import file, pattern, unusual_inputs
from contracts.engine import CallResult, Case, CaseContext, CheckContext, Scenario, WriteResult, assume
from contracts.engine.request_building import request_for
from contracts.oracle import Query, Violation
from contracts.oracle.run import item_difference
from contracts.oracle.violation import excerpt
from contracts.oracle.wording import value_in_words
from contracts.rules.list_reads import WHOLE_PAGE, items_of, listed_item
from contracts.rules.reads_by_id import READING_AND_CHANGING
from contracts.rules.writes import create_runs

RULES = (
    Rule(
        "ATTACHMENTS",
        "api",
        "major",
        "An input file comes back byte for byte",
        "Each input file can be downloaded and is the same in every byte; its description has the run's id, the "
        "filename, the size, the type input, target_path and cleanup_imports_after_run as sent, and the list by "
        "run_id has all of them, as the reads of single files show them.",
        READING_AND_CHANGING,
        needs=("get_run_attachment", "download_run_attachment"),
        value_fields=(
            *("id", "run_id", "filename", "attachment_type", "size_bytes", "target_path"),
            *("cleanup_imports_after_run", "content_type", "created_at", "url", "expires_in"),
        ),
    ),
)


_CHAIN_STEPS: Final = 3


@dataclass(frozen=True)
class AttachmentsCase(Case):
    """Runs with files, which `operation` creates."""

    files: list[dict[str, Any]]
    operation: str = "bulk_create_runs"
    count: int = 1
    fields: dict[str, Any] = field(default_factory=dict)
    earlier_fields: dict[str, Any] = field(default_factory=dict)
    """For a retry: the fields of the create before it."""
    listed: bool = False
    """Whether the lists of the files, and download urls of the files, are judged too."""
    expires: bool = False
    """Whether urls with each lifetime are judged too."""

    @property
    def expected_runs(self) -> int:
        return _CHAIN_STEPS if self.operation == "create_run_chain" else self.count


def run_attachments(context: CaseContext, case: AttachmentsCase) -> None:
    offers = context.check.offers
    written = _create_with_files(context, case)
    if not written.runs_are_reliable or not written.runs:
        return
    judge, runs = _FileJudge(context, written.result), written.runs
    contents: list[tuple[str, bytes]] = []  # of the first two files and the last one of the first run, by id
    described: list[CallResult] = []
    for run in [runs[index] for index in _first_middle_last(runs)]:
        ids = run.get("input_attachment_ids") or []
        if len(ids) != len(case.files):
            return
        remaining = dict(enumerate(case.files))
        for index in range(len(ids)) if len(ids) <= _MAX_FILES else _first_middle_last(ids):
            described.append(judge.read_description(ids[index], run["id"]))
            downloaded = judge.download(ids[index])
            sent = _take_file(remaining, index, described[-1].body, downloaded.answer.body)
            is_last = run is runs[-1] and index == len(ids) - 1
            judge.judge_description(sent, described[-1])
            is_right = judge.judge_content(sent, downloaded, download_again=ids[index] if is_last else None)
            if is_right and index in {0, 1, len(ids) - 1} and run is runs[0]:
                contents.append((ids[index], base64.b64decode(sent["content"])))
        if case.listed and run is runs[-1] and offers("list_run_attachments"):
            judge.judge_lists(run["id"], ids, described)
    if case.listed and contents and offers("get_run_attachment_download_url"):
        judge.judge_urls(contents, expires=case.expires)


_OTHER_BYTES: Final = (b"one", b"another", b"")


@dataclass(frozen=True)
class SameNameCase(Case):
    """Runs of one session, each with a file of the same name and other bytes."""

    expected_runs: ClassVar[int] = len(_OTHER_BYTES)


def run_same_name(context: CaseContext, case: SameNameCase) -> None:
    session: dict[str, Any] = {"start_session": True}
    created: list[WriteResult] = []
    for content in _OTHER_BYTES:
        created.append(context.some_runs(1, file_inputs=[file("same.txt", content)], **session))
        session = {"session_id": created[0].runs[0].get("session_id")}
    for written, content in zip(created, _OTHER_BYTES, strict=True):
        for attachment in written.runs[0].get("input_attachment_ids") or ():
            judge = _FileJudge(context, written.result)
            judge.judge_content(file("same.txt", content), judge.download(attachment))


_MAX_FILES: Final = 12
"""If a run has more files, only the first, the middle and the last one are read."""


def _first_middle_last(items: Sequence[Any]) -> list[int]:
    """Return the indexes of three of the items; fewer if there are fewer items."""
    return sorted({0, len(items) // 2, len(items) - 1})


def _create_with_files(context: CaseContext, case: AttachmentsCase) -> WriteResult:
    fields = {"file_inputs": case.files} | context.fill(case.fields)
    match case.operation:
        case "create_run":
            return context.create("create_run", {"workflow_id": "«workflow»"} | fields)
        case "retry_run":
            written = context.some_runs(1, **case.earlier_fields)
            context.cancel(written.ids[0])
            again = context.write("retry_run", written.ids[0], body=fields)
            assume(again.result.resource is not None, "a retry with files is refused")
            return WriteResult(again.parsed, again.result, (again.result.body,), again.runs_are_reliable)
        case "create_run_chain":
            body = {"steps": [{"workflow_id": "«workflow»"}] * _CHAIN_STEPS, "shared_file_inputs": case.files}
            return create_runs(context, "create_run_chain", body)
        case _:
            return context.some_runs(case.count, **fields)


def _take_file(
    files: dict[int, dict[str, Any]], position: int, description: Mapping[str, Any], content: bytes
) -> Mapping[str, Any]:
    """Remove and return the sent file that fits an attachment best: by filename, target_path, then content. If several
    fit equally, it is the one at the position of the attachment. `files` are by position.
    """

    def fit(number: int) -> tuple[bool, ...]:
        sent = files[number]
        same = (sent.get(name) == description.get(name) for name in ("filename", "target_path"))
        return (*same, base64.b64decode(sent["content"]) == content, number == position)

    return files.pop(max(files, key=fit))


def _difference(sent: bytes, got: bytes) -> str:
    """Describe where the bytes differ; empty if they do not."""
    if sent == got:
        return ""
    if len(sent) != len(got):
        return f"{counted(len(got), 'byte')} instead of {len(sent):,}"
    at = next(index for index, (a, b) in enumerate(zip(sent, got, strict=True)) if a != b)
    return f"byte {at + 1:,} is {got[at]:#04x} instead of {sent[at]:#04x}"


_FEW_FILES: Final = 6
"""The files of a run that has no more are listed one by one."""


@dataclass(frozen=True, slots=True)
class _FileJudge:
    """Reads the files of created runs and judges them. A finding shows the create first."""

    context: CaseContext
    created: CallResult

    def _require(self, holds: object, cause: str, expected: str, *results: CallResult, got: str = "") -> bool:
        return self.context.require(holds, "ATTACHMENTS", cause, expected, self.created, *results, got=got)

    def _read(self, operation: str, *ids: str, query: Query = ()) -> CallResult:
        return self.context.call_valid(operation, *ids, query=query, after=[self.created])

    def read_description(self, attachment: str, run_id: str) -> CallResult:
        result = self._read("get_run_attachment", attachment)
        same = result.body.get("id") == attachment and result.body.get("run_id") == run_id
        got = f"id {result.body.get('id')} of run {result.body.get('run_id')}"
        self._require(same, "described as another's", f"id {attachment} of run {run_id}", result, got=got)
        return result

    def judge_description(self, sent: Mapping[str, Any], result: CallResult) -> None:
        documented = {
            "filename": sent["filename"],
            "attachment_type": "input",
            "size_bytes": len(base64.b64decode(sent["content"])),
            "target_path": sent.get("target_path"),
            "cleanup_imports_after_run": sent.get("cleanup_imports_after_run", False),
        }
        optional = {"target_path", "cleanup_imports_after_run"}
        for name, value in documented.items():
            if name not in result.body and not value:
                continue
            found = result.body.get(name)
            same = found == value or (not found and not value and name in optional)
            expected, got = (f"{name} {value_in_words(one)}" for one in (value, found))
            self._require(same, f"another {name}", expected, result, got=got)

    def download(self, attachment: str) -> CallResult:
        return self._read("download_run_attachment", attachment)

    def judge_content(self, sent: Mapping[str, Any], read: CallResult, *, download_again: str | None = None) -> bool:
        """Return whether the bytes are those that were sent. `download_again`: the id of the attachment, if its second
        download is to be the same.
        """
        content = base64.b64decode(sent["content"])
        expected = f"{counted(len(content), 'byte')}, as sent"
        coding = read.answer.header("content-encoding") or "identity"
        problem = _difference(content, read.answer.body)
        if not problem and coding != "identity":  # the guard removes the header when it decodes the body
            problem = f"bytes that cannot be decoded from Content-Encoding {excerpt(coding.encode())}"
        wrong = [Violation("ATTACHMENTS", "other bytes", expected, problem)] if problem else []
        is_right = self.context.judge("ATTACHMENTS", wrong, self.created, read, is_proof=True)
        if is_right and download_again is not None:
            again = self.context.call_valid("download_run_attachment", download_again, after=[self.created, read])
            problem, cause = _difference(content, again.answer.body), "other bytes the second time"
            self._require(not problem, cause, "the same bytes again", read, again, got=problem)
        return is_right

    def judge_lists(self, run_id: str, ids: Sequence[str], described: Sequence[CallResult]) -> None:
        """Judge lists of a run's attachments: whole, in windows, and in pages of one. `described` are reads of single
        attachments, from which the items may not differ.

        A run that has ended may have output attachments too; `attachment_type` distinguishes them.
        """
        of_run, of_inputs = ("run_id", run_id), ("attachment_type", "input")
        for query in ((of_run, of_inputs), (of_run,)):
            result = self._read("list_run_attachments", query=(*query, WHOLE_PAGE))
            items = items_of(result)
            inputs = [item for item in items if of_inputs in query or item.get("attachment_type") != "output"]
            self._require_all(ids, inputs, result)
            self._require_as_described(result, described)
            got, expected = f"total {result.body.get('total')}", f"total {len(items)}"
            self._require(got == expected, "the list's total", expected, result, got=got)
        self._judge_windows((of_run, of_inputs), ids)
        result = self._read("list_run_attachments", query=(of_run, ("attachment_type", "output")))
        wrong = any(item.get("id") in ids for item in items_of(result))
        cause, expected = "inputs listed as outputs", "output attachments only"
        self._require(not wrong, cause, expected, result, got="an input attachment")

    def _require_as_described(self, listed: CallResult, described: Sequence[CallResult]) -> None:
        for read in described:
            item = listed_item(listed, read.body.get("id"))
            name, got = item_difference(item or {}, read.body, "get_run_attachment") or ("", "")
            expected = f"{name} as in the list"
            self._require(not name, f"the list shows another {name}", expected, listed, read, got=got)

    def _require_all(self, ids: Sequence[str], items: Sequence[Mapping[str, Any]], *lists: CallResult) -> None:
        mine, found = set(ids), [item.get("id") for item in items]
        cause, expected = "the list has other attachments", f"the {counted(len(mine), 'input attachment')} of the run"
        got = f"{counted(len(found), 'attachment')}, {len(mine.intersection(found)) or 'none'} of them right"
        same = set(found) == mine and len(found) == len(mine)
        self._require(same, cause, expected, *lists[:3], got=got)

    def _judge_windows(self, query: Query, ids: Sequence[str]) -> None:
        windows: list[dict[str, int]] = [{}, {"skip": 1}, {"limit": 1}, {"skip": len(ids), "limit": 1}]
        lists_all = len(ids) <= _FEW_FILES
        pages = [{"skip": skip, "limit": 1} for skip in range(len(ids) if lists_all else 2)]
        results = []
        for window in (*windows, *pages):
            paging = [(name, str(value)) for name, value in window.items()]
            results.append(self._read("list_run_attachments", query=(*query, *paging)))
            self._judge_window(window, set(ids), results[-1])
        if lists_all:
            of_pages = results[len(windows) :]
            self._require_all(ids, [item for page in of_pages for item in items_of(page)], *of_pages)

    def _judge_window(self, window: dict[str, int], mine: set[str], result: CallResult) -> None:
        """Judge one page of the list: its items, and total, skip and limit. Without a limit, it may have any."""
        shown = result.body.get("limit")
        expected = {"total": len(mine), "skip": 0, "limit": shown if type(shown) is int and shown > 0 else 100} | window
        paging = {name: result.body.get(name) for name in expected}
        items = items_of(result)
        size = min(expected["limit"], max(0, len(mine) - expected["skip"]))
        right = paging == expected and len(items) == size and {item.get("id") for item in items} <= mine
        wanted = f"{counted(size, 'item')} and {json.dumps(expected)}"
        got = f"{counted(len(items), 'item')} and {value_in_words(paging)}"
        self._require(right, "a page of the list", wanted, result, got=got)

    def judge_urls(self, files: Sequence[tuple[str, bytes]], *, expires: bool) -> None:
        """Judge the download urls of files, given by id and content. All urls are made before the first is used."""
        results: list[CallResult] = []
        for seconds in (None, 10, 3600) if expires else (None,):
            urls: list[tuple[str, bytes]] = []
            for attachment, raw in files:
                query = [] if seconds is None else [("expires_in", str(seconds))]
                results.append(self._read("get_run_attachment_download_url", attachment, query=query))
                body = results[-1].body
                right = isinstance(body.get("url"), str) and body["url"] and body.get("expires_in") == (seconds or 300)
                cause, expected = "not the documented download url", f"url and expires_in {seconds or 300}"
                if self._require(right, cause, expected, results[-1]):
                    urls.append((body["url"], raw))
            if urls and seconds == 10:
                self.context.wait(1.0)  # the url is valid for 10 s, so it must still work
            for url, raw in urls:
                self._follow(url, raw, results)
            if urls and seconds == 3600:
                self._follow(*urls[-1], results)  # again: a url works until it expires
                self._follow_altered(urls[-1][0], results)
        for wrong in ("9", "3601", "x") if expires else ():
            query = [("expires_in", wrong)]
            result = self.context.call("get_run_attachment_download_url", files[0][0], query=query)
            cause = "expires_in out of range is accepted"
            self.context.require(result.refused, "ATTACHMENTS", cause, "a refusal", result)

    def _path_of(self, url: str) -> str:
        """Return the path and the query of a url of the target itself; empty for any other url."""
        parts, target = urlsplit(url), urlsplit(self.context.check.target.url)
        if parts.netloc != target.netloc or parts.scheme not in {"http", "https"}:
            return ""
        return parts.path.removeprefix(target.path.rstrip("/")) + (f"?{parts.query}" if parts.query else "")

    def _follow(self, url: str, raw: bytes, results: Sequence[CallResult]) -> None:
        """Download from the url, if it points to the target itself, and compare the bytes."""
        if path := self._path_of(url):
            read = self.context.send(request_for(("GET", path)))
            got = _difference(raw, read.answer.body) if read.status == 200 else read.words
            expected = f"the file of {counted(len(raw), 'byte')} that was sent"
            self._require(not got, "the download url gives other bytes", expected, *results, read, got=got)

    def _follow_altered(self, url: str, results: Sequence[CallResult]) -> None:
        """Download from an altered url. Only once: if two servers take turns, one would get all altered urls."""
        if path := self._path_of(url):
            # Only the status is judged: a file server may refuse the altered url, and its errors need not be JSON.
            altered = request_for(("GET", path[:-1] + ("1" if path[-1] == "0" else "0")))
            exchange = self.context.check.guard.send(altered)
            fails, cause = exchange.answer.status >= 500, "a 5xx from a download url that was altered"
            expected = "no 5xx, whatever is sent"
            self.context.require(not fails, "NO-5XX", cause, expected, self.created, *results, exchange)


_UNUSUAL_FILES: Final = [
    file("A b.TXT", b"\r\n\x00\n", target_path="C:\\x\\a.txt", cleanup_imports_after_run=True),
    file("é 名.bin", bytes(range(256)), target_path=None, cleanup_imports_after_run=False),
    file("c.txt", b"", target_path="/tmp/ü", cleanup_imports_after_run=True),
    file("noending", b"abc"),
    file("b" * 120 + ".csv", b"x"),
    file("large.dat", pattern(7, 251, 70_000)),
]


@in_turn_by_kind
def attachment_cases(check: CheckContext) -> Iterator[AttachmentsCase]:
    needs = {"bulk_create_runs": (), "create_run": (), "retry_run": ("update_run",), "create_run_chain": ("get_run",)}
    for operation, others in needs.items():
        if check.offers(operation, *others):
            is_first = operation == "bulk_create_runs"
            yield AttachmentsCase(_UNUSUAL_FILES if is_first else _UNUSUAL_FILES[:3], operation, listed=True)
            if not is_first:
                yield AttachmentsCase(_UNUSUAL_FILES[3:], operation)
    if check.offers("retry_run", "update_run"):
        earlier = {"file_inputs": [file("a.txt", b"old bytes")]}
        for files in (_UNUSUAL_FILES[1:3], [file("a.txt", b"new bytes")]):
            yield AttachmentsCase(files, "retry_run", earlier_fields=earlier)
    texts = [file("a.csv", "\ufeffé;名\r\n".encode()), file("b.json", '{"b":  1.0, "é": 1}\n'.encode())]
    texts.append(file("c.txt", "é\r\n".encode("latin-1")))
    yield AttachmentsCase(texts, listed=True, expires=True)
    for files in unusual_inputs():
        has_one_name_twice = len({sent["filename"] for sent in files}) < len(files)
        yield AttachmentsCase(files, listed=has_one_name_twice or len(files) in {11, 101})
    yield AttachmentsCase([file(target_path=text) for text in value_packs.UNUSUAL_TEXTS], listed=True)
    for length in limits.few(limits.LONG_WORD, 5000):  # a server may refuse such a name, but not cut it
        yield AttachmentsCase([file("a" * length)])
    several = [file("a.txt", b"one"), file("b.txt", b"two"), file("c.bin", bytes(range(256)))]
    fields = {"input_values": write_bodies.INPUTS, "sensitive_input_values": write_bodies.SECRETS}
    new_session = {"start_session": True}
    given_session = {"session_id": "«session»"} if check.sessions.accepts_any_id else new_session
    sessions = itertools.cycle((new_session, given_session))
    many_files = [file(f"{index}.txt", b"x") for index in range(20)]
    # A row for each file of each run takes more parameters than one statement of SQL may have.
    pools = {"pool_ids": ["«pool:0»"]} if check.pools.available else {}
    yield AttachmentsCase(many_files, count=limits.LARGE_CREATE, fields=pools)
    for files, counts in ((several, (2, 101)), ([file(raw=b"x")], (3,)), (_UNUSUAL_FILES[:3], (2,))):
        for count in counts:
            yield AttachmentsCase(files, count=count, listed=count < 5 and files is not several)
        yield AttachmentsCase(files, fields=fields | next(sessions), count=2)
    if check.offers("create_run"):
        yield AttachmentsCase([file(raw=b"x")], "create_run")
    yield AttachmentsCase([file("big.bin", pattern(13, 256, 700_000))])


SCENARIOS = (
    Scenario(
        "attachments",
        ("ATTACHMENTS",),
        run_attachments,
        attachment_cases,
        needs=("get_run_attachment", "download_run_attachment"),
        weight=3,  # a case sends about twenty requests
    ),
    Scenario(
        "attachments of one name",
        ("ATTACHMENTS",),
        run_same_name,
        lambda check: [SameNameCase()],
        needs=("download_run_attachment",),
    ),
)
