"""Everything that can go wrong between a client and its answer, without a word of HTTP.

A ``GatewayError`` carries a message for a person and the facts behind it;
``server/errors.py`` alone decides which status and code a client sees.
"""

from __future__ import annotations


class GatewayError(Exception):
    """Base of every failure that a client or an operator is told about."""

    def __init__(self, message: str, *, param: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.param = param


class ConfigError(GatewayError):
    """The configuration cannot be used; ``faults`` names each place that must change."""

    def __init__(self, message: str, faults: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.faults = faults


class BadRequest(GatewayError):
    """The request cannot be understood; ``param`` names the field where one is at fault."""


class NotCapable(GatewayError):
    """The model is not started for what the request asks: images, embeddings and the like."""


class RequestTooLarge(GatewayError):
    """The body exceeds ``server.max_request_bytes``."""


class StorageFull(GatewayError):
    """An upload cannot be kept: no room for temporary files, or no right to write them."""


class ModelNotFound(GatewayError):
    """No model has the requested name or alias."""


class ConfigurationChanged(GatewayError):
    """What the request was to be answered by is not configured any more; another try may be."""


class ContextLengthExceeded(GatewayError):
    """The prompt fits no variant of the model."""

    def __init__(self, model: str, prompt_tokens: int, largest: int) -> None:
        super().__init__(
            f"This request has {prompt_tokens} prompt tokens, but the largest context of"
            f" model '{model}' is {largest} tokens. Shorten the messages, or configure a"
            f" variant with a larger context.",
            param="messages",
        )
        self.prompt_tokens = prompt_tokens
        self.largest = largest


class UnknownPath(GatewayError):
    """The gateway serves nothing at this path."""


class WrongMethod(GatewayError):
    """The path exists, but not for this method; ``allowed`` names those it has."""

    def __init__(self, message: str, allowed: tuple[str, ...]) -> None:
        super().__init__(message)
        self.allowed = allowed


class HostRefused(GatewayError):
    """The gateway is not served by the name by which the request calls it (``server.hosts``)."""


class OriginRefused(GatewayError):
    """A browser asked whether a page of this origin may use the gateway, and it may not."""


class NotAuthenticated(GatewayError):
    """The path needs ``server.admin_token``, and the request had none or another."""


class AdminRefused(GatewayError):
    """Without ``server.admin_token`` admin paths are for this machine, and this came from afar."""


class RequestCancelled(GatewayError):
    """An operator ended the request (``DELETE /admin/requests/{id}``)."""


class UnknownRequest(GatewayError):
    """No request in flight has this id."""


class ModelNotLoaded(GatewayError):
    """No engine runs that could be looked at, and looking starts none."""


class StreamNotFound(GatewayError):
    """No running engine holds the conversation."""


class QueueFull(GatewayError):
    """``server.max_queue`` requests wait already; ``retry_after`` is in seconds."""

    def __init__(self, message: str, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class EngineBusy(GatewayError):
    """Every place of the engine is taken, and this request does not wait for one."""

    retry_after = 1.0


class ShuttingDown(GatewayError):
    """The gateway takes no new requests because it is stopping."""


class EngineError(GatewayError):
    """Base of failures of an engine."""


class EngineStartFailed(EngineError):
    """The engine ended before it was ready; ``retry_after`` is the back-off left, in seconds."""

    def __init__(self, message: str, retry_after: float = 0.0) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class EngineOutOfMemory(EngineStartFailed):
    """The machine's memory was not enough for the engine, nor for a smaller one that would do."""


class EngineStartTimeout(EngineStartFailed):
    """The engine was not ready within ``engine_startup_timeout``."""


class EngineUnreachable(EngineError):
    """The connection to the engine failed before a byte of the response came."""


class EngineUnresponsive(EngineError):
    """The engine lives and answers nothing within ``health_check_timeout``."""


class EngineBroke(EngineError):
    """The engine ended or closed the connection in the middle of a response."""


class EngineRefused(EngineError):
    """The engine answered with an error page that cannot be passed on as it is."""


class CountUnavailable(EngineError):
    """A token counter could not count; the next one is asked."""


class StateUnavailable(EngineError):
    """An engine did not save or restore a slot; the prompt is read anew."""
