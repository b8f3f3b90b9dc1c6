"""``Asker``: how a voice session asks models: each time a request of its own, as any other.

It is listed, logged and charged like a request to the endpoint itself.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import orjson
from multidict import CIMultiDict

from engine.scheduling.queue import Priority
from engine.sound.resample import resampled
from engine.sound.wav import wav_head
from inference.call import Call
from inference.hold import Hold
from inference.in_flight import Ongoing
from models.requests.endpoints import CHAT, SPEECH, TRANSCRIPTION
from server.access_log import AccessRecord
from server.codecs.deltas import Counted, ToolCall
from server.errors import shape_of
from server.handler import read_form_of, read_translated
from server.hops import headers_for
from server.uploads.form import Form
from server.voice.choice import candidates, hears_ahead
from server.voice.room import while_nobody_waits
from server.voice.sinks import ChatSink, WholeSink
from utils.errors import EngineRefused, GatewayError, ModelMissing
from utils.logger import get_logger
from voice import history
from voice.hearing.words import words_of
from voice.models import Answer, Spoken
from voice.sound import SPOKEN, seconds_of_opus, seconds_of_samples
from voice.told import Usage

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

    from models.requests.endpoints import Endpoint
    from models.requests.facts import RequestFacts
    from models.requests.fields import Json
    from models.spec import ModelSpec
    from server.codecs.deltas import Delta
    from server.configuration import CurrentConfiguration
    from server.handler import RequestHandler
    from server.middleware import RequestContext
    from utils.clock import Clock
    from voice.live.options import LiveOptions

_log = get_logger("voice")
_OK = 200
_JSON = {"Content-Type": "application/json"}
# A voice must be named in OpenAI's API; the engines here take this for their own.
_ANY_VOICE = "alloy"
# What the log says of the text of speech that went on.
_ENDED_EARLY = "voice, ended early"


class Asker:
    """Asks the models that ``options`` name, for the caller of ``ctx``. See ``Models``."""

    def __init__(
        self,
        ctx: RequestContext,
        handler: RequestHandler,
        current: CurrentConfiguration,
        clock: Clock,
        options: LiveOptions,
    ) -> None:
        self._ctx = ctx
        self._handler = handler
        self._current = current
        self._clock = clock
        self.options = options
        # The requests under way, and what keeps their engines loaded.
        self._asking: list[AccessRecord] = []
        # The model to which the last request for a name went.
        self._went: dict[str, str] = {}
        self._held = Hold(lambda request: any(each.ticket == request for each in self._asking))

    def hold(self) -> None:
        """Keep the engines loaded that a turn needs, if all of them are."""
        options = self.options
        tasks = (
            (TRANSCRIPTION, options.hearer),
            (CHAT, options.model),
            (SPEECH, options.speaker),
        )
        found = [self._expected(endpoint, name) for endpoint, name in tasks if name]
        models = {model.name: model for model in found if model is not None}
        if None not in found:
            self._handler.hold(self._held, models.values(), self._ctx.client)

    def _expected(self, endpoint: Endpoint, name: str) -> ModelSpec | None:
        """Return the model that the next request for a name will go to, as far as it is known.

        Of a route, that is its only one, or the one that it has chosen last.
        """
        try:
            models, _ = candidates(self._current.now.catalog, endpoint, name)
        except GatewayError:
            return None
        if len(models) == 1:
            return models[0]
        went = self._went.get(name)
        return next((model for model in models if model.name == went), None)

    def release(self) -> None:
        """Hold no engines any more."""
        self._held.release()

    def move(self, ctx: RequestContext) -> None:
        """Ask for this request from now on: the client has another connection."""
        self._ctx = ctx

    @property
    def partials(self) -> bool:
        """Whether speech is made a text already while it goes on; see ``hears_ahead``."""
        caller = self._ctx.record.caller
        return hears_ahead(self.options.partials, None if caller is None else caller.account_id)

    async def hear(self, sound: bytes) -> str:
        """Return what is said in a sound file; "" where nobody speaks."""
        return await self._hear(sound)

    async def _hear(self, sound: bytes, *, may_end: bool = False) -> str:
        own = self._own()
        form = Form(lambda _size: True)
        try:
            await _add(form, "model", self.options.hearer.encode())
            await _add(form, "response_format", b"json")
            if self.options.language:
                await _add(form, "language", self.options.language.encode())
            await _add(form, "file", sound, filename="sound")
            await form.complete()
            read = partial(read_form_of, own, TRANSCRIPTION, form)
            model, facts = await self._handler.understood(own, 0, read)
            length = {"Content-Type": form.content_type, "Content-Length": str(form.size)}
            sink = WholeSink()
            self._went[self.options.hearer] = model.name
            await self._run(own, model, facts, length, sink, may_end=may_end)
        finally:
            form.close()
        try:
            return words_of(str(orjson.loads(sink.body)["text"]))
        except (ValueError, KeyError, TypeError) as error:
            raise EngineRefused("The engine answered without a transcript.") from error

    async def hear_so_far(self, sound: bytes) -> str | None:
        """Return the text of speech that goes on; None where it would be in the way of others.

        Only a free engine is asked, and it stops once any request waits.
        """
        model = self._expected(TRANSCRIPTION, self.options.hearer)
        if model is None or not self._handler.is_free(model):
            return None
        async with while_nobody_waits(self._ctx.telemetry.on_wait):
            return await self._hear(sound, may_end=True)
        return None

    async def think(
        self, messages: list[dict[str, Any]], said: Callable[[str], Awaitable[None]]
    ) -> Answer:
        """Let the model answer; ``said`` takes its text as it comes."""
        sink = ChatSink(said)
        # After a stream, an engine may close the connection, whatever its headers promise.
        await self._ask(CHAT, self._chat(messages), {"Connection": "close"}, sink)
        found = answer_of(await sink.rest())
        return found._replace(usage=replace(found.usage, limits=sink.decided))

    async def read_ahead(self, messages: list[dict[str, Any]]) -> None:
        """Let the model's engine read what a chat will begin with, if it has nothing else to do."""
        own = self._own()
        try:
            # A route chooses its model once the whole question is there.
            model, facts = read_translated(own, CHAT, self._chat(messages))
            await self._handler.read_ahead(_call(own, model, facts, _JSON))
        except GatewayError as error:
            _log.debug("nothing was read ahead: %s", error.message)

    def _chat(self, messages: list[dict[str, Any]]) -> Json:
        options = self.options
        return {
            "model": options.model,
            "messages": messages,
            "temperature": options.temperature,
            "max_tokens": options.max_tokens,
            "stream": True,
            "stream_options": {"include_usage": True},
            **_tools(options),
        }

    async def speak(self, text: str) -> Spoken:
        """Return the text as speech in the format of the options."""
        options = self.options
        wanted = "opus" if options.output == "opus" else "pcm"
        request: Json = {
            "model": options.speaker,
            "input": text,
            "voice": options.voice or _ANY_VOICE,
            "response_format": wanted,
            **({} if options.speed == 1 else {"speed": options.speed}),
        }
        sink = WholeSink()
        await self._ask(SPEECH, request, {}, sink)
        sound = sink.body
        if wanted == "opus":
            return Spoken(sound, seconds_of_opus(sound))
        samples = resampled(sound, SPOKEN, options.rate)
        head = wav_head(options.rate, len(samples)) if options.output == "wav" else b""
        return Spoken(head + samples, seconds_of_samples(samples, options.rate))

    async def _ask(
        self,
        endpoint: Endpoint,
        request: Json,
        headers: Mapping[str, str],
        sink: ChatSink | WholeSink,
    ) -> None:
        # What is read names the model itself.
        own, name = self._own(), str(request["model"])

        def read() -> tuple[ModelSpec, RequestFacts]:
            try:
                return read_translated(own, endpoint, request)
            except ModelMissing as missing:
                # Nobody here can be told how far its download is.
                missing.stream = False
                raise

        model, facts = await self._handler.understood(own, 0, read)
        self._went[name] = model.name
        await self._run(own, model, facts, {**_JSON, **headers}, sink)

    def _own(self) -> RequestContext:
        """Return the context of a request of the session's own, for which a model is chosen."""
        ctx = self._ctx
        record = AccessRecord(
            "POST",
            started=self._clock.now(),
            id=ctx.telemetry.requests.new_id(),
            client=ctx.client,
            address=ctx.record.address,
            caller=ctx.record.caller,
            note="voice",
        )
        return replace(
            ctx, configuration=self._current.now, record=record, routed=None, name=None, share=None
        )

    async def _run(
        self,
        own: RequestContext,
        model: ModelSpec,
        facts: RequestFacts,
        headers: Mapping[str, str],
        sink: ChatSink | WholeSink,
        *,
        may_end: bool = False,
    ) -> None:
        """Run a request; one that ``may_end`` is not needed to its end."""
        record, telemetry = own.record, own.telemetry
        call = _call(own, model, facts, headers)
        ongoing = Ongoing(record)
        telemetry.began(ongoing)
        self._asking.append(record)
        try:
            with ongoing:
                await self._handler.run(own, call, sink)
            record.status = _OK
        except asyncio.CancelledError:
            if may_end:
                # No client has left: the gateway itself has ended it.
                record.status, record.note = _OK, _ENDED_EARLY
            raise
        except GatewayError as error:
            record.note = type(error).__name__
            record.failed = record.status = shape_of(error).status
            raise
        finally:
            self._asking.remove(record)
            telemetry.ended(record, self._clock.now(), ongoing)


def _tools(options: LiveOptions) -> Json:
    if not options.tools:
        return {}
    chosen = {} if options.tool_choice == "auto" else {"tool_choice": options.tool_choice}
    return {"tools": list(options.tools), **chosen}


def _call(
    own: RequestContext, model: ModelSpec, facts: RequestFacts, headers: Mapping[str, str]
) -> Call:
    path = own.record.path = facts.endpoint.paths[0]
    told: Mapping[str, str] = CIMultiDict(headers)
    return Call(
        facts=facts,
        model=model,
        able=own.configuration.able[model.name],
        record=own.record,
        path=path,
        headers=headers_for(own, model, told, stream=facts.stream),
        # Somebody waits and listens: before what has the same priority otherwise.
        priority=Priority(min(Priority.HIGH, own.priority() + 1)),
    )


def answer_of(deltas: list[Delta]) -> Answer:
    """Return the end of an answer: the calls of tools in its deltas, and its tokens."""
    calls: dict[int, history.ToolCall] = {}
    usage = Usage()
    for delta in deltas:
        if isinstance(delta, ToolCall):
            known = calls.get(delta.number)
            begun = "" if known is None else known.arguments
            calls[delta.number] = history.ToolCall(
                delta.id or (f"call_{delta.number}" if known is None else known.id),
                delta.name or ("" if known is None else known.name),
                begun + delta.arguments,
            )
        elif isinstance(delta, Counted):
            told = delta.told
            usage = Usage(
                told.prompt or usage.prompt,
                told.completion or usage.completion,
                delta.cost,
                cached=usage.cached if told.cached is None else told.cached,
            )
    return Answer(tuple(calls[number] for number in sorted(calls)), usage)


async def _add(form: Form, name: str, data: bytes, filename: str | None = None) -> None:
    kind = f'form-data; name="{name}"'
    if filename is not None:
        kind += f'; filename="{filename}"'
    await form.add({"Content-Disposition": kind}, name, filename, _once(data))


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data
