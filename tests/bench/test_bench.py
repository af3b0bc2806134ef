"""`make bench` runs, and its page and its picture show what it found. Nothing here depends on how fast that is."""

from __future__ import annotations

import subprocess
import sys
from xml.etree import ElementTree

import pytest

from tests.bench.load import Call, response_times
from tests.bench.measures import MOCK, bulk, serving
from tests.bench.results import Row, Table, page, picture


@pytest.mark.matrix
def test_it_runs_and_prints_each_table() -> None:
    done = subprocess.run([sys.executable, "-m", "tests.bench", "--quick"], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    titles = [line for line in done.stdout.splitlines() if line.startswith("### ")]
    assert len(titles) == 5
    assert "| bulk create of 1000 |" in done.stdout
    assert "| p99 of a bulk create of 1 |" in done.stdout


def test_a_refused_request_ends_the_measurement() -> None:
    with serving(*MOCK) as (_, url):
        assert len(response_times([bulk(url, 1), bulk(url, 2)], 0.05)) == 2
        with pytest.raises(AssertionError, match=r"HTTP/1\.1 422"):
            response_times([Call(f"{url}/v1/runs/no-id")], 0.05)


def test_the_page_and_the_picture_show_the_median_of_the_rounds() -> None:
    rows = [Row("list <of> 100", "5/s", "bare 10/s", [0.4, 0.9, 0.5], "≥ 0.6"), Row("read", "1/s", "2/s", [2.0])]
    tables = [Table("Requests", "Beside a bare route.", True, rows), Table("Memory", "", False, [rows[1]])]

    text = page(tables, "images/benchmarks.svg")
    assert "| list <of> 100 | 5/s | bare 10/s | 0.50 | 0.40–0.90 | ≥ 0.6 |" in text
    assert "| read | 1/s | 2/s | 2.00 |  |  |" in text
    assert "](images/benchmarks.svg)" in text

    image = ElementTree.fromstring(picture(tables))
    assert [each.text for each in image.iter("{http://www.w3.org/2000/svg}text")] == [
        *("1 = bare route", "list <of> 100", "0.50", "read", "2.00"),
    ]
    widths = [float(each.attrib["width"]) for each in image.iter("{http://www.w3.org/2000/svg}rect")]
    assert widths[1] == 4 * widths[0]


@pytest.mark.matrix
def test_the_bench_of_memory_prints_its_table() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.memory", "--share", "0.0002"],
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    assert [line.split("|")[1].strip() for line in done.stdout.splitlines()[2:]] == [
        *("2,000 runs", "200 runs in sessions", "20 namespaces", "20 tokens", "200 idempotency keys"),
    ]
