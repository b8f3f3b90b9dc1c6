"""The errors that can happen between a client and its answer. They know nothing of HTTP.

A ``GatewayError`` has a message for a person and the facts behind it. Only ``server/errors.py``
decides which status and code a client sees.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


class CannotStart(Exception):
    """The gateway cannot start now, and may later; the text says why."""


class CannotListen(CannotStart):
    """An address is in use, or does not belong to this machine; the text names its key."""


class GatewayError(Exception):
    """Base of every error that a client or an operator sees.

    ``headers`` are sent with it, where the answer has not begun.
    """

    headers: Mapping[str, str] = MappingProxyType({})

    def __init__(self, message: str, *, param: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.param = param


class ConfigError(GatewayError):
    """The configuration has faults; ``faults`` names each of them."""

    def __init__(self, message: str, faults: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.faults = faults


class BadRequest(GatewayError):
    """The request is not valid; ``param`` names the field at fault, if it is one field."""


class NotCapable(GatewayError):
    """The model cannot do what the request needs, such as images or embeddings."""


class UnsupportedSound(GatewayError):
    """A sound file is of a kind that neither the engine nor a decoder here reads."""


class RequestTooLarge(GatewayError):
    """The body exceeds ``server.max_request_bytes``."""


class BodiesTooLarge(GatewayError):
    """The bodies of all requests in flight take ``server.max_body_memory`` together."""

    retry_after = 2.0


class StorageFull(GatewayError):
    """An upload cannot be stored: no disk space for temporary files, or no right to write them."""


class ModelNotFound(GatewayError):
    """No model has the requested name or alias, which is ``name`` if it is known."""

    def __init__(self, message: str, *, param: str | None = None, name: str = "") -> None:
        super().__init__(message, param=param)
        self.name = name


class ModelMissing(GatewayError):
    """The configured ``model`` is not on this machine.

    ``stream`` says whether the request for it wants a stream.
    """

    def __init__(self, message: str, *, model: str = "", stream: bool = False) -> None:
        super().__init__(message, param="model")
        self.model = model
        self.stream = stream


class ModelDownloading(GatewayError):
    """A configured model is being fetched; ``retry_after`` is in seconds."""

    def __init__(self, message: str, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class ModelUnread(GatewayError):
    """The ``model`` was found on this machine, but the head of its file has not been read yet."""

    retry_after = 2.0

    def __init__(self, message: str, *, model: str = "") -> None:
        super().__init__(message)
        self.model = model


class ModelInUse(GatewayError):
    """The files of a model cannot be removed: it runs, or the configuration names it."""


class UnknownPull(GatewayError):
    """No download has this id."""


class HubTokenMissing(GatewayError):
    """The hub wants a token for this model, and there is none, or not a valid one."""


class HubAccessNotGranted(GatewayError):
    """The account of the token has no access to this model."""


class HubNotFound(GatewayError):
    """The hub has no such repository, or the repository has no such file."""


class HubAnsweredWrong(GatewayError):
    """The hub answered with something that it should not."""


class HubUnavailable(GatewayError):
    """The hub could not be reached, or failed, in all tries; ``retry_after`` is in seconds."""

    def __init__(self, message: str, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class HubOffline(GatewayError):
    """``HF_HUB_OFFLINE`` forbids to ask the hub."""


class DownloadCorrupt(GatewayError):
    """A file arrived twice with another content than the hub says."""


class DiskFull(GatewayError):
    """The disk has no room for a download."""


class ConfigurationChanged(GatewayError):
    """A reload removed what the request waited for; a retry may succeed."""


class ContextLengthExceeded(GatewayError):
    """The prompt fits no variant of the model."""

    def __init__(self, model: str, prompt_tokens: int, largest: int) -> None:
        super().__init__(
            f"{too_long_message(prompt_tokens, largest)} Reduce the length of the messages, or"
            f" configure a variant of '{model}' with a larger context.",
            param="messages",
        )
        self.prompt_tokens = prompt_tokens
        self.largest = largest


def too_long_message(n_prompt_tokens: int, n_ctx: int) -> str:
    """Return the words by which clients recognise a prompt that is too long.

    They search messages for the words of OpenAI, of llama-server, or for the code.
    """
    return (
        f"This model's maximum context length is {n_ctx} tokens. However, the messages resulted in"
        f" {n_prompt_tokens} tokens: the request exceeds the available context size"
        f" (context_length_exceeded)."
    )


class UnknownPath(GatewayError):
    """The gateway has no route for this path."""


class WrongMethod(GatewayError):
    """The path does not accept this method; ``allowed`` names the methods that it accepts."""

    def __init__(self, message: str, allowed: tuple[str, ...]) -> None:
        super().__init__(message)
        self.allowed = allowed


class HostRefused(GatewayError):
    """The Host header names neither this machine nor a name in ``server.hosts``."""


class ActionRefused(GatewayError):
    """The request asks for an action of the engine that only the gateway may use."""


class OriginRefused(GatewayError):
    """A page of this origin may not use the gateway (the answer to a browser's preflight)."""


class LoopDetected(GatewayError):
    """The request has been at this gateway before: gateways ask each other in a circle."""


class RequestTimeout(GatewayError):
    """The head of a request did not come in time."""


class TooManyConnections(GatewayError):
    """Too few file descriptors are left for one more connection."""

    retry_after = 1.0


class NotAuthenticated(GatewayError):
    """The path needs an admin token, and the request has no token or a wrong one."""


class KeyRefused(GatewayError):
    """The request has no key, or one that is unknown, expired or revoked: which, is not told."""

    headers = MappingProxyType({"WWW-Authenticate": 'Bearer realm="llm-gateway"'})

    def __init__(self) -> None:
        super().__init__(
            "A valid API key is needed, as 'Authorization: Bearer sk-gw-…' or 'x-api-key'."
        )


class NotPermitted(GatewayError):
    """The account or the key may not do this."""


class ModelNotPermitted(NotPermitted):
    """The account or the key may not use this model."""


class InsufficientQuota(GatewayError):
    """The balance or a budget is used up; asking again does not help."""

    headers = MappingProxyType({"X-Should-Retry": "false"})


class RateLimited(GatewayError):
    """A limit of the account or the key is reached; ``retry_after`` is in seconds."""

    def __init__(self, message: str, retry_after: float, headers: Mapping[str, str]) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self.headers = headers


class AccountsUnavailable(GatewayError):
    """The database of the accounts cannot be written, so nobody can pay."""

    retry_after = 5.0


class RequestCancelled(GatewayError):
    """An operator cancelled the request (``DELETE /admin/requests/{id}``)."""


class UnknownRequest(GatewayError):
    """No request in flight has this id."""


class ModelNotLoaded(GatewayError):
    """The request only reads the state of a running engine, and none runs."""


class VoiceUnavailable(GatewayError):
    """No model here hears, or none speaks, so there can be no voice session."""


class StreamNotFound(GatewayError):
    """No running engine has a stream for this conversation."""


class NotStored(GatewayError):
    """No stored response, conversation or item of this client has this id."""


class EarlierNotStored(GatewayError):
    """The response that a request goes on from is not stored, or no more."""


class QueueFull(GatewayError):
    """``server.max_queue`` requests are waiting already; ``retry_after`` is in seconds."""

    def __init__(self, message: str, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class EngineBusy(GatewayError):
    """Every slot of the engine is in use, and this request does not wait for one."""

    retry_after = 1.0


class ShuttingDown(GatewayError):
    """The gateway takes no new requests because it is stopping."""


class EngineError(GatewayError):
    """Base of the errors of engines."""


class EngineStartFailed(EngineError):
    """The engine ended before it was ready; ``retry_after``: seconds until the next start."""

    def __init__(self, message: str, retry_after: float = 0.0) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class EngineOutOfMemory(EngineStartFailed):
    """The memory was too small for the engine, and for any smaller variant that would do."""


class EngineStartTimeout(EngineStartFailed):
    """The engine was not ready within ``engine_startup_timeout``."""


class EngineUnreachable(EngineError):
    """The connection to the engine failed before the first byte of the response.

    ``sent`` is False if there was no connection, so the engine got nothing of the request.
    """

    def __init__(self, message: str, *, sent: bool = True) -> None:
        super().__init__(message)
        self.sent = sent


class EngineUnresponsive(EngineError):
    """The engine runs but does not answer within ``health_check_timeout``."""


class EngineBroke(EngineError):
    """The engine ended or closed the connection in the middle of a response."""


class EngineRefused(EngineError):
    """The engine answered with an error that cannot be passed on as it is."""


class CountUnavailable(EngineError):
    """A token counter could not count; the caller tries the next one."""


class StateUnavailable(EngineError):
    """An engine did not save or restore a slot; the engine prefills the whole prompt."""


class UnknownSlot(GatewayError):
    """No slot has this number."""


class SlotTaken(GatewayError):
    """Another model is pinned to the slot."""


class LoginRefused(GatewayError):
    """A password, invite or link is not valid; which of several reasons it is, is not told."""


class TooManyLogins(GatewayError):
    """Somebody tried too often; ``retry_after`` is in seconds."""

    def __init__(self, message: str, retry_after: float = 5.0) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class AlreadyThere(GatewayError):
    """What is to be made exists already."""
