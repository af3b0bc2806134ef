"""Planted defects are found, under the right rule, with exchanges that show it again when they are sent alone.

They do where a new stand-in with the defect answers them otherwise than a healthy one. A check here judges only the
rules that the defect breaks and stops at its first finding that the engine has sent again (`Finding.stable`). Of each
rule an eighth of the defects is taken. STANDIN_MATRIX=full takes all, as `make full-matrix` does.
"""

import pytest

from tests.contracts.checks import first_finding, guarded
from tests.contracts.matrix.misses import NEEDS_A_WHOLE_CHECK, NEEDS_LONG_RUNS, NOT_IN_A_REPLAY
from tests.contracts.matrix.replay import answers
from tests.contracts.plain_texts import unclear
from tests.contracts.sampling import FULL, by_hash
from tests.standin.behaviour import Settings
from tests.standin.defects import DEFECTS
from tests.standin.serving import serving


def taken():
    by_rule = by_hash(DEFECTS, name=str, group=lambda name: DEFECTS[name].rule)
    return [name for names in by_rule for name in (names if FULL else names[: -(-len(names) // 8)])]


@pytest.mark.parametrize("defect", taken())
def test_planted_defect_is_found_under_its_rule_and_shows_when_sent_alone(defect):
    settings = Settings(running_s=30) if defect in NEEDS_LONG_RUNS else None
    with serving(defect, settings=settings) as url, guarded(url, max_time_s=240) as guard:
        finding = first_finding(guard, DEFECTS[defect].rules, is_whole=defect in NEEDS_A_WHOLE_CHECK)

    assert finding is not None, f"{DEFECTS[defect].rules}: {DEFECTS[defect].what}"
    assert not list(unclear(finding))
    if defect not in NOT_IN_A_REPLAY:
        assert answers(finding.exchanges, defect) != answers(finding.exchanges, None)
