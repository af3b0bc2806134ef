"""Every planted defect is found, under the right rule, with exchanges that show it when they are sent alone.

A check here judges only the rules that the defect breaks and stops at its first finding; what whole checks find, how
fast and at what cost, is in docs/defects.md. Without STANDIN_MATRIX=full a part of the defects is taken, at least one
for each rule.
"""

import pytest

from tests.contracts.matrix.checks import first_finding, shown, transcript
from tests.standin.defects import DEFECTS

# What shows only with time or at once: sent again one after the other, on a server whose runs do not move, it does not.
MOVING = {
    "at_once_makes_two",
    "burst_of_writes_without_retry_after",
    "limit_without_retry_after",
}


@pytest.mark.parametrize("defect", DEFECTS)
def test_planted_defect_is_found_under_its_rule_and_shows_when_sent_alone(defect):
    finding = first_finding(defect)

    assert finding is not None, f"{DEFECTS[defect].rules}: {DEFECTS[defect].what}"
    if DEFECTS[defect].rule != "LIFECYCLE" and defect not in MOVING:
        healthy, broken = (transcript(finding.exchanges, which) for which in (None, defect))
        assert healthy != broken, shown(finding.exchanges)
