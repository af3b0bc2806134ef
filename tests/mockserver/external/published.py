"""The published client, in one of its two ways: its synchronous or its asynchronous methods."""

import asyncio
from collections.abc import Callable
from typing import Any

from cyberdesk import CyberdeskClient
from openapi_client.cyberdesk_cloud_client.models import HTTPValidationError


class Client:
    """Calls the methods of the client by name, all in one of its two ways."""

    def __init__(self, client: CyberdeskClient, runner: asyncio.Runner | None) -> None:
        self._client = client
        self._runner = runner

    def answer(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """What the client makes of it: `data` and `error`."""
        api, name = method.split(".")
        if self._runner is None:
            return getattr(getattr(self._client, api), f"{name}_sync")(*args, **kwargs)
        return self._runner.run(getattr(getattr(self._client, api), name)(*args, **kwargs))

    def call(self, method: str, *args: Any, **kwargs: Any) -> Any:
        answer = self.answer(method, *args, **kwargs)
        assert answer.error is None, answer.error
        assert not isinstance(answer.data, HTTPValidationError), answer.data.to_dict()
        return answer.data


MakeClient = Callable[..., Client]
