"""What the gateway remembers: ended requests, samples, uptime, and the fields of events."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from gateway import Gateway, fake_model, fake_variant, running_gateway, until

if TYPE_CHECKING:
    from fake_engine import Journal


async def rows(gw: Gateway, query: str = "") -> list[dict[str, Any]]:
    answer = await gw.request("GET", f"/admin/api/requests{query}")
    assert answer.status == 200
    found: list[dict[str, Any]] = answer.json["requests"]
    return found


def listed(gw: Gateway) -> int:
    gw.recorder.look()
    return len(gw.recorder.requests)


async def test_ended_requests_are_listed_and_outlive_the_gateway(journal: Journal) -> None:
    slow = fake_model(fake_variant(journal, token_delay=0.05))
    async with running_gateway(journal, slow) as gw:
        assert (await gw.chat()).status == 200
        await gw.chat(stream=True)
        (await gw.chat(model="none")).error(404, "model_not_found")
        leaver = await (await gw.stream(max_tokens=200)).head()
        for _ in range(4):
            await leaver.data()
        leaver.leave()
        await journal.wait("aborted")
        await until(lambda: listed(gw) == 4)
        left, refused, streamed, whole = await rows(gw)
        assert (left["reason"], left["status"], left["counted"]) == ("client", 499, "relayed")
        assert left["completion_tokens"] >= 3
        assert (refused["status"], refused["error"]) == (404, "ModelNotFound")
        assert await rows(gw, f"?id={refused['id']}") == [refused]
        [why] = (await gw.request("GET", "/admin/api/why")).json["decisions"]
        assert (why["because"], why["requests"]) == ("model", [refused["id"]])
        for row, in_pieces in ((streamed, True), (whole, False)):
            assert (row["status"], row["reason"], row["counted"]) == (200, "length", "engine")
            assert (row["model"], row["variant"], row["streamed"]) == ("m", "m@256", in_pieces)
            assert row["completion_tokens"] == 4
            assert row["address"] == "127.0.0.1"
        assert whole["load_seconds"] > 0
        [wait] = whole["reasons"]
        assert (wait["kind"], wait["engines"], wait["place"]) == ("load", ["m@256"], 1)
        assert streamed["reasons"] is None
        assert [row["id"] for row in await rows(gw, "?status=4xx&model=m")] == [left["id"]]
        table = (await gw.request("GET", "/admin/api/requests?format=csv")).body.decode()
        assert len(table.splitlines()) == 5
        (await gw.request("GET", "/admin/api/requests?limit=x")).error(400, "invalid_request")
    async with running_gateway(journal, slow) as gw:
        # A thread reads what the last gateway kept.
        await until(lambda: listed(gw) == 4)
        assert [row["id"] for row in await rows(gw)] == [
            row["id"] for row in (left, refused, streamed, whole)
        ]
        up = (await gw.request("GET", "/api/uptime")).json
        assert up["gateway"]["days"]
        assert [each["model"] for each in up["models"]] == ["m"]


async def test_pages_of_the_machine_and_of_models(journal: Journal) -> None:
    async with running_gateway(journal, fake_model(fake_variant(journal))) as gw:
        system = (await gw.request("GET", "/admin/api/system")).json
        assert system["memory"]["total"] > system["memory"]["available"] > 0
        assert system["cpu"]["count"] > 0
        assert system["disks"][0]["free"] > 0
        assert system["versions"]["python"]
        [model] = (await gw.request("GET", "/api/models")).json["models"]
        assert (model["name"], model["state"], model["context_length"]) == ("m", "stopped", 256)
        history = (await gw.request("GET", "/admin/api/history?from=-60")).json
        assert history["step"] == 10
        assert history["points"] == []
        (await gw.request("GET", "/admin/api/history?step=7")).error(400, "invalid_request")
        for path in ("requests", "history", "system"):
            url = f"/admin/api/{path}"
            (await gw.request("GET", url, headers={})).error(401, "admin_token_required")


async def test_listeners_get_a_tick_and_whole_events(journal: Journal) -> None:
    async with running_gateway(journal, fake_model(fake_variant(journal))) as gw:
        url, headers = f"{gw.url}/events", {"X-Admin-Token": gw.token}
        async with gw.session.get(url, headers=headers) as events:
            await gw.chat(stream=True)
            found: dict[str, Any] = {}
            async for line in events.content:
                if line.startswith(b"data: "):
                    event = json.loads(line[6:])
                    kind = f"{event['type']} {event.get('phase', '')}"
                    found.setdefault(kind, event)
                    if "tick " in found and "request ended" in found:
                        break
        ended, tick = found["request ended"], found["tick "]
        assert (ended["reason"], ended["cached_tokens"], ended["account"]) == ("length", 0, None)
        assert ended["decode_seconds"] is not None
        assert tick["tokens_per_second"] >= 0
        assert tick["machine"]["ram_used"] > 0


async def test_samples_are_taken(journal: Journal) -> None:
    async with running_gateway(journal, fake_model(fake_variant(journal))) as gw:
        recorder = gw.recorder
        await gw.chat()
        recorder.look()
        recorder.sample()
        [point] = (await gw.request("GET", "/admin/api/history?from=-60")).json["points"]
        assert (point["requests"], point["errors"], point["completion_tokens"]) == (1, 0, 4)
        assert point["engines"] == 1


async def test_failures_of_engines_are_part_of_the_uptime(journal: Journal) -> None:
    async with running_gateway(journal, fake_model(fake_variant(journal, exit_code=3))) as gw:
        assert (await gw.chat()).status >= 500
        gw.recorder.look()
        [model] = (await gw.request("GET", "/api/uptime")).json["models"]
        assert model["days"][0]["failures"] >= 1
