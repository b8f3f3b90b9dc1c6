"""Look up what is known of models, which may take reading their files."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

from server.codecs.known import Known

if TYPE_CHECKING:
    from models.spec import ModelSpec
    from server.middleware import RequestContext

Named = tuple[str, "ModelSpec"]


def listed(ctx: RequestContext) -> list[Named]:
    """Return every model with its name, and with its aliases where they are listed."""
    found: list[Named] = []
    for model in ctx.configuration.catalog.models:
        if model.unlisted:
            continue
        aliases = model.aliases if ctx.configuration.settings.list_aliases else ()
        found += [(name, model) for name in (model.name, *aliases)]
    return found


async def known(ctx: RequestContext, models: list[Named], *, brief: bool = False) -> list[Known]:
    """Return what is known of these models, under these names.

    If it is to be ``brief``, keys and templates of their files are left out.
    """
    able, types = ctx.configuration.able, ctx.configuration.types

    def read() -> list[Known]:
        return [
            Known(
                name,
                model,
                able[model.name],
                types.model_file(model.largest, os.environ, brief=brief),
            )
            for name, model in models
        ]

    return await asyncio.to_thread(read)
