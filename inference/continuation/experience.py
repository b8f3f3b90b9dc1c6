"""Whose answers grow, as configured and as shown. Never waits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inference.continuation.codecs import codec_of
from utils.logger import get_logger

if TYPE_CHECKING:
    from inference.continuation.codec import Codec
    from models.requests.endpoints import Endpoint
    from models.spec import ModelSpec

_log = get_logger("growing")


class Experience:
    """Remembers models whose engines answered anew what they should have continued.

    For these nothing larger is started in vain again, until they are defined otherwise.
    """

    def __init__(self) -> None:
        self._anew: dict[str, ModelSpec] = {}

    def codec(self, model: ModelSpec, endpoint: Endpoint) -> Codec | None:
        """How an answer of this endpoint is written; None where it ends as the engine ends it."""
        codec = codec_of(endpoint) if model.grow_answers else None
        if codec is not None and codec.repeats and self._anew.get(model.name) == model:
            return None
        return codec

    def answered_anew(self, model: ModelSpec) -> None:
        """The model's answers do not grow from now on; logged once."""
        if self._anew.get(model.name) == model:
            return
        self._anew[model.name] = model
        _log.warning(
            "%s does not continue what was said but answers anew; its answers end where their"
            " variants do",
            model.name,
        )
