"""Let a small model choose the label of a request, by the same way as any other call."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

import orjson
from multidict import CIMultiDict

from inference.call import Call, CallRecord
from inference.caller import GATEWAY
from models.requests.endpoints import CHAT
from models.requests.reader import read
from server.codecs.collect import CollectingSink, Unheard
from utils.errors import GatewayError
from utils.logger import get_logger

if TYPE_CHECKING:
    from collections.abc import Iterable

    from inference.run import Inference
    from models.catalog import Catalog
    from models.requests.endpoints import Endpoint
    from models.requests.fields import Json
    from models.routing.decide import Question
    from models.spec import ModelSpec
    from server.middleware import RequestContext
    from utils.clock import Clock
    from utils.config.routes import ClassifyTable

_log = get_logger("route")
_TASK = "Choose the one label that fits the message best. Answer with the label alone."
# Characters of a message that the model reads: its beginning says what it is about.
_READ = 4000
# Tokens of an answer: a label, perhaps in quotes.
_ANSWER = 16


class Classifier:
    """Asks small models for labels, and remembers their answers by the message."""

    def __init__(self, inference: Inference, clock: Clock) -> None:
        self._inference = inference
        self._clock = clock
        self._known: OrderedDict[bytes, str] = OrderedDict()

    async def label(self, ctx: RequestContext, question: Question, text: str) -> str:
        """Return the label of ``text``; the default one if there is none in time."""
        classify = question.classify
        key = _key(classify, text)
        known = self._known.get(key)
        if known is not None and known in classify.labels:
            self._known.move_to_end(key)
            return known
        try:
            async with asyncio.timeout(classify.timeout):
                said = await self._ask(ctx, classify, text)
        except (GatewayError, TimeoutError) as error:
            why = f"{classify.timeout:g} s were too short" if not str(error) else str(error)
            _log.warning("%s: %s did not choose a label: %s", question.route, classify.model, why)
            return classify.default
        found = label_in(said, classify.labels)
        if found is None:
            _log.info("%s: %s chose no label", question.route, classify.model)
            return classify.default
        self._known[key] = found
        while len(self._known) > classify.cache:
            self._known.popitem(last=False)
        return found

    async def _ask(self, ctx: RequestContext, classify: ClassifyTable, text: str) -> str:
        """Return what the model answers, "" if nothing; raise a GatewayError."""
        configuration = ctx.configuration
        body = classify_request(classify, text)
        model, facts = read(
            CHAT, body, _Named(configuration.catalog), classify.model, configuration.fits
        )
        now = self._clock.now()
        # Nobody is charged for what only chooses a model.
        record = CallRecord(
            started=now, id=ctx.record.id, path="route", client=ctx.client, caller=GATEWAY
        )
        sink = CollectingSink(Unheard())
        call = Call(
            facts=facts,
            model=model,
            able=configuration.able[model.name],
            record=record,
            path=CHAT.paths[0],
            headers=CIMultiDict({"Content-Type": "application/json"}),
            priority=ctx.priority(),
        )
        await self._inference.run(call, sink)
        return "" if sink.refused else answer_in(sink.body)


class _Named:
    """Finds the model that is named, and nothing in its place."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def asked(self, endpoint: Endpoint, request: Json, name: str | None) -> ModelSpec:
        """Return the model of this name."""
        del endpoint, request
        return self._catalog.find(name)


def classify_request(classify: ClassifyTable, text: str) -> dict[str, Any]:
    """Return the chat that asks for a label; the engine may write nothing but one of them."""
    labels = list(classify.labels)
    task = f"{classify.prompt or _TASK}\nLabels: {', '.join(labels)}."
    schema = {"type": "string", "enum": labels}
    return {
        "model": classify.model,
        "messages": [
            {"role": "system", "content": task},
            {"role": "user", "content": text[:_READ]},
        ],
        "max_tokens": _ANSWER,
        "temperature": 0,
        "stream": False,
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "label", "strict": True, "schema": schema},
        },
    }


def answer_in(body: bytes) -> str:
    """Return the text of a chat's answer; "" if it has none."""
    try:
        said = orjson.loads(body)["choices"][0]["message"]["content"]
    except (ValueError, KeyError, IndexError, TypeError):
        return ""
    return said if isinstance(said, str) else ""


def label_in(said: str, labels: Iterable[str]) -> str | None:
    """Return the label that the answer is, or the only one that it contains; else None."""
    plain = said.strip().strip("\"'`.").casefold()
    found = [label for label in labels if label.casefold() == plain]
    found = found or [label for label in labels if label.casefold() in plain]
    return found[0] if len(found) == 1 else None


def _key(classify: ClassifyTable, text: str) -> bytes:
    asked = orjson.dumps(classify_request(classify, text))
    return blake2b(asked, digest_size=16).digest()
