"""The command `mockserver`. A signal ends it without a traceback, also while its modules are being imported."""

import os
import signal


def _end(signum: int, frame: object) -> None:
    # Nothing has started yet that needs a shutdown, and a module that is being imported could catch an exception.
    os._exit(0)


def main() -> None:
    for ending in (signal.SIGINT, signal.SIGTERM):
        signal.signal(ending, _end)
    from mockserver.cli import main as command

    command()


if __name__ == "__main__":
    main()
