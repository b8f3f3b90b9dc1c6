"""The client of an engine that is known only through HTTP."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from engine.base import EngineClient
from engine.generic.counting import question
from models.requests.endpoints import names_of
from utils.errors import CountUnavailable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.base import UpstreamResponse
    from models.requests.reader import RequestFacts, Upload
    from models.spec import VariantSpec

_OK = 200


def api_key(variant: VariantSpec, environ: Mapping[str, str]) -> str | None:
    """Return the engine's key, from the configuration or a variable; None without one."""
    return variant.api_key or environ.get(variant.api_key_env or "") or None


class HttpEngine(EngineClient):
    """An engine that is ready when ``health_path`` answers with the variant's ``ready_status``.

    With a ``health_path`` of None it always counts as ready. A ``url`` may have a path: it is put
    before every other path, except for a ``/v1`` that both have.
    """

    may_send_no_length = True

    def __init__(self, variant: VariantSpec, url: str, health_path: str | None) -> None:
        key = api_key(variant, os.environ)
        super().__init__(
            url.removesuffix("/v1"),
            probe_timeout=variant.timeouts.health_check,
            headers={"Authorization": f"Bearer {key}"} if key else {},
        )
        self._health_path = health_path
        self._ready_status = variant.ready_status
        self._variant = variant

    async def healthy(self) -> bool:
        """Return whether the health check has the status of a ready engine."""
        if self._health_path is None:
            return True
        return await self._probe(self._health_path) == self._ready_status

    async def forward(
        self, path: str, headers: Mapping[str, str], body: bytes | Upload, method: str = "POST"
    ) -> UpstreamResponse:
        """Send a request to the path by which the engine knows the endpoint."""
        return await super().forward(self._known(path), headers, body, method)

    async def count(self, facts: RequestFacts) -> int:
        """Return the prompt's tokens as the server counts them, or raise CountUnavailable."""
        asked = question(self._variant.count, facts)
        if asked is None:
            raise CountUnavailable("this server counts no tokens of such a request")
        status, answer = await self._ask(asked.path, asked.body)
        if status != _OK or not isinstance(answer, dict):
            raise CountUnavailable(f"{asked.path} answered {status}")
        if not isinstance(tokens := answer.get(asked.field), int):
            raise CountUnavailable(f"{asked.path} answered without {asked.field}")
        return tokens

    def _known(self, path: str) -> str:
        """Return the engine's path if the client used another name of the endpoint."""
        asked = urlsplit(path).path
        known = next((name for name in names_of(asked) if self._variant.answers(name)), asked)
        return known + path.removeprefix(asked)
