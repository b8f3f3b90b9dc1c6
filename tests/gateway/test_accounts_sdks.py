"""OpenAI's and Anthropic's SDKs with keys that are good, bad, expired and exhausted."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import httpx2
import pytest
from account_gateway import Books, books, charging_gateway
from fake_engine import Journal
from gateway import fake_model, fake_variant
from later import Later

from utils.config.accounts import PriceTable, RateLimitsTable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from gateway import Gateway

openai: Any = Later("openai")
anthropic: Any = Later("anthropic")
SDKS: dict[str, Any] = {"openai": openai, "anthropic": anthropic}
MESSAGES: Any = [{"role": "user", "content": "hello"}]


class Asked:
    """An SDK's client of the gateway; ``answers`` are the statuses that it got."""

    def __init__(self, sdk: str, gateway: Gateway, key: str) -> None:
        self.answers: list[int] = []

        async def note(response: httpx2.Response) -> None:
            self.answers.append(response.status_code)

        http = httpx2.AsyncClient(event_hooks={"response": [note]}, timeout=15)
        self._openai = sdk == "openai"
        kind = openai.AsyncOpenAI if self._openai else anthropic.AsyncAnthropic
        base = gateway.url + "/v1" * self._openai
        self._client: Any = kind(base_url=base, api_key=key, http_client=http, max_retries=2)

    async def ask(self) -> Any:
        asked: dict[str, Any] = {"model": "m", "messages": MESSAGES, "max_tokens": 4}
        async with self._client as client:
            if self._openai:
                return await client.chat.completions.create(**asked)
            return await client.messages.create(**asked)


@asynccontextmanager
async def serving(journal: Journal, at: Books, **accounts: Any) -> AsyncIterator[Gateway]:
    model = fake_model(fake_variant(journal))
    async with charging_gateway(journal, model, at=at, accounts=accounts) as gateway:
        yield gateway


@pytest.mark.parametrize("sdk", SDKS)
async def test_an_sdk_understands_what_becomes_of_its_key(journal: Journal, sdk: str) -> None:
    """One test, as each worker that imports an SDK computes for more than a second."""
    await _good_bad_expired_and_exhausted(journal, sdk)
    await _limited(Journal(journal.path.parent / "limited" / "journal"), sdk)


async def _good_bad_expired_and_exhausted(journal: Journal, sdk: str) -> None:
    at = books(journal.path.parent / "state")
    once = PriceTable(input_per_1k="0", output_per_1k="0", per_request="1")
    good, expired = at.add(), at.add(expires_at=1)
    async with serving(journal, at, pricing=once) as gateway:
        asked = Asked(sdk, gateway, good)
        assert (await asked.ask()).usage
        for key in ("sk-gw-bad", expired):
            asked = Asked(sdk, gateway, key)
            with pytest.raises(SDKS[sdk].AuthenticationError):
                await asked.ask()
            assert asked.answers == [401]
        asked = Asked(sdk, gateway, good)
        with pytest.raises(SDKS[sdk].APIStatusError) as refused:
            await asked.ask()
        # It asks once: another try costs both sides and helps nobody.
        assert asked.answers == [refused.value.status_code] == [402]
    assert at.balance() == 0


async def _limited(journal: Journal, sdk: str) -> None:
    """With so many requests in a minute, the next one is possible within a second."""
    at = books(journal.path.parent / "state")
    key = at.add("sub", rpm=100)
    async with serving(journal, at, rate_limits=RateLimitsTable(sub=1000)) as gateway:
        for _ in range(100):
            answer = await gateway.post(
                {"model": "m", "messages": MESSAGES, "max_tokens": 1}, headers={"x-api-key": key}
            )
            if answer.status == 429:
                break
        asked = Asked(sdk, gateway, key)
        assert (await asked.ask()).usage
        assert asked.answers in ([429, 200], [200])
