"""Streams of every API are well-formed however their bytes come from the engine.

The client of the tests checks each stream that it reads; see ``stream_schema``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from gateway import fake_model, fake_variant, running_gateway

if TYPE_CHECKING:
    from fake_engine import Journal

SAID: Any = {"messages": [{"role": "user", "content": "grüße"}], "max_tokens": 5, "stream": True}
REQUESTS: dict[str, Any] = {
    "/v1/chat/completions": SAID | {"stream_options": {"include_usage": True}},
    "/v1/completions": {"prompt": "grüße", "max_tokens": 5, "stream": True},
    "/v1/messages": SAID,
    "/v1/responses": {"input": "grüße", "max_output_tokens": 5, "stream": True},
    "/api/chat": {"messages": SAID["messages"], "options": {"num_predict": 5}},
    "/api/generate": {"prompt": "grüße", "options": {"num_predict": 5}},
}


@pytest.mark.parametrize("cut_bytes", [1, 2, 7])
async def test_bytes_may_be_cut_anywhere(journal: Journal, cut_bytes: int) -> None:
    model = fake_model(fake_variant(journal, cut_bytes=cut_bytes))
    async with running_gateway(journal, model) as gateway:
        for path, body in REQUESTS.items():
            answer = await gateway.post({"model": "m", **body}, path)
            assert answer.status == 200, answer.body
            # Some engines and codecs write other characters as numbers.
            text = answer.body.decode().replace("\\u00fc", "ü").replace("\\u00df", "ß")
            assert all(f"grüße.{number}" in text for number in range(5)), text


@pytest.mark.parametrize("fault", [{"die_at": 2}, {"close_at": 2}, {"error_at": 2}])
@pytest.mark.parametrize("cut_bytes", [0, 1])
async def test_a_fault_ends_by_an_error_and_no_more(
    journal: Journal, fault: dict[str, Any], cut_bytes: int
) -> None:
    model = fake_model(fake_variant(journal, cut_bytes=cut_bytes, **fault))
    async with running_gateway(journal, model) as gateway:
        for path, body in REQUESTS.items():
            client = await gateway.stream_of(path, {"model": "m", **body})
            await client.head()
            while await client.chunk():
                pass
            *_, last = b"".join(client.chunks).rstrip().splitlines()
            assert b"error" in last, client.chunks
