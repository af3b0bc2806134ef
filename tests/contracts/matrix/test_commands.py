"""The commands of a finding, pasted into a shell, show the defect on a new server, ids of its own and all."""

import os
import re
import shutil
import subprocess

import pytest

from contracts.report.curl import curls
from tests.contracts.checks import TOKENS, first_finding, guarded
from tests.contracts.matrix.replay import plain
from tests.standin.behaviour import Settings
from tests.standin.defects import DEFECTS
from tests.standin.serving import serving

pytestmark = pytest.mark.skipif(not shutil.which("curl"), reason="the commands need curl")

NEW_EVERY_TIME = re.compile(r"(?im)^(date|content-length|server):.*$")


def printed(finding, defect):
    with serving(defect, settings=Settings(scheduling_s=3600)) as url:
        done = subprocess.run(
            ["bash"],
            input="\n".join(curls(finding.exchanges, url)).encode(),
            capture_output=True,
            timeout=60,
            env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "TOKEN": TOKENS[0], "SECOND_TOKEN": TOKENS[1]},
        )
    assert done.returncode == 0, done.stderr.decode()
    return plain(NEW_EVERY_TIME.sub("", done.stdout.decode()))


@pytest.mark.parametrize(
    ("defect", "requests"),
    [
        ("delete_keys_ignored", 3),
        ("retry_keys_ignored", 4),
        ("third_is_handled_again", 3),
        ("errors_of_others_written", None),
        ("download_is_open", 2),
        ("error_items_may_be_numbers", 2),
    ],
)
def test_the_commands_of_a_finding_show_it_on_a_new_server(defect, requests):
    with serving(defect) as url, guarded(url, max_time_s=240) as guard:
        finding = first_finding(guard, DEFECTS[defect].rules)

    assert finding is not None
    assert requests in (None, len(finding.exchanges))
    assert printed(finding, defect) != printed(finding, None)
