"""Namespaces: /__ns/NAME/v1/… is the whole API once more, with a state of its own."""

from __future__ import annotations

import pytest

from tests.mockserver.inprocess import SUCCEEDS, Mock

_BODY = {"workflow_id": SUCCEEDS}


def test_tests_over_both_stores_have_the_store_of_their_name(request: pytest.FixtureRequest):
    assert Mock().app.settings.store.url.startswith(request.node.callspec.params["store"])


def test_no_namespace_sees_anothers_runs():
    mock = Mock()
    here = mock.create()
    there = mock.post("/__ns/a/v1/runs", _BODY).json()
    assert mock.ids() == [here["id"]]
    assert [run["id"] for run in mock.get("/__ns/a/v1/runs").json()["items"]] == [there["id"]]
    assert mock.get("/__ns/b/v1/runs").json()["total"] == 0
    assert mock.get(f"/__ns/a/v1/runs/{here['id']}").status_code == 404
    assert mock.get(f"/v1/runs/{there['id']}").status_code == 404


def test_an_organisation_stays_itself_in_every_namespace_and_apart_from_others():
    mock = Mock()
    here, there = mock.create(), mock.post("/__ns/a/v1/runs", _BODY).json()
    assert here["organization_id"] == there["organization_id"]
    assert mock.get("/__ns/a/v1/runs", token="test-two").json()["total"] == 0


def test_the_same_requests_in_the_same_namespace_give_the_same_ids_and_in_another_different_ones():
    ids = [Mock().post(f"/__ns/{name}/v1/runs", _BODY).json()["id"] for name in ("a", "a", "b")]
    assert ids[0] == ids[1] != ids[2]


def test_a_namespace_has_any_name_that_fits_a_segment():
    mock = Mock()
    mock.post("/__ns/caf%C3%A9%20%3F/v1/runs", _BODY)
    assert mock.get("/__ns/café%20%3F/v1/runs").json()["total"] == 1


def test_the_world_stands_in_every_namespace():
    mock = Mock()
    for kind in ("machines", "pools", "workflows"):
        there, here = ([each["id"] for each in mock.get(f"{ns}/v1/{kind}").json()["items"]] for ns in ("/__ns/a", ""))
        assert there == here != []


def test_a_token_is_wanted_in_every_namespace():
    assert Mock().get("/__ns/a/v1/runs", token=None).status_code == 401
    assert Mock().get("/__ns/a/v1/health", token=None).status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        "/__ns/%FF/v1/runs",
        "/__ns/a%C3/v1/health",
        "/__ns",
        "/__ns/",
        "/__ns/a",
        "/__ns//v1/runs",
        "/__ns/a/",
        "/__ns/a/__ns/b/v1/runs",
    ],
)
def test_what_is_no_namespace_is_a_404(path: str):
    assert Mock().get(path).status_code == 404


def test_a_method_that_is_not_served_is_told_in_a_namespace_too():
    mock = Mock()
    refused, plain = mock.request("PUT", "/__ns/a/v1/runs"), mock.request("PUT", "/v1/runs")
    assert (refused.status_code, refused.headers["allow"]) == (405, plain.headers["allow"])
    assert mock.request("OPTIONS", "/__ns/a/v1/runs").headers["allow"] == plain.headers["allow"]
