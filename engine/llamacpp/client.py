"""The launch and the client of a llama-server: command line, readiness, counting, slots."""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

import orjson

from engine.base import EngineClient, Launch
from engine.llamacpp.arguments import ALIAS, API_KEY, EMBEDDINGS, HOST, PORT, Arguments
from engine.llamacpp.capabilities import Known
from engine.llamacpp.faults import is_of_request
from engine.llamacpp.log import PROGRESS_VARIABLE
from engine.llamacpp.prompt_cache.slots import SeenSlot
from engine.llamacpp.slot_actions import refusal
from models.requests import endpoints
from models.sizing import longest
from utils.errors import CountUnavailable, StateUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from engine.base import UpstreamResponse
    from models.requests.reader import RequestFacts
    from models.spec import VariantSpec

_OK = 200
_BAD_REQUEST = 400
_NOT_FOUND = 404
# Embedding and reranking refuse a prompt like this; of the batch it says, not of the context.
_TOO_LARGE = re.compile(r"input \((\d+) tokens\) is too large to process")
# The paths that count a prompt's tokens. The prompts of other endpoints are texts for /tokenize.
_COUNTING = {
    endpoints.CHAT: "/v1/chat/completions/input_tokens",
    endpoints.MESSAGES: "/v1/messages/count_tokens",
}
_LIBRARY_PATHS = ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")
_TEMPLATE_FIELDS = ("messages", "tools", "tool_choice", "chat_template_kwargs", "response_format")


class Properties(NamedTuple):
    """Properties that an engine reports: its slots, the tokens of one slot, its model's file.

    0 and "" if it does not report them. ``known`` is what it can do.
    """

    slots: int
    context: int = 0
    model: str = ""
    known: Known = Known()


def engine_url(variant: VariantSpec, connect: str | None) -> str | None:
    """Return the URL that the configuration sets for the variant; None if it needs a free port."""
    if connect is not None:
        return connect.rstrip("/")
    said = Arguments.of(variant)
    port = said.value(PORT)
    if not port:
        return None
    host = said.value(HOST) or "127.0.0.1"
    if host in ("0.0.0.0", "::"):  # noqa: S104 - read from the user's line, not bound to
        host = "127.0.0.1"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def library_environment(environ: Mapping[str, str], binary: str) -> dict[str, str]:
    """Return ``environ`` with the binary's folder first in the library search paths.

    Releases of llama.cpp keep their shared libraries beside the executable.
    """
    env = dict(environ)
    for name in _LIBRARY_PATHS:
        env[name] = os.pathsep.join(filter(None, (str(Path(binary).parent), env.get(name))))
    return env


_MARKER_VARIABLE, _MARKER = "LLAMA_MEDIA_MARKER", "<__media__>"


def build_launch(variant: VariantSpec, url: str, environ: Mapping[str, str]) -> Launch:
    """Return the variant's command line and environment; add only what is missing."""
    args, said = list(variant.args), Arguments.of(variant)
    host, _, port = url.removeprefix("http://").rpartition(":")
    for flag, value in ((HOST, host.strip("[]")), (PORT, port), (ALIAS, variant.model)):
        if not said.given(flag):
            args += [flag.names[-1], value]
    env = library_environment(dict(environ) | dict(variant.env), variant.binary)
    if Arguments.of(variant, environ).on(EMBEDDINGS):
        # What stands for a picture in an input. Else it is another word in each process, which a
        # client would have to ask for. In chats the engine places it itself.
        env.setdefault(_MARKER_VARIABLE, _MARKER)
    return Launch(
        variant.label, (variant.binary, *args), env, url, reads_input=PROGRESS_VARIABLE in env
    )


def api_key(variant: VariantSpec, environ: Mapping[str, str]) -> str | None:
    """Return the engine's key by its arguments or environment; the first of several."""
    # An empty argument counts as none.
    given = Arguments.of(variant, environ).value(API_KEY)
    name = API_KEY.variable
    key = given or variant.env.get(name, environ.get(name))
    return key.split(",")[0] if key else None


class LlamaCppEngine(EngineClient):
    """A running llama-server.

    Endpoints as in llama.cpp's ``tools/server/README.md``. ``…/input_tokens`` exists since late
    2025; with an older server, the rendered template is tokenized instead. Once it is ready,
    ``tell`` is called with what it can do.
    """

    reads_ahead = True

    def __init__(
        self, variant: VariantSpec, url: str, tell: Callable[[Known], None] | None = None
    ) -> None:
        key = api_key(variant, os.environ)
        super().__init__(
            url,
            probe_timeout=variant.timeouts.health_check,
            headers={"Authorization": f"Bearer {key}"} if key else {},
        )
        self._variant = variant
        self._tell = tell
        self._missing: set[str] = set()

    async def healthy(self) -> bool:
        """Return whether its health path answers 200; it answers 503 while the model loads."""
        return await self._probe(self._variant.health_path or "/health") == _OK

    def too_long(self, response: UpstreamResponse) -> tuple[int, int] | None:
        """Return prompt tokens and context if the engine refused a prompt for its length.

        An embedding model refuses what exceeds its batch; that is too long only if it exceeds the
        context as well.
        """
        try:
            error = orjson.loads(response.first)["error"]
            if error["type"] == "exceed_context_size_error" and response.status == _BAD_REQUEST:
                return int(error["n_prompt_tokens"]), int(error["n_ctx"])
            found = _TOO_LARGE.search(error["message"])
        except (ValueError, KeyError, TypeError):
            return None
        if found is None or int(found[1]) < self._variant.capacity:
            return None
        return int(found[1]), self._variant.capacity

    def blames_request(self, response: UpstreamResponse) -> bool:
        """Return whether its words say so."""
        return is_of_request(response.status, response.first)

    async def idle_slots(self) -> dict[int, SeenSlot] | None:
        """Return the content of each idle slot, by its number; None if the engine hides it."""
        slots = await self._slots()
        if slots is None:
            return None
        return {
            slot["id"]: SeenSlot(slot.get("n_prompt_tokens", 0), slot.get("id_task"))
            for slot in slots
            if isinstance(slot.get("id"), int) and not slot.get("is_processing")
        }

    def refusal(self, method: str, path: str) -> str | None:
        """Return why a client may not save or restore slots; None if it may."""
        return refusal(self._variant, method, path)

    async def counters(self) -> tuple[int, ...] | None:
        """Return the counters of the busy slots from ``GET /slots``; None if it does not show them.

        The counter of a prompt moves once per batch (``-b``).
        """
        slots = await self._slots()
        if slots is None:
            return None
        at_work = [slot for slot in slots if slot.get("is_processing")]
        return tuple(number for slot in at_work for number in _counters_of(slot))

    async def _slots(self) -> list[dict[str, Any]] | None:
        try:
            status, answer = await self._ask("/slots", method="GET")
        except CountUnavailable:
            return None
        if status != _OK or not isinstance(answer, list):
            return None
        return [slot for slot in answer if isinstance(slot, dict)]

    async def count(self, facts: RequestFacts) -> int:
        """Return the prompt's exact tokens, with template and tools, or raise CountUnavailable."""
        path = _COUNTING.get(facts.endpoint)
        if facts.endpoint is endpoints.TRANSCRIPTION:
            raise CountUnavailable("no llama-server counts the tokens of a sound")
        if path is None:
            texts = longest(facts.prompts)
            return max([await self.count_text(text) for text in texts] + [facts.prompt_ids])
        if path not in self._missing:
            status, answer = await self._ask(path, facts.body)
            if status == _OK:
                return _integer(answer, "input_tokens")
            # 404 means an older server. Another status means that this request cannot be counted.
            if status != _NOT_FOUND:
                raise CountUnavailable(f"{path} answered {status}")
            self._missing.add(path)
        if facts.endpoint is not endpoints.CHAT:
            raise CountUnavailable(f"this llama-server has no {path}")
        return await self.count_text(await self._rendered(facts.body))

    async def continues(self, request: bytes, text: str) -> bool:
        """Return whether the rendered chat ends in ``text``, with no end-of-turn text after it."""
        try:
            return (await self._rendered(request)).endswith(text)
        except CountUnavailable:
            return False

    async def _rendered(self, body: bytes) -> str:
        request = orjson.loads(body)
        wanted = {name: request[name] for name in _TEMPLATE_FIELDS if name in request}
        status, answer = await self._ask("/apply-template", orjson.dumps(wanted))
        if status != _OK or not isinstance(answer, dict):
            raise CountUnavailable(f"apply-template answered {status}")
        if not isinstance(prompt := answer.get("prompt"), str):
            raise CountUnavailable("apply-template answered without a prompt")
        return prompt

    async def properties(self) -> Properties:
        """Return the properties that the engine reports; raise StateUnavailable if it does not."""
        try:
            status, answer = await self._ask("/props", method="GET")
            return _properties(answer) if status == _OK else Properties(1)
        except CountUnavailable as error:
            raise StateUnavailable(str(error)) from error

    async def unlike(self) -> list[str]:
        """Return a fault if a slot is smaller than the context: it refuses longer requests."""
        try:
            properties = await self.properties()
        except StateUnavailable:
            return []
        if self._tell is not None:
            self._tell(properties.known)
        slot = properties.context
        context = self._variant.context or 0
        if not 0 < slot < context:
            return []
        return [f"has {slot} tokens in a slot, but its context is {context}: see -c and -np"]

    async def save_slot(self, slot: int, filename: str) -> int:
        """Save the slot to the file, in the engine's folder for slots; return its tokens."""
        return await self._act_on(slot, "save", filename, "n_saved")

    async def restore_slot(self, slot: int, filename: str) -> int:
        """Restore the slot from the file; return its tokens. After a failure the slot is empty."""
        return await self._act_on(slot, "restore", filename, "n_restored")

    async def _act_on(self, slot: int, action: str, filename: str, count: str) -> int:
        payload = orjson.dumps({"filename": filename})
        try:
            status, answer = await self._ask(
                f"/slots/{slot}?action={action}", payload, patient=True
            )
            if status == _OK:
                return _integer(answer, count)
        except CountUnavailable as error:
            raise StateUnavailable(f"{action}: {error}") from error
        raise StateUnavailable(f"{action} answered {status}: {_message(answer)}")

    async def streams(self, names: bytes) -> list[Any]:
        """Return the entries of ``/v1/streams/lookup``, which exists since mid-2026."""
        try:
            status, answer = await self._ask("/v1/streams/lookup", names)
        except CountUnavailable:
            return []
        return answer if status == _OK and isinstance(answer, list) else []

    async def stop_stream(self, conversation: str) -> None:
        """Ask the stream to end (``DELETE /v1/stream``); the stream itself shows its end."""
        with contextlib.suppress(CountUnavailable):
            await self._ask(f"/v1/stream?conv_id={quote(conversation, safe='')}", method="DELETE")

    async def count_text(self, text: str) -> int:
        """Return the tokens of the text, without a template, or raise CountUnavailable."""
        payload = {"content": text, "add_special": True, "parse_special": True}
        status, answer = await self._ask("/tokenize", orjson.dumps(payload))
        if status != _OK or not isinstance(answer, dict):
            raise CountUnavailable(f"tokenize answered {status}")
        tokens = answer.get("tokens")
        if not isinstance(tokens, list):
            raise CountUnavailable("tokenize answered without tokens")
        return len(tokens)


def _counters_of(slot: dict[str, Any]) -> list[int]:
    """Return the slot's number, its task and its progress; older servers report fewer of them."""
    following = slot.get("next_token")
    token = following[0] if isinstance(following, list) and following else following
    decoded = token.get("n_decoded") if isinstance(token, dict) else None
    told = [slot.get(name) for name in ("id", "id_task", "n_past", "n_prompt_tokens_processed")]
    return [number for number in (*told, decoded) if isinstance(number, int)]


def _integer(answer: Any, name: str) -> int:  # noqa: ANN401 - decoded JSON
    value = answer.get(name) if isinstance(answer, dict) else None
    if not isinstance(value, int):
        raise CountUnavailable(f"the engine's answer has no {name}")
    return value


def _properties(answer: Any) -> Properties:  # noqa: ANN401 - decoded JSON
    slots = _integer(answer, "total_slots")
    try:
        context = _integer(answer.get("default_generation_settings"), "n_ctx")
    except CountUnavailable:
        context = 0
    return Properties(slots, context, str(answer.get("model_path", "")), _known(answer))


def _known(properties: Any) -> Known:  # noqa: ANN401 - decoded JSON
    media, caps = properties.get("modalities"), properties.get("chat_template_caps")
    media = media if isinstance(media, dict) else {}
    caps = caps if isinstance(caps, dict) else {}
    told = (caps.get("supports_tools"), media.get("vision"), media.get("audio"))
    return Known(*(has if isinstance(has, bool) else None for has in told))


def _message(answer: Any) -> str:  # noqa: ANN401 - decoded JSON
    try:
        return str(answer["error"]["message"])
    except (KeyError, TypeError):
        return "no reason"
