"""/v1/responses and /v1/conversations through a gateway: answers, state, and the background."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest
from gateway import Gateway, fake_model, fake_variant, running_gateway, until
from gateway_client import CHAT
from raw_client import PATIENCE, post
from response_events import events_in
from stream_judge import check_whole, checked

from server.responses import runs

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from fake_engine import Journal

PATH = "/v1/responses"
TALKS = "/v1/conversations"
ME, YOU = ({"Authorization": f"Bearer {who}"} for who in ("me", "you"))
HELLO = {"input": "hello", "max_output_tokens": 3}


def one(journal: Journal) -> AbstractAsyncContextManager[Gateway]:
    return running_gateway(journal, fake_model(fake_variant(journal, 512)))


async def made(gw: Gateway, **fields: Any) -> dict[str, Any]:
    """Return a new response, which is whole."""
    headers = fields.pop("headers", None)
    answer = await gw.post({**HELLO, **fields}, PATH, headers=headers)
    assert answer.status == 200, answer.body
    check_whole(answer.json)
    response: dict[str, Any] = answer.json
    return response


async def got(gw: Gateway, path: str, status: int = 200, **more: Any) -> dict[str, Any]:
    answer = await gw.request("GET", path, **more)
    assert answer.status == status, answer.body
    found: dict[str, Any] = answer.json
    return found


def text(response: dict[str, Any]) -> str:
    [item] = response["output"]
    return str(item["content"][0]["text"])


def asked(gw: Gateway) -> list[Any]:
    """Return the messages of the last request that an engine got."""
    messages: list[Any] = json.loads(gw.engine_requests(CHAT)[-1]["body"])["messages"]
    return messages


# -- one response --------------------------------------------------------------------------------


async def test_a_response_in_one_piece(journal: Journal) -> None:
    async with one(journal) as gw:
        response = await made(gw, instructions="Be brief.", metadata={"a": "b"})
        assert response["model"] == "m"
        assert response["status"] == "incomplete"
        assert response["metadata"] == {"a": "b"}
        assert response["usage"]["output_tokens"] == 3
        assert text(response)
        assert [message["role"] for message in asked(gw)] == ["system", "user"]


@pytest.mark.parametrize("path", [PATH, "/responses", "/upstream/m/v1/responses"])
async def test_a_stream(journal: Journal, path: str) -> None:
    async with one(journal) as gw:
        answer = await gw.post({**HELLO, "stream": True}, path)
        assert answer.headers["Content-Type"] == "text/event-stream"
        assert answer.headers["X-Gateway-Variant"] == "m@512"
        events = checked(answer.body)
        said = "".join(e["delta"] for e in events if e["type"] == "response.output_text.delta")
        assert said == text(events[-1]["response"])
        stored = await got(gw, f"{PATH}/{events[-1]['response']['id']}")
        assert stored == events[-1]["response"]


async def test_tokens_are_counted_beforehand(journal: Journal) -> None:
    async with one(journal) as gw:
        response = await made(gw)
        answer = await gw.post({"input": "hello"}, f"{PATH}/input_tokens")
        assert answer.json == {
            "object": "response.input_tokens",
            "input_tokens": response["usage"]["input_tokens"],
        }
        more = {"input": "and?", "previous_response_id": response["id"]}
        answer = await gw.post(more, f"{PATH}/input_tokens")
        assert answer.json["input_tokens"] > response["usage"]["input_tokens"]


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"tools": [{"type": "web_search"}]}, "tools[0].type"),
        ({"input": 3}, "input"),
        ({"include": ["x"]}, "include[0]"),
    ],
)
async def test_a_fault_is_named(journal: Journal, fields: dict[str, Any], param: str) -> None:
    async with one(journal) as gw:
        answer = await gw.post({**HELLO, **fields}, PATH)
        assert answer.error(400, "invalid_request")["param"] == param


async def test_an_engine_that_dies_ends_the_response_as_failed(journal: Journal) -> None:
    model = fake_model(fake_variant(journal, die_at=2))
    async with running_gateway(journal, model) as gw:
        answer = await gw.post({**HELLO, "stream": True}, PATH)
        events = checked(answer.body)
        assert [event["type"] for event in events[-2:]] == ["error", "response.failed"]
        failed = events[-1]["response"]
        assert "m@256" in failed["error"]["message"]
        assert await got(gw, f"{PATH}/{failed['id']}") == failed
        # Whole, there was no response.
        assert (await gw.post(HELLO, PATH)).status == 502


async def test_an_error_of_the_engine_has_the_shape_of_the_api(journal: Journal) -> None:
    model = fake_model(fake_variant(journal, error_at=1))
    async with running_gateway(journal, model) as gw:
        for stream in (False, True):
            answer = await gw.post({**HELLO, "stream": stream}, PATH)
            assert answer.status == 200 or answer.json["error"]["message"] == "fake failure"
            if answer.status == 200:
                assert checked(answer.body)[-1]["type"] == "response.failed"


async def test_too_long_is_refused_unless_it_may_be_shortened(journal: Journal) -> None:
    async with one(journal) as gw:
        turns = [{"role": "user", "content": f"{n} " * 100} for n in range(9)]
        talk = {**HELLO, "input": [*turns, {"role": "user", "content": "end"}]}
        refused = await gw.post(talk, PATH)
        assert refused.error(400, "context_length_exceeded")
        answer = await gw.post({**talk, "truncation": "auto", "instructions": "Be brief."}, PATH)
        assert answer.status == 200, answer.body
        messages = asked(gw)
        assert messages[0] == {"role": "system", "content": "Be brief."}
        assert 2 < len(messages) < len(turns)
        assert messages[-1]["content"] == "end"
        stream = await gw.post({**talk, "truncation": "auto", "stream": True}, PATH)
        assert checked(stream.body)[-1]["type"] == "response.incomplete"


async def test_a_client_that_waits_gets_events(journal: Journal) -> None:
    model = fake_model(fake_variant(journal, load_seconds=0.5))
    async with running_gateway(journal, model, keepalive_interval=0.02) as gw:
        answer = await gw.post({**HELLO, "stream": True}, PATH)
        events = checked(answer.body)
        kinds = [event["type"] for event in events]
        assert kinds.count("response.created") == 1
        assert kinds.count("response.in_progress") > 2
        assert b": keep-alive" in answer.body


async def test_a_start_that_fails_ends_the_waiting(journal: Journal) -> None:
    model = fake_model(fake_variant(journal, load_seconds=0.5, exit_code=3))
    async with running_gateway(journal, model, keepalive_interval=0.1) as gw:
        answer = await gw.post({**HELLO, "stream": True}, PATH)
        failed = checked(answer.body)[-1]
        assert failed["type"] == "response.failed"
        assert await got(gw, f"{PATH}/{failed['response']['id']}") == failed["response"]


async def test_a_client_that_leaves_stores_nothing(journal: Journal) -> None:
    model = fake_model(fake_variant(journal, stall_at=2))
    async with running_gateway(journal, model) as gw:
        client = await gw.connect()
        body = {**HELLO, "max_output_tokens": 9, "stream": True}
        await client.send(post(PATH, json.dumps(body).encode()))
        await client.head()
        [created] = events_in(f"{await client.event()}\n\n".encode())
        client.leave()
        await until(lambda: gw.manager.waiting() == 0)
        await got(gw, f"{PATH}/{created['response']['id']}", 404)


# -- state ---------------------------------------------------------------------------------------


async def test_a_turn_goes_on_from_the_one_before(journal: Journal) -> None:
    async with one(journal) as gw:
        first = await made(gw)
        second = await made(gw, input="and?", previous_response_id=first["id"])
        assert second["previous_response_id"] == first["id"]
        await made(gw, input="so?", previous_response_id=second["id"])
        assert [message["content"] for message in asked(gw)] == [
            "hello",
            text(first),
            "and?",
            text(second),
            "so?",
        ]


async def test_a_response_is_read_and_deleted(journal: Journal) -> None:
    async with one(journal) as gw:
        response = await made(gw)
        path = f"{PATH}/{response['id']}"
        assert await got(gw, path) == response
        page = await got(gw, f"{path}/input_items?order=asc")
        assert page["object"] == "list"
        [item] = page["data"]
        assert item["content"] == [{"type": "input_text", "text": "hello"}]
        assert page["first_id"] == page["last_id"] == item["id"]
        deleted = await gw.request("DELETE", path)
        assert deleted.json == {"id": response["id"], "object": "response", "deleted": True}
        gone = await gw.request("GET", path)
        assert gone.error(404, "not_found")
        assert (await gw.request("DELETE", path)).status == 404
        answer = await gw.post({**HELLO, "previous_response_id": response["id"]}, PATH)
        error = answer.error(400, "previous_response_not_found")
        assert error["param"] == "previous_response_id"


async def test_what_is_not_to_be_stored_is_not(journal: Journal) -> None:
    async with one(journal) as gw:
        response = await made(gw, store=False)
        await got(gw, f"{PATH}/{response['id']}", 404)


async def test_everybody_sees_only_his_own(journal: Journal) -> None:
    async with one(journal) as gw:
        response = await made(gw, headers=ME)
        path = f"{PATH}/{response['id']}"
        await got(gw, path, headers=ME)
        for headers in (YOU, {}):
            await got(gw, path, 404, headers=headers)
            await got(gw, f"{path}/input_items", 404, headers=headers)
            assert (await gw.request("DELETE", path, headers=headers)).status == 404
            assert (await gw.request("POST", f"{path}/cancel", headers=headers)).status == 404
            body = {**HELLO, "previous_response_id": response["id"]}
            answer = await gw.post(body, PATH, headers=headers)
            assert answer.error(400, "previous_response_not_found")
            reference = {"type": "item_reference", "id": response["output"][0]["id"]}
            answer = await gw.post({**HELLO, "input": [reference]}, PATH, headers=headers)
            assert answer.error(400, "invalid_request")["param"] == "input[0]"


async def test_an_item_is_found_by_its_id(journal: Journal) -> None:
    async with one(journal) as gw:
        response = await made(gw)
        items = [
            {"role": "user", "content": "hello"},
            {"type": "item_reference", "id": response["output"][0]["id"]},
            {"role": "user", "content": "and?"},
        ]
        await made(gw, input=items)
        assert [m["content"] for m in asked(gw)] == ["hello", text(response), "and?"]


async def test_responses_outlive_the_gateway_where_they_are_on_disk(journal: Journal) -> None:
    model = fake_model(fake_variant(journal, 512))
    async with running_gateway(journal, model, responses_on_disk=True) as gw:
        response = await made(gw)
    async with running_gateway(journal, model, responses_on_disk=True) as gw:
        assert await got(gw, f"{PATH}/{response['id']}") == response
        await made(gw, input="and?", previous_response_id=response["id"])
        assert len(asked(gw)) == 3


async def test_a_conversation_is_compacted_and_goes_on(journal: Journal) -> None:
    async with one(journal) as gw:
        first = await made(gw)
        body = {"model": "m", "input": "and?", "previous_response_id": first["id"]}
        answer = await gw.post(body, f"{PATH}/compact")
        found = answer.json
        assert [item["type"] for item in found["output"]] == ["message", "message", "compaction"]
        assert found["usage"]["input_tokens"]
        summarized = [message["content"] for message in asked(gw)]
        assert summarized[:3] == ["hello", text(first), "and?"]
        assert "Summarize" in summarized[3]
        await made(gw, input=[*found["output"], {"role": "user", "content": "so?"}])
        *kept, summary, last = [message["content"] for message in asked(gw)]
        assert (kept, last) == (["hello", "and?"], "so?")
        assert "summary" in summary
        await got(gw, f"{PATH}/{found['id']}", 404)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "resp_1", 405),
        ("POST", "resp_1/pause", 404),
        ("GET", "resp_1", 404),
        ("GET", "resp_1/pages", 404),
        ("PUT", "resp_1", 405),
    ],
)
async def test_other_paths_are_refused(
    journal: Journal, method: str, path: str, status: int
) -> None:
    async with one(journal) as gw:
        assert (await gw.request(method, f"{PATH}/{path}")).status == status


# -- in the background ---------------------------------------------------------------------------


async def status_of(gw: Gateway, key: str) -> str:
    return str((await got(gw, f"{PATH}/{key}"))["status"])


async def until_status(gw: Gateway, key: str, *statuses: str) -> None:
    async with asyncio.timeout(PATIENCE):
        while await status_of(gw, key) not in statuses:
            pass


async def test_a_response_is_written_in_the_background(journal: Journal) -> None:
    async with one(journal) as gw:
        response = await made(gw, background=True)
        assert response["status"] == "queued"
        assert response["background"] is True
        assert response["output"] == []
        await until_status(gw, response["id"], "incomplete")
        done = await got(gw, f"{PATH}/{response['id']}")
        check_whole(done)
        assert text(done)
        after = await made(gw, previous_response_id=response["id"])
        assert after["status"] == "incomplete"
        # There is nothing left to cancel, and it has no events.
        again = await gw.request("POST", f"{PATH}/{response['id']}/cancel")
        assert again.json == done
        refused = await gw.request("GET", f"{PATH}/{response['id']}?stream=true")
        assert refused.error(400, "invalid_request")["param"] == "stream"


async def test_its_stream_can_be_read_again_from_any_event(journal: Journal) -> None:
    async with one(journal) as gw:
        answer = await gw.post({**HELLO, "background": True, "stream": True}, PATH)
        events = checked(answer.body)
        assert [event["type"] for event in events[:3]] == [
            "response.created",
            "response.queued",
            "response.in_progress",
        ]
        path = f"{PATH}/{events[0]['response']['id']}?stream=true"
        assert (await gw.request("GET", path)).body == answer.body
        rest = await gw.request("GET", f"{path}&starting_after=4")
        assert events_in(rest.body) == events[5:]
        wrong = await gw.request("GET", f"{path}&starting_after=x")
        assert wrong.error(400, "invalid_request")["param"] == "starting_after"


async def test_it_outlives_its_client_and_can_be_cancelled(journal: Journal) -> None:
    model = fake_model(fake_variant(journal, stall_at=2))
    async with running_gateway(journal, model) as gw:
        client = await gw.connect()
        body = {**HELLO, "max_output_tokens": 9, "background": True, "stream": True}
        await client.send(post(PATH, json.dumps(body).encode()))
        await client.head()
        [created] = events_in(f"{await client.event()}\n\n".encode())
        client.leave()
        key = created["response"]["id"]
        await until_status(gw, key, "in_progress")
        running = (await gw.request("GET", "/running")).json
        assert any(each["path"] == PATH for each in running["requests"])
        going_on = asyncio.ensure_future(gw.request("GET", f"{PATH}/{key}?stream=true"))
        not_yet = await gw.post({**HELLO, "previous_response_id": key}, PATH)
        assert not_yet.error(400, "invalid_request")["param"] == "previous_response_id"
        cancelled = await gw.request("POST", f"{PATH}/{key}/cancel")
        assert cancelled.json["status"] == "cancelled"
        check_whole(cancelled.json)
        assert await got(gw, f"{PATH}/{key}") == cancelled.json
        events = checked((await going_on).body)
        assert events[-1]["response"] == cancelled.json
        assert not (await gw.request("GET", "/running")).json["requests"]


async def test_it_fails_when_its_engine_does(journal: Journal) -> None:
    model = fake_model(fake_variant(journal, die_at=2))
    async with running_gateway(journal, model) as gw:
        response = await made(gw, background=True)
        await until_status(gw, response["id"], "failed")
        failed = await got(gw, f"{PATH}/{response['id']}")
        check_whole(failed)
        assert "m@256" in failed["error"]["message"]


async def test_an_operator_cancels_it_and_a_client_deletes_it(journal: Journal) -> None:
    model = fake_model(fake_variant(journal, stall_at=2))
    async with running_gateway(journal, model) as gw:
        body = {"background": True, "max_output_tokens": 9}
        first = await made(gw, **body)
        await until_status(gw, first["id"], "in_progress")
        [request] = (await gw.request("GET", "/running")).json["requests"]
        await gw.request("DELETE", f"/admin/requests/{request['id']}")
        await until_status(gw, first["id"], "cancelled")
        second = await made(gw, **body)
        assert (await gw.request("DELETE", f"{PATH}/{second['id']}")).status == 200
        await got(gw, f"{PATH}/{second['id']}", 404)


async def test_a_gateway_that_stops_says_so(journal: Journal) -> None:
    model = fake_model(fake_variant(journal, stall_at=2))
    async with running_gateway(journal, model, responses_on_disk=True) as gw:
        response = await made(gw, background=True, max_output_tokens=9)
        await until_status(gw, response["id"], "in_progress")
    async with running_gateway(journal, model, responses_on_disk=True) as gw:
        stopped = await got(gw, f"{PATH}/{response['id']}")
        assert stopped["status"] == "failed"
        assert "stopped" in stopped["error"]["message"]


async def test_a_gateway_that_was_killed_has_failed_its_responses(
    journal: Journal, tmp_path: Path
) -> None:
    model = fake_model(fake_variant(journal, 512))
    async with running_gateway(journal, model, responses_on_disk=True) as gw:
        key = (await made(gw))["id"]
    (path,) = tmp_path.rglob(f"{key}.json")
    path.write_text(path.read_text().replace('"status":"incomplete"', '"status":"in_progress"', 1))
    async with running_gateway(journal, model, responses_on_disk=True) as gw:
        lost = await got(gw, f"{PATH}/{key}")
        assert (lost["status"], lost["error"]["code"]) == ("failed", "server_error")
        await made(gw, input="and?", previous_response_id=key)


async def test_only_so_many_run_at_once(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "MOST", 1)
    model = fake_model(fake_variant(journal, stall_at=2))
    async with running_gateway(journal, model) as gw:
        body = {**HELLO, "max_output_tokens": 9, "background": True}
        first = await made(gw, **body)
        refused = await gw.post(body, PATH)
        assert refused.error(429, "queue_full")
        await gw.request("POST", f"{PATH}/{first['id']}/cancel")


# -- conversations -------------------------------------------------------------------------------


async def test_a_conversation_goes_on(journal: Journal) -> None:
    async with one(journal) as gw:
        created = await gw.post({"metadata": {"a": "b"}}, TALKS)
        talk = created.json
        assert (talk["object"], talk["metadata"]) == ("conversation", {"a": "b"})
        first = await made(gw, conversation=talk["id"])
        assert first["conversation"] == {"id": talk["id"]}
        await made(gw, input="and?", conversation={"id": talk["id"]}, store=False)
        assert [message["content"] for message in asked(gw)] == ["hello", text(first), "and?"]
        page = await got(gw, f"{TALKS}/{talk['id']}/items?order=asc&limit=3")
        assert [item["role"] for item in page["data"]] == ["user", "assistant", "user"]
        assert page["has_more"]
        rest = await got(gw, f"{TALKS}/{talk['id']}/items?order=asc&after={page['last_id']}")
        assert [item["role"] for item in rest["data"]] == ["assistant"]
        # One may also go on from a response in the middle.
        await made(gw, input="so?", previous_response_id=first["id"])
        assert [message["content"] for message in asked(gw)] == ["hello", text(first), "so?"]


async def test_a_conversation_is_changed_and_deleted(journal: Journal) -> None:
    async with one(journal) as gw:
        items = [{"role": "user", "content": "hello"}]
        talk = (await gw.post({"items": items}, TALKS)).json
        path = f"{TALKS}/{talk['id']}"
        assert await got(gw, path) == talk
        renamed = await gw.post({"metadata": {"c": "d"}}, path)
        assert renamed.json["metadata"] == {"c": "d"}
        more = [{"role": "assistant", "content": "hi"}, {"role": "user", "content": "and?"}]
        added = (await gw.post({"items": more}, f"{path}/items")).json
        assert len(added["data"]) == 2
        item = added["data"][0]
        assert await got(gw, f"{path}/items/{item['id']}") == item
        dropped = await gw.request("DELETE", f"{path}/items/{item['id']}")
        assert dropped.json == renamed.json
        await got(gw, f"{path}/items/{item['id']}", 404)
        assert (await gw.request("DELETE", f"{path}/items/{item['id']}")).status == 404
        left = await got(gw, f"{path}/items")
        assert [each["content"][0]["text"] for each in left["data"]] == ["and?", "hello"]
        gone = await gw.request("DELETE", path)
        assert gone.json == {"id": talk["id"], "object": "conversation.deleted", "deleted": True}
        await got(gw, path, 404)
        answer = await gw.post({**HELLO, "conversation": talk["id"]}, PATH)
        assert answer.error(404, "not_found")["param"] == "conversation"


async def test_a_conversation_belongs_to_its_owner(journal: Journal) -> None:
    async with one(journal) as gw:
        talk = (await gw.post({}, TALKS, headers=ME)).json
        path = f"{TALKS}/{talk['id']}"
        await got(gw, path, headers=ME)
        await got(gw, path, 404, headers=YOU)
        answer = await gw.post({"items": [{"role": "user", "content": "x"}]}, f"{path}/items")
        assert answer.status == 404
        assert (await gw.post({**HELLO, "conversation": talk["id"]}, PATH)).status == 404
        # A response is no conversation, nor the other way round.
        response = await made(gw)
        await got(gw, f"{TALKS}/{response['id']}", 404)
        await got(gw, f"{PATH}/{talk['id']}", 404, headers=ME)


async def test_answers_of_one_conversation_at_once_are_all_in_it(journal: Journal) -> None:
    async with one(journal) as gw:
        talk = (await gw.post(b"", TALKS)).json
        await asyncio.gather(*(made(gw, input=f"{n}", conversation=talk["id"]) for n in range(3)))
        page = await got(gw, f"{TALKS}/{talk['id']}/items?order=asc")
        assert [item["role"] for item in page["data"]] == ["user", "assistant"] * 3


async def test_a_conversation_deleted_meanwhile_harms_no_answer(journal: Journal) -> None:
    async with running_gateway(journal, fake_model(fake_variant(journal, token_delay=0.05))) as gw:
        talk = (await gw.post({}, TALKS)).json
        answering = asyncio.ensure_future(made(gw, conversation=talk["id"]))
        await until(lambda: gw.engine_requests(CHAT))
        await gw.request("DELETE", f"{TALKS}/{talk['id']}")
        assert text(await answering)


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "", {"items": "x"}, 400),
        ("POST", "", {"items": [{"type": "item_reference", "id": "x"}]}, 400),
        ("POST", "", {"metadata": 3}, 400),
        ("POST", "/{id}/items", {}, 400),
        ("POST", "/{id}/items/x", {}, 405),
        ("DELETE", "/{id}/items", None, 405),
        ("GET", "/{id}/pages", None, 404),
        ("GET", "/{id}/items/a/b", None, 404),
        ("GET", "/{id}/items?limit=0", None, 400),
        ("GET", "/{id}/items?limit=x", None, 400),
        ("GET", "/{id}/items?order=up", None, 400),
        ("GET", "/{id}/items?after=x", None, 400),
    ],
)
async def test_what_is_no_request_about_a_conversation(
    journal: Journal, method: str, path: str, body: Any, status: int
) -> None:
    async with one(journal) as gw:
        talk = (await gw.post({}, TALKS)).json
        answer = await gw.request(method, TALKS + path.format(id=talk["id"]), json=body)
        assert answer.status == status, answer.body
