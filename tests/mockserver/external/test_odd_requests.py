"""What odd clients send, over a real socket: each gets a JSON answer that says what is wrong, and none a 5xx."""

import httpx
import pytest


@pytest.fixture
def client(mock, token):
    with httpx.Client(base_url=mock, headers={"Authorization": f"Bearer {token}"}) as client:
        yield client


@pytest.mark.parametrize("moment", ["0", "0.5", "1700000000", "2024-01-01", "2024-01-01T00:00:00", "now"])
def test_a_date_time_in_a_query_is_read_by_the_letter(client, moment):
    answer = client.get("/v1/runs", params={"created_at_from": moment})

    assert answer.status_code == 422
    assert [violation["loc"] for violation in answer.json()["detail"]] == [["query", "created_at_from"]]


def test_a_number_or_a_flag_in_a_query_is_text_and_is_read_leniently(client):
    answer = client.get("/v1/runs", params={"limit": "5.0", "deep_search": "yes"})

    assert (answer.status_code, answer.json()["limit"]) == (200, 5)
