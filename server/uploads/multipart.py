"""Read a form part by part as it comes. Only this file knows aiohttp's reader and exceptions."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from aiohttp import BodyPartReader, MultipartReader, web
from aiohttp.http_exceptions import HttpProcessingError

from server.exchange import of_aiohttp
from server.uploads.body import ask_for_body, too_large
from server.uploads.form import Form
from utils.errors import BadRequest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from server.middleware import RequestContext

_PIECE = 64 * 1024


async def read_form(ctx: RequestContext) -> Form:
    """Return the form in the body; the caller must close it.

    Raises RequestTooLarge or BadRequest as for any body, StorageFull if its files have no room.
    """
    request, settings = of_aiohttp(ctx.request), ctx.configuration.settings
    limit, patience = settings.max_request_bytes, settings.client_timeout
    kind = request.headers.get("Content-Type", "")
    if not kind.lower().startswith("multipart/form-data"):
        raise BadRequest("The body must be a form (multipart/form-data) with a part 'file'.")
    if (request.content_length or 0) > limit:
        raise too_large(limit)
    await ask_for_body(request)
    form = Form(ctx.take)
    try:
        await _Reading(request, limit, patience).into(form)
    except TimeoutError:
        form.close()
        raise BadRequest("The request body stopped coming before its end.") from None
    except (ValueError, RuntimeError, HttpProcessingError, web.RequestPayloadError):
        form.close()
        raise BadRequest("The form ends early or is badly encoded.") from None
    except BaseException:
        form.close()
        raise
    return form


class _Reading:
    """Reads one body piece by piece."""

    def __init__(self, request: web.BaseRequest, limit: int, patience: float) -> None:
        self._reader = MultipartReader(request.headers, request.content)
        self._content = request.content
        self._limit = limit
        self._patience = patience

    async def into(self, form: Form) -> None:
        """Read every part into ``form``."""
        while True:
            async with asyncio.timeout(self._patience):
                part = await self._reader.next()
            self._check()
            if part is None:
                break
            if not isinstance(part, BodyPartReader):
                raise BadRequest("A part of the form is a form itself.")
            await form.add(part.headers, part.name or "", part.filename, self._pieces(part))
        # What follows the last boundary is ignored, but it must be read before the next request.
        while not self._content.at_eof():
            async with asyncio.timeout(self._patience):
                await self._content.readany()
            self._check()
        await form.complete()

    async def _pieces(self, part: BodyPartReader) -> AsyncIterator[bytes]:
        while True:
            async with asyncio.timeout(self._patience):
                piece = await part.read_chunk(_PIECE)
            self._check()
            if not piece:
                return
            yield piece

    def _check(self) -> None:
        if self._content.total_bytes > self._limit:
            raise too_large(self._limit)
