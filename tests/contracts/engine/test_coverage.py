"""What a check records of its judgements."""

import contracts.check
from contracts.core.exchange import TOKEN, Answer, Exchange, Request
from contracts.core.target import Budget
from contracts.engine.coverage import Coverage
from contracts.explore import exploration
from contracts.oracle.request import read_body
from contracts.rules import SCENARIOS
from tests.contracts.checks import checked
from tests.standin.serving import serving

WORKFLOW = "10000000-0000-4000-8000-000000000001"


def exchange(method: str, path: str, status: int = 200, **headers: str) -> Exchange:
    fields = (("Authorization", TOKEN), *((name.replace("_", "-"), value) for name, value in headers.items()))
    return Exchange(Request(method, path, fields), Answer(status, (), b""))


def test_an_exchange_counts_for_its_status_and_its_documented_parameters():
    coverage = Coverage()
    coverage.count_exchange("LIST-FILTER", exchange("GET", "/v1/runs?limit=1&search=a%20secret&a-secret=1&search=b"))
    coverage.count_exchange("NO-5XX", exchange("GET", "/v1/runs", 422))
    coverage.count_exchange("NO-5XX", exchange("GET", "/v1/unknown", 404))
    coverage.count_exchange("IDEM-REPLAY", exchange("POST", "/v1/runs", 201, idempotency_key="k", x_other="1"))
    assert coverage.as_dict() == {
        "list_runs": {
            "status 200": {"LIST-FILTER": 1},
            "status 422": {"NO-5XX": 1},
            "query search": {"LIST-FILTER": 1},
            "query limit": {"LIST-FILTER": 1},
        },
        "create_run": {"status 201": {"IDEM-REPLAY": 1}, "header Idempotency-Key": {"IDEM-REPLAY": 1}},
    }


def test_a_valid_body_counts_for_all_its_fields_and_an_invalid_one_for_those_that_are_wrong():
    coverage = Coverage()
    files = [{"filename": "a.txt", "content": "YQ=="}]
    valid = {"workflow_id": WORKFLOW, "count": 1, "file_inputs": files, "unknown": 1}
    coverage.count_body("REQ-ACCEPT", read_body("bulk_create_runs", valid))
    wrong = valid | {"count": 0, "file_inputs": [{"filename": 1, "content": "YQ=="}]}
    coverage.count_body("REQ-TYPES", read_body("bulk_create_runs", wrong))
    assert coverage.as_dict()["bulk_create_runs"] == {
        "body workflow_id": {"REQ-ACCEPT": 1},
        "body count": {"REQ-ACCEPT": 1, "REQ-TYPES": 1},
        "body file_inputs": {"REQ-ACCEPT": 1},
        "body file_inputs[].filename": {"REQ-ACCEPT": 1, "REQ-TYPES": 1},
        "body file_inputs[].content": {"REQ-ACCEPT": 1},
    }


def test_an_answer_counts_for_the_documented_fields_that_it_has():
    coverage = Coverage()
    coverage.count_answer("HTTP-SCHEMA", "list_pools", {"items": [{"id": 1, "other": 2}], "total": 1})
    assert coverage.as_dict() == {
        "list_pools": {
            "answer items": {"HTTP-SCHEMA": 1},
            "answer items[].id": {"HTTP-SCHEMA": 1},
            "answer total": {"HTTP-SCHEMA": 1},
        }
    }


def test_a_check_records_what_it_has_judged(monkeypatch):
    invalid = tuple(scenario for scenario in SCENARIOS if scenario.name == "invalid requests")
    monkeypatch.setattr(contracts.check, "SCENARIOS", invalid)
    monkeypatch.setattr(exploration, "_PARTS", ())
    with serving() as url:
        coverage = checked(url, {"REQ-COUNT"}, max_time_s=300.0, budget=Budget(max_requests=300)).coverage
    bulk = coverage["bulk_create_runs"]
    assert bulk["status 422"]["REQ-COUNT"] > 5
    assert bulk["body count"]["REQ-COUNT"] == bulk["status 422"]["REQ-COUNT"] + bulk["status 201"].get("REQ-COUNT", 0)
    assert bulk["answer created_runs[].id"].keys() == {"BULK-STATUS"}
    assert bulk["status 201"]["BULK-ECHO"] == bulk["status 201"]["BULK-IDS"] > 0
