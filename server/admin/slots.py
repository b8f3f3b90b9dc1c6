"""``SlotHandlers``: engines as numbered slots, on ``/admin/api/slots``."""

from __future__ import annotations

import os
from pathlib import PurePath
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from engine.process.slots import TYPES, Slot
from server.admin.params import params_in
from server.uploads.body import read_body
from utils.errors import BadRequest, ModelNotFound, UnknownSlot

if TYPE_CHECKING:
    from engine.manager import EngineManager
    from engine.scheduling.engine_table import EngineRecord
    from models.spec import ModelSpec
    from server.admin.handlers import AdminHandlers
    from server.admin.params import Params
    from server.middleware import RequestContext

_LARGEST_ORDER = 64 * 1024
_LARGEST_PORT = 65_535
_UNLOAD = "/unload"
_LOAD = 'the model to load: {"slot": 4801, "model": "NAME"}'


class SlotHandlers:
    """Shows the slots, and loads and unloads by their numbers; the token is checked already."""

    def __init__(self, manager: EngineManager, admin: AdminHandlers) -> None:
        self._manager = manager
        self._admin = admin

    async def look(self, ctx: RequestContext) -> None:
        """Answer with every slot and what is in it, and with the engines that are in none."""
        slots, records = self._manager.slots, self._manager.records()
        running = {port: record for record in records if (port := self._port(record))}
        await ctx.json(
            {
                "slots": [
                    {
                        "slot": slot.port,
                        "type": slot.type,
                        "pinned": slots.pinned(slot.port),
                        **self._engine(running.get(slot.port)),
                    }
                    for slot in slots.all
                ],
                "others": [
                    {"port": port, **self._engine(record)}
                    for port, record in sorted(running.items())
                    if port not in slots.ports
                ],
            }
        )

    async def load(self, ctx: RequestContext) -> None:
        """Load a model into the slot, and answer when it is ready; it stays the model's slot.

        An engine of the model elsewhere ends first, and so does one that was in the slot without
        being pinned to it. If the load fails, the slot is free again.
        """
        params = params_in(await read_body(ctx, _LARGEST_ORDER))
        number = params.number("slot", _LARGEST_PORT)
        model, kind = _model(ctx, params), params.text_or("model_type", "")
        asked = params.variant()
        params.end()
        if number is None:
            raise BadRequest(f"The body must name {_LOAD}.", param="slot")
        if model.connect is not None:
            raise BadRequest(f"The model '{model.name}' has a port of its own.", param="model")
        slots, able = self._manager.slots, ctx.configuration.able[model.name]
        slots.check(number, model.name, able)
        if kind and (kind not in TYPES or not Slot(number, kind).fits(able)):
            raise BadRequest(f"'{model.name}' is not of type '{kind}'.", param="model_type")
        before = slots.pinned(number)
        slots.pin(number, model.name)
        loaded: dict[str, Any] | None = None
        try:
            for record in self._manager.records():
                port = self._port(record)
                mine = record.variant.model == model.name
                if port is not None and mine is not (port == number):
                    await self._manager.unload(record.variant.model)
            loaded = await self._admin.loaded(ctx, model, asked)
        finally:
            if loaded is None and before is None:
                slots.unpin(model.name)
        await ctx.json({"slot": number, **loaded})

    async def unload(self, ctx: RequestContext) -> None:
        """Unload what is in the slot that the path names, ``/admin/api/slots/4801/unload``."""
        text, slots = (ctx.name or "").removesuffix(_UNLOAD), self._manager.slots
        number = int(text) if text.isdecimal() and len(text) < 6 else -1  # noqa: PLR2004 - digits
        if number not in slots.ports or not (ctx.name or "").endswith(_UNLOAD):
            raise UnknownSlot(f"There is no slot '{text}'.")
        params = params_in(await read_body(ctx, _LARGEST_ORDER))
        force = params.flag("force")
        params.end()
        models = {r.variant.model for r in self._manager.records() if self._port(r) == number}
        if (pinned := slots.pinned(number)) is not None:
            models.add(pinned)
            slots.unpin(pinned)
        gone = [v for model in models for v in await self._manager.unload(model, force=force)]
        await ctx.json({"slot": number, "unloaded": [variant.label for variant in gone]})

    def _port(self, record: EngineRecord) -> int | None:
        process = self._manager.process(record.ticket)
        return None if process is None else urlsplit(process.client.url).port

    def _engine(self, record: EngineRecord | None) -> dict[str, Any]:
        if record is None:
            return {"model": None, "state": "empty"}
        process = self._manager.process(record.ticket)
        return {
            "model": record.variant.model,
            "variant": record.variant.label,
            "context": record.variant.context,
            "state": record.state.value,
            "pid": None if process is None else process.pid,
            "memory": dict(record.memory),
            "active": len(record.active),
            "parallel": record.variant.parallel,
        }


def _model(ctx: RequestContext, params: Params) -> ModelSpec:
    """Return the model that the body names, or the one of the file in ``model_path``."""
    path = params.text_or("model_path", "")
    if not path:
        return ctx.configuration.catalog.find(params.text("model", _LOAD))
    name, types = PurePath(path).name, ctx.configuration.types
    for model in ctx.configuration.catalog.models:
        for variant in model.variants:
            if name in (PurePath(file).name for file in types.files(variant, os.environ)):
                return model
    raise ModelNotFound(f"No model is served from a file '{name}'.", param="model_path")
