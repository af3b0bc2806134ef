"""What other clients of a mock do while the page is open: they use its API, and its control API."""

from typing import Any

import httpx

WORKFLOW = "10000000-0000-4000-8000-000000000001"


class Control:
    """`url` is that of the mock, or of a namespace of it."""

    def __init__(self, url: str, *, admin_token: str | None = None) -> None:
        self.url = url
        self.page_url = f"{url}/__admin/"
        self.client = httpx.Client(base_url=url, headers={"Authorization": "Bearer test"}, timeout=30)
        headers = {} if admin_token is None else {"Authorization": f"Bearer {admin_token}"}
        self.admin_client = httpx.Client(base_url=self.page_url, headers=headers, timeout=30)

    def __enter__(self) -> "Control":
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()
        self.admin_client.close()

    def admin(self, method: str, path: str, body: Any = None) -> Any:
        answer = self.admin_client.request(method, path, json=body)
        assert answer.is_success, answer.text
        return answer.json() if answer.content else None

    def bulk(self, count: int, **fields: Any) -> list[str]:
        body = {"workflow_id": WORKFLOW, "count": count, **fields}
        answer = self.client.post("/v1/runs/bulk", json=body)
        assert answer.status_code == 201, answer.text
        return [run["id"] for run in answer.json()["created_runs"]]

    def seed(self, *seeds: dict[str, Any]) -> list[str]:
        ids: list[str] = self.admin("POST", "runs", [{"workflow_id": WORKFLOW, **seed} for seed in seeds])["ids"]
        return ids

    def status_of(self, run_id: str) -> str:
        status: str = self.admin("GET", f"runs/{run_id}")["status"]
        return status
