"""The stand-in itself: healthy it obeys, and each planted defect is really there."""

import pytest

from tests.standin.client import Client
from tests.standin.defects import DEFECTS
from tests.standin.server import create_standin


@pytest.mark.parametrize("defect", DEFECTS)
def test_planted_defect_shows_in_its_witness_and_the_healthy_server_passes_it(defect):
    witness = DEFECTS[defect].kind.obeys
    with Client(lambda settings: create_standin(None, frozenset(), settings)) as healthy:
        witness(healthy)
    with (
        Client(lambda settings: create_standin(defect, frozenset(), settings)) as broken,
        pytest.raises(AssertionError),
    ):
        witness(broken)
