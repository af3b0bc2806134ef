"""`mockserver serve` whose first process, once it is ending, reads its pipe only after all workers have ended.

So it may be by chance: the bytes that tell of their ends are read together.
"""

import os
import sys
from contextlib import suppress

from mockserver import cli
from mockserver.workers import Workers

_read_wakeups = Workers._read_wakeups


def _read_when_all_have_ended(self: Workers) -> None:
    for process_id in self._places if self._is_ending else ():
        with suppress(ChildProcessError):  # it was reaped
            os.waitid(os.P_PID, process_id, os.WEXITED | os.WNOWAIT)
    _read_wakeups(self)


Workers._read_wakeups = _read_when_all_have_ended  # type: ignore[method-assign]  # what this program is for
sys.argv = ["mockserver", "serve", "--port", "0", *sys.argv[1:]]
cli.main()
