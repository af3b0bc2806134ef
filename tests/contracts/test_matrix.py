"""The tables of the matrix tests are complete. `make test` runs this, so that a new defect or variation fails early."""

from tests.contracts.matrix.misses import NEEDS_A_WHOLE_CHECK, NEEDS_LONG_RUNS, NOT_IN_A_REPLAY
from tests.contracts.matrix.test_defects import taken
from tests.contracts.matrix.test_variations import GROUPS
from tests.standin.defects import DEFECTS
from tests.standin.variations import VARIATIONS


def test_each_variation_is_in_a_group() -> None:
    assert {name for names in GROUPS.values() for name in names.split()} == set(VARIATIONS)


def test_the_lists_of_misses_name_defects_that_there_are() -> None:
    assert {*NEEDS_A_WHOLE_CHECK, *NEEDS_LONG_RUNS, *NOT_IN_A_REPLAY} <= set(DEFECTS)


def test_planted_defects_of_every_rule_are_taken() -> None:
    assert {DEFECTS[name].rule for name in taken()} == {defect.rule for defect in DEFECTS.values()}
    assert len(taken()) >= len(DEFECTS) // 8
