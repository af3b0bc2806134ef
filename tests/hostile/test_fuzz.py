"""A part of `make hostile`, with the same seed each time."""

from __future__ import annotations

import asyncio
import signal

import pytest

from tests.hostile.fuzz import attack
from tests.processes import PATIENCE_S, serving

COMMANDS = {
    "ours": ("mockserver", "serve", "--port", "0", "--self-check", "--log-level", "warning"),
    "stock": ("tests.hostile.stock", "--self-check"),
}


@pytest.mark.parametrize("which", COMMANDS)
def test_no_conversation_gets_a_5xx_or_hangs_or_leaves_a_traceback(which: str):
    with serving(command=COMMANDS[which]) as (process, url):
        outcome = asyncio.run(attack(int(url.rpartition(":")[2]), seed=1, requests=4_000))
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=PATIENCE_S)
    assert outcome.problems == []
    assert {200, 201, 204, 400, 401, 404, 405, 422} <= set(outcome.statuses)
    if which == "ours":
        of_pages = (" WARNING A page of ", " WARNING The browser hides ", " WARNING A browser may not ")
        said = [line for line in err.decode().splitlines() if not any(words in line for words in of_pages)]
        assert (process.returncode, said) == (0, [])
