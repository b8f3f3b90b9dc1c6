"""The codecs of APIs that the gateway translates: one for each of their endpoints. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from server.codecs.codec import Codec

CODECS: tuple[Codec, ...] = ()
