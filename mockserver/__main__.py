"""The command `mockserver`. It ends quietly at a signal, also while the rest of it is being loaded."""

import os
import signal


def _end(signum: int, frame: object) -> None:
    # Nothing has been begun that would have to be ended well, and an exception may be caught by what is imported.
    os._exit(0)


def main() -> None:
    for ending in (signal.SIGINT, signal.SIGTERM):
        signal.signal(ending, _end)
    from mockserver.cli import main as command

    command()


if __name__ == "__main__":
    main()
