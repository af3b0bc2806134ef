"""Whatever a server says, a report of it runs no script, breaks no terminal, and stays what its format is."""

import dataclasses
import json
import re
import subprocess
from html.parser import HTMLParser
from importlib.resources import files
from xml.etree import ElementTree

import click
import jsonschema
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from contracts.core.exchange import Answer, Exchange, Request
from contracts.core.findings import CheckResult, Finding, RuleResult
from contracts.core.printable import printable, printable_json
from contracts.report import FORMATS
from contracts.report.curl import curls
from contracts.report.masking import Mask
from contracts.report.text import render_finding, render_text
from tests.contracts.report import samples
from tests.contracts.report.test_formats import SCHEMA

FRAGMENTS = (
    "\x1b[2J",
    "\x1b]0;title\x07",
    "\x9b31m",
    "\x00",
    "\x7f",
    "\x85",
    "\r\n",
    "\t",
    "\u202e",
    "\u2066",
    "\u2028",
    "\ufeff",
    "\ufffe",
    "\ud800",
    "\udfff",
    "</script><script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "\" onmouseover='alert(1)",
    "</pre></details><iframe src=javascript:alert(1)>",
    "<!--",
    "]]>",
    "&lt;&#0;",
    "$(touch harm)",
    "`touch harm`",
    "'; touch harm; '",
    '"; touch harm; "',
    "\\",
    "!",
    "\nPY\ntouch harm\n",
    "[link](https://elsewhere.test)",
    "«workflow»",
)
WORDS = st.lists(st.one_of(st.sampled_from(FRAGMENTS), st.characters()), max_size=8).map("".join)
LATIN = WORDS.map(lambda text: text.encode("latin-1", "ignore").decode("latin-1"))
HEADERS = st.lists(st.tuples(LATIN, LATIN), max_size=2).map(tuple)
ID = "9f2c8a54-6d0e-4b1f-8f0a-2f6f3b1c0d11"
JSON = st.recursive(
    st.one_of(WORDS, st.integers(), st.just(ID)),
    lambda inner: st.one_of(st.lists(inner, max_size=2), st.dictionaries(WORDS, inner, max_size=2)),
    max_leaves=4,
)
BODIES = st.one_of(
    st.binary(max_size=20), WORDS.map(lambda t: t.encode(errors="surrogatepass")), JSON.map(json.dumps).map(str.encode)
)


@st.composite
def exchanges(draw) -> Exchange:
    path = "/v1/runs/" + draw(st.one_of(st.just(ID), LATIN))
    request = Request(draw(st.sampled_from(["GET", "POST", "FR-OB"])), path, draw(HEADERS), draw(st.none() | BODIES))
    answer = Answer(draw(st.sampled_from([0, 200, 299, 999])), draw(HEADERS), draw(BODIES), lost=draw(WORDS))
    return Exchange(request, answer)


@st.composite
def reports(draw):
    told = tuple(draw(st.lists(exchanges(), min_size=1, max_size=3)))
    finding = Finding("BULK-ECHO", draw(WORDS), draw(WORDS), draw(WORDS), told)
    result = CheckResult(
        target="http://127.0.0.1:4010",
        seed=1,
        verdict="failed",
        rules=(RuleResult("BULK-ECHO", "failed", draw(WORDS)), RuleResult("READ-UNKNOWN", "skipped", draw(WORDS))),
        findings=(finding,),
        unstable=(dataclasses.replace(finding, stable=False),),
        baselined=(finding,),
        spent=samples.RESULT.spent,
        notes=(draw(WORDS),),
    )
    return samples.report(result, failed_by=(draw(WORDS),))


usually = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)


def assert_shown(text: str, *, beside: str = "\n") -> None:
    odd = {c for c in text if not c.isprintable() and c not in beside}
    assert not odd
    text.encode()


@usually
@given(report=reports(), width=st.sampled_from([None, 60]))
def test_the_text_has_nothing_but_its_own_colours(report, width):
    assert_shown(re.sub(r"\x1b\[\d+m", "", render_text(report, width=width)))
    [finding] = report.result.findings
    assert_shown(click.unstyle(render_finding(finding, report.result.target, report.rules)))


class Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.comments: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes.update(name for name, _ in attrs)

    def handle_comment(self, data):
        self.comments.append(data)


def page(text: str) -> Page:
    parsed = Page()
    parsed.feed(text)
    parsed.close()
    return parsed


SCRIPT = files("contracts.report").joinpath("page.js").read_text(encoding="utf-8")
MARKED = dataclasses.replace(samples.COUNT, got="status 201")
OWN_PAGE = page(
    FORMATS["html"](
        samples.report(dataclasses.replace(samples.RESULT, findings=(MARKED, samples.ECHO)), failed_by=("a reason",))
    )
)


@usually
@given(report=reports())
def test_the_page_has_no_element_and_no_attribute_but_its_own(report):
    text = FORMATS["html"](report)
    assert_shown(text, beside="\n\t")
    found = page(text)
    assert found.tags <= OWN_PAGE.tags
    assert found.attributes <= OWN_PAGE.attributes
    assert found.comments == []
    assert re.findall("<script>(.*?)</script>", text, re.DOTALL) == [SCRIPT]
    assert len(re.findall("<script", text)) == 1


@usually
@given(report=reports())
def test_the_summary_has_no_markup_but_its_own(report):
    text = FORMATS["markdown"](report)
    tokens = MarkdownIt("gfm-like", {"linkify": False}).parse(text)
    inline = [child for token in tokens for child in token.children or ()]

    assert_shown(text)
    assert not {token.type for token in inline} & {"link_open", "image", "html_inline", "em_open"}
    html = {token.content.strip() for token in tokens if token.type == "html_block"}
    assert all(re.fullmatch(r"</details>|<details><summary>[^<>&]*</summary>", each) for each in html)


@usually
@given(report=reports())
def test_the_xml_is_well_formed_and_shows_what_is_not_printable(report):
    text = FORMATS["junit"](report)
    assert_shown(text, beside="\n\t")
    ElementTree.fromstring(text.encode())


@pytest.mark.parametrize("name", ["json", "sarif", "har"])
@usually
@given(report=reports())
def test_the_formats_of_json_can_be_written_read_and_printed(name, report):
    text = FORMATS[name](report)
    assert_shown(text)
    written = json.loads(text.encode())
    [finding] = report.result.findings
    if name == "json":
        jsonschema.Draft202012Validator(SCHEMA).validate(written)
        # Escaped, and the same; JSON cannot tell two surrogates that fit together from the character that they form.
        assert written["findings"][0]["got"] == finding.got.encode("utf-16", "surrogatepass").decode(
            "utf-16", "surrogatepass"
        )
    if name == "sarif":
        words = [each["message"]["text"] for each in written["runs"][0]["results"]]
        assert not any(re.search(r"(?<!\\)\]\(", text) for text in words)


@usually
@given(text=WORDS)
def test_words_are_shown_in_one_line_and_json_stays_the_same_value(text):
    assert_shown(printable(text), beside="")
    # JSON has one way to write two surrogates that form a pair: it reads them as one character.
    assume(not re.search("[\ud800-\udbff][\udc00-\udfff]", text))
    assert json.loads(printable_json(json.dumps(text, ensure_ascii=False))) == text


@settings(usually, max_examples=10)
@given(told=st.lists(exchanges(), min_size=1, max_size=3))
def test_the_commands_run_nothing_that_the_server_said(told, tmp_path):
    script = "\n".join(curls(told, "http://127.0.0.1:4010"))
    assert_shown(script)
    answer = told[0].answer.body.replace(b"\0", b"")
    (tmp_path / "answer").write_bytes(answer)
    shell = 'curl() { cat "$ANSWER_FILE"; }\n' + script
    subprocess.run(
        ["bash"],
        input=shell.encode(),
        cwd=tmp_path,
        capture_output=True,
        timeout=60,
        env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "ANSWER_FILE": str(tmp_path / "answer"), "TOKEN": "t"},
    )
    assert [path.name for path in tmp_path.iterdir()] == ["answer"]


@usually
@given(body=JSON, key=WORDS)
def test_masking_removes_secrets_in_any_context(body, key):
    secret = "a-long-token-of-someone"
    mask = Mask({secret: "$TOKEN"})
    told = json.dumps({"sensitive_inputs": {key: body}, "beside": f"{key}{secret}"}).encode()
    shown = mask.answer(Answer(200, (("X-Beside", f"{key}{secret}"),), told))
    assert secret not in repr(shown)
    # JSON reads two surrogates that form a pair as one character.
    assert json.loads(shown.body)["beside"] == json.loads(json.dumps(f"{key}$TOKEN"))
