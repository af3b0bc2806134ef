"""Planted defects are found, under the right rule, with exchanges that show it again when they are sent alone.

They do where a new stand-in with the defect answers them otherwise than a healthy one. A check here judges only the
rules that the defect breaks and stops at its first finding that the engine has sent again (`Finding.stable`). Of each
rule a third of the defects is taken, chosen by their names and not by their order. STANDIN_MATRIX=full takes all, as
`make full-matrix` does.
"""

import hashlib
from collections import defaultdict

import pytest

from tests.contracts.matrix.checks import FULL, first_finding
from tests.contracts.matrix.misses import KNOWN_MISSES, MUTE
from tests.contracts.matrix.transcripts import transcript
from tests.standin.defects import DEFECTS


def taken():
    by_rule = defaultdict(list)
    for name in sorted(DEFECTS, key=lambda name: hashlib.sha256(name.encode()).digest()):
        by_rule[DEFECTS[name].rule].append(name)
    return [name for names in by_rule.values() for name in (names if FULL else names[: -(-len(names) // 3)])]


def marked(name):
    if name in KNOWN_MISSES:
        return pytest.param(name, marks=pytest.mark.xfail(strict=True, reason=KNOWN_MISSES[name]))
    return name


def test_the_lists_of_misses_name_defects_that_there_are():
    assert (set(KNOWN_MISSES) | set(MUTE)) <= set(DEFECTS)
    assert len(taken()) >= 100


@pytest.mark.parametrize("defect", [marked(one) for one in taken()])
def test_planted_defect_is_found_under_its_rule_and_shows_when_sent_alone(defect):
    finding = first_finding(defect)

    assert finding is not None, f"{DEFECTS[defect].rules}: {DEFECTS[defect].what}"
    assert finding.stable
    if defect not in MUTE:
        assert transcript(finding.exchanges, defect) != transcript(finding.exchanges, None)
