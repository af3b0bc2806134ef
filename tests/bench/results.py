"""What a benchmark found: rows of a table, and the page and the picture that are made of them."""

from __future__ import annotations

import os
import platform
import statistics
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Final
from xml.sax.saxutils import escape

BAR_PX: Final = 360
LABEL_PX: Final = 250
ROW_PX: Final = 26


@dataclass(frozen=True)
class Row:
    """`ratios` has one value for each round: what the mock did, divided by what stands beside it."""

    what: str
    mock: str
    beside: str
    ratios: Sequence[float]
    goal: str = ""

    @property
    def ratio(self) -> float:
        return statistics.median(self.ratios)

    def cells(self) -> str:
        spread = f"{min(self.ratios):.2f}–{max(self.ratios):.2f}" if len(self.ratios) > 1 else ""
        return f"| {self.what} | {self.mock} | {self.beside} | {self.ratio:.2f} | {spread} | {self.goal} |"


@dataclass
class Table:
    """`bars` tells whether the picture shows its ratios."""

    title: str
    text: str
    bars: bool = False
    rows: list[Row] = field(default_factory=list)

    def add(self, row: Row) -> None:
        if not self.rows:
            print(f"\n### {self.title}\n\n{_HEAD}", flush=True)
        self.rows.append(row)
        print(row.cells(), flush=True)


_HEAD: Final = "| measure | the mock | beside it | ratio | rounds | goal |\n|---|---:|---:|---:|---:|---|"


def machine() -> str:
    """Return the machine and the versions, in one sentence."""
    model = ""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = cpuinfo.read_text().splitlines()
        model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    libraries = ", ".join(f"{name} {version(name)}" for name in ("uvicorn", "uvloop", "starlette"))
    return (
        f"{os.cpu_count()} cores ({model or platform.machine()}), {platform.system()}, "
        f"Python {platform.python_version()}, {libraries}"
    )


def page(tables: Sequence[Table], picture: str) -> str:
    """Return the Markdown page. `picture` is the path of the picture as the page links it."""
    parts = [
        "# Benchmarks",
        f"`make bench` wrote this page on {datetime.now(UTC):%Y-%m-%d}: {machine()}. The servers and the load ran on "
        "the same machine, the mock with its journal and its control API. Each row is measured in turns with what it "
        "is compared with. The ratio is the median of the rounds; *rounds* is the smallest and the largest. Compare "
        "ratios, not absolute numbers. Not every goal is reached: [performance.md](performance.md) shows where "
        "the time goes.",
        f"![ratios to a bare Starlette route]({picture})",
    ]
    for table in tables:
        rows = "\n".join(row.cells() for row in table.rows)
        parts += [f"## {table.title}", table.text, f"{_HEAD}\n{rows}"]
    # Tables are not wrapped.
    return "\n\n".join(part if "\n" in part else textwrap.fill(part, 120) for part in parts) + "\n"


def picture(tables: Sequence[Table]) -> str:
    """Return an SVG of bars: a line at 1 stands for the same speed as what is beside the mock."""
    rows = [row for table in tables if table.bars for row in table.rows]
    longest = max(1.0, *(row.ratio for row in rows))
    height = ROW_PX * (len(rows) + 1)
    width = LABEL_PX + BAR_PX + 60
    one = LABEL_PX + BAR_PX / longest
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" '
        'font-size="13" fill="#768390" role="img">',
        f'<line x1="{one:.0f}" y1="0" x2="{one:.0f}" y2="{height - ROW_PX}" stroke="#768390" stroke-dasharray="3"/>',
        f'<text x="{one:.0f}" y="{height - 8}" text-anchor="middle">1 = bare route</text>',
    ]
    for number, row in enumerate(rows):
        top = number * ROW_PX + 5
        length = BAR_PX * row.ratio / longest
        parts += [
            f'<text x="{LABEL_PX - 10}" y="{top + 13}" text-anchor="end">{escape(row.what)}</text>',
            f'<rect x="{LABEL_PX}" y="{top}" width="{length:.0f}" height="{ROW_PX - 8}" fill="#2f81f7" rx="2"/>',
            f'<text x="{LABEL_PX + length + 6:.0f}" y="{top + 13}">{row.ratio:.2f}</text>',
        ]
    return "\n".join([*parts, "</svg>", ""])
