"""Engines as numbered slots."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from gateway import Gateway, fake_model, fake_variant, running_gateway
from ports import quiet_port

from utils.config.settings import SlotTable

if TYPE_CHECKING:
    from fake_engine import Journal
    from gateway_client import Answer


async def asked(gw: Gateway, path: str, **body: Any) -> Answer:
    return await gw.request("POST", f"/admin/api/slots{path}", data=json.dumps(body))


async def shown(gw: Gateway) -> dict[str, Any]:
    page: dict[str, Any] = (await gw.request("GET", "/admin/api/slots")).json
    return {slot["slot"]: (slot["pinned"], slot["model"]) for slot in page["slots"]} | {
        "others": [other["model"] for other in page["others"]]
    }


async def test_models_are_loaded_into_slots_and_stay_there(journal: Journal) -> None:
    one = quiet_port()
    two = quiet_port()
    models = [fake_model(fake_variant(journal, model=name)) for name in ("m", "n")]
    slots = (SlotTable(port=one, type="text"), SlotTable(port=two))
    async with running_gateway(journal, *models, slots=slots, max_loaded_models=2) as gw:
        # Without a pin an engine takes the first free slot.
        await gw.chat(model="m")
        assert await shown(gw) == {one: (None, "m"), two: (None, None), "others": []}
        loaded = await asked(gw, "/load", slot=one, model="n")
        assert (loaded.status, loaded.json["slot"], loaded.json["variant"]) == (200, one, "n@256")
        assert await shown(gw) == {one: ("n", "n"), two: (None, None), "others": []}
        (await asked(gw, "/load", slot=one, model="m")).error(409, "slot_taken")
        by_file = await asked(gw, "/load", slot=two, model_path="/x/m.gguf", model_type="text")
        assert by_file.json["variant"] == "m@256"
        assert (await asked(gw, f"/{two}/unload")).status == 200
        (await asked(gw, "/load", slot=two, model_path="no.gguf")).error(404, "model_not_found")
        (await asked(gw, "/load", slot=two, model="m", model_type="tts")).error(
            400, "invalid_request"
        )
        (await asked(gw, "/load", slot=7, model="m")).error(404, "unknown_slot")
        (await asked(gw, "/load", slot="x", model="m")).error(400, "invalid_request")
        # It moves to another slot, and starts there again after it has ended.
        assert (await asked(gw, "/load", slot=two, model="n")).status == 200
        assert await shown(gw) == {one: (None, None), two: ("n", "n"), "others": []}
        await gw.manager.unload("n")
        await gw.chat(model="n")
        assert await shown(gw) == {one: (None, None), two: ("n", "n"), "others": []}
        gone = await asked(gw, f"/{two}/unload")
        assert gone.json == {"slot": two, "unloaded": ["n@256"]}
        await gw.chat(model="n")
        assert await shown(gw) == {one: (None, "n"), two: (None, None), "others": []}
        (await asked(gw, "/7/unload")).error(404, "unknown_slot")
        (await asked(gw, f"/{one}")).error(404, "unknown_slot")


async def test_a_load_that_fails_leaves_the_slot_free(journal: Journal) -> None:
    port = quiet_port()
    broken = fake_model(fake_variant(journal, exit_code=3))
    async with running_gateway(journal, broken, slots=(SlotTable(port=port),)) as gw:
        answer = await asked(gw, "/load", slot=port, model="m")
        assert answer.status >= 500
        assert await shown(gw) == {port: (None, None), "others": []}
