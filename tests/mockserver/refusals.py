"""A server that cannot start: `mockserver serve` in this process, for another one takes half a second to import it."""

from __future__ import annotations

import logging

from click.testing import CliRunner

from mockserver.cli import main


def refused(*flags: str) -> str:
    """What a server that cannot start says: one line on standard error, and exit code 2."""
    # The command sets up the logging of its process, which is that of the tests here.
    handlers, level = logging.root.handlers, logging.root.level
    logging.root.handlers = []
    try:
        done = CliRunner().invoke(main, ["serve", "--port", "0", *flags])
    finally:
        logging.root.handlers = handlers
        logging.root.setLevel(level)
    assert_refused(done.exit_code, done.stdout, done.stderr)
    return done.stderr


def assert_refused(code: int, out: str, err: str) -> None:
    assert code == 2, (out, err)
    assert out == ""
    assert err.count("\n") == 1, err
    assert err.startswith("mockserver: ")
