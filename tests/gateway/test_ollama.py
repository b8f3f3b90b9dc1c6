"""Ollama's API: what its clients send, and what they get."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from gateway import fake_model, fake_variant, running_gateway, until
from gateway_client import chat_body
from gguf_files import llama
from growth_models import WHOLE, growing
from later import Later

from engine.scheduling.lifecycle import State

if TYPE_CHECKING:
    from pathlib import Path

    from fake_engine import Journal
    from gateway_client import Answer

ollama: Any = Later("ollama")
HELLO = [{"role": "user", "content": "hello"}]
FOUR = {"options": {"num_predict": 4}}
SAID = "hello.0 hello.1 hello.2 hello.3"


def lines(answer: Answer, kind: Any = None) -> list[Any]:
    """Return the lines of a stream, each as Ollama's own client reads it."""
    assert answer.status == 200, answer.body
    assert answer.headers["Content-Type"] == "application/x-ndjson"
    kind = kind or ollama.ChatResponse
    read = [kind.model_validate_json(line) for line in answer.body.splitlines()]
    assert [each.done for each in read] == [False] * (len(read) - 1) + [True]
    return read


def error(answer: Answer, status: int) -> str:
    assert answer.status == status, answer.body
    assert answer.json.keys() == {"error"}
    return str(answer.json["error"])


# -- answers --------------------------------------------------------------------------


async def test_a_chat_is_a_stream_by_default(journal: Journal) -> None:
    async with running_gateway(journal, fake_model(fake_variant(journal))) as gw:
        body = {"model": "m:latest", "messages": HELLO, **FOUR}
        answer = await gw.post(body, "/api/chat")
        *parts, last = lines(answer)
        assert "".join(part.message.content for part in parts) == SAID
        assert {part.model for part in (*parts, last)} == {"m:latest"}
        assert (last.done_reason, last.eval_count, last.eval_duration) == ("length", 4, 1_000_000)
        assert (last.prompt_eval_count or 0) > 0
        assert last.prompt_eval_duration == 1_000_000
        assert last.total_duration > last.load_duration > 0
        assert answer.headers["X-Gateway-Variant"] == "m@256"
        again = lines(await gw.post(body, "/api/chat"))[-1]
        assert again.load_duration == 0
        assert len(gw.engine_requests()) == 2


async def test_a_whole_chat(journal: Journal) -> None:
    async with running_gateway(journal, fake_model(fake_variant(journal))) as gw:
        body = {"model": "m", "messages": HELLO, "stream": False, **FOUR}
        answer = await gw.post(body, "/api/chat")
        whole = ollama.ChatResponse.model_validate(answer.json)
        assert (whole.message.content, whole.done, whole.eval_count) == (SAID, True, 4)
        assert answer.headers["Content-Type"] == "application/json; charset=utf-8"


async def test_a_prompt(journal: Journal) -> None:
    async with running_gateway(journal, fake_model(fake_variant(journal))) as gw:
        body = {"model": "m", "prompt": "hello", "system": "Be brief.", **FOUR}
        *parts, last = lines(await gw.post(body, "/api/generate"), ollama.GenerateResponse)
        assert "".join(part.response for part in parts) == SAID
        assert last.done_reason == "length"
        assert len(gw.engine_requests()) == 1


@pytest.mark.parametrize(
    ("fields", "path"),
    [({"raw": True}, "/v1/completions"), ({"suffix": "end"}, "/infill")],
)
async def test_a_prompt_without_a_template(
    journal: Journal, fields: dict[str, Any], path: str
) -> None:
    async with running_gateway(journal, fake_model(fake_variant(journal))) as gw:
        body = {"model": "m", "prompt": "hello", **FOUR, **fields}
        *parts, last = lines(await gw.post(body, "/api/generate"), ollama.GenerateResponse)
        assert "".join(part.response for part in parts)
        assert last.eval_count == 4
        assert len(gw.engine_requests(path)) == 1


async def test_embeddings(journal: Journal) -> None:
    variant = fake_variant(journal, args=("--embeddings",))
    async with running_gateway(journal, fake_model(variant)) as gw:
        several = await gw.post({"model": "m", "input": ["a b", "c"]}, "/api/embed")
        found = ollama.EmbedResponse.model_validate(several.json)
        assert [[round(x, 3) for x in each] for each in found.embeddings] == [[0.707, 0.707]] * 2
        assert (found.prompt_eval_count or 0) > 0
        one = await gw.post({"model": "m", "prompt": "a"}, "/api/embeddings")
        assert one.json == {"embedding": [0.5, 0.5]}
        cut = await gw.post({"model": "m", "input": "a", "dimensions": 1}, "/api/embed")
        assert cut.json["embeddings"] == [[1.0]]
        for path, empty in (("/api/embed", {"input": []}), ("/api/embeddings", {"prompt": ""})):
            answer = await gw.post({"model": "m", **empty}, path)
            assert not answer.json.get("embeddings", answer.json.get("embedding"))
        texts = ["w " * 999, "short"]
        long = await gw.post({"model": "m", "input": texts, "truncate": False}, "/api/embed")
        assert "maximum context length is 256" in error(long, 400)
        assert not gw.engine_requests("/tokenize")
        shortened = await gw.post({"model": "m", "input": texts}, "/api/embed")
        assert len(shortened.json["embeddings"]) == 2
        assert len(gw.engine_requests("/tokenize")) == 1


# -- contexts -------------------------------------------------------------------------


async def test_num_ctx_chooses_the_smallest_variant_that_has_it(journal: Journal) -> None:
    model = fake_model(*(fake_variant(journal, size) for size in (256, 512, 1024)))
    async with running_gateway(journal, model) as gw:

        async def variant(context: int | None, path: str = "/api/chat") -> str:
            options = {"num_predict": 1, "num_ctx": context}
            asked = {"prompt": "a"} if path == "/api/generate" else {"messages": HELLO}
            answer = await gw.post({"model": "m", **asked, "options": options}, path)
            assert answer.status == 200, answer.body
            return str(answer.headers["X-Gateway-Variant"])

        assert await variant(300) == "m@512"
        # A smaller wish does not load the smaller variant again.
        assert await variant(100, "/api/generate") == "m@512"
        assert await variant(None) == "m@512"
        # More than there is gets the most that there is.
        assert await variant(99_999) == "m@1024"
        assert gw.starts() == [512, 1024]


async def test_an_answer_that_fills_its_context_goes_on_in_a_larger_one(journal: Journal) -> None:
    async with running_gateway(journal, growing(journal, 128, 512)) as gw:
        *parts, last = lines(await gw.post({"model": "m", "messages": HELLO}, "/api/chat"))
        assert "".join(part.message.content for part in parts) == WHOLE
        assert last.done_reason == "stop"
        assert len(gw.starts()) == 2


async def test_what_exceeds_every_variant_is_refused_in_ollamas_shape(journal: Journal) -> None:
    async with running_gateway(journal, fake_model(fake_variant(journal))) as gw:
        long = [{"role": "user", "content": "w " * 999}]
        for stream in (True, False):
            body = {"model": "m", "messages": long, "stream": stream}
            said = error(await gw.post(body, "/api/chat"), 400)
            assert "maximum context length is 256 tokens" in said


# -- load and unload ------------------------------------------------------------------


async def test_an_empty_request_loads_and_unloads(journal: Journal) -> None:
    model = fake_model(fake_variant(journal, 256), fake_variant(journal, 512))
    async with running_gateway(journal, model) as gw:
        loaded = await gw.post({"model": "m"}, "/api/generate")
        found = ollama.GenerateResponse.model_validate(loaded.json)
        assert (found.response, found.done, found.done_reason) == ("", True, "load")
        assert gw.state(256) is State.READY
        wider = {"model": "m", "options": {"num_ctx": 400}, "keep_alive": -1}
        chat = await gw.post(wider, "/api/chat")
        assert chat.json["message"] == {"role": "assistant", "content": ""}
        assert gw.state(512) is State.READY
        gone = await gw.post({"model": "m", "prompt": "", "keep_alive": 0}, "/api/generate")
        assert gone.json["done_reason"] == "unload"
        assert gw.state(512) is State.STOPPED
        assert gw.starts() == [256, 512]
        again = await gw.post({"model": "m", "keep_alive": 0}, "/api/chat")
        assert again.json["done_reason"] == "unload"


async def test_keep_alive_holds_while_the_model_is_busy(journal: Journal) -> None:
    variant = fake_variant(journal, token_delay=0.05)
    async with running_gateway(journal, fake_model(variant)) as gw:
        holder = await gw.stream(max_tokens=200)
        await (await holder.head()).event()
        # It takes no slot, so that it is not kept waiting.
        assert (await gw.post({"model": "m", "keep_alive": "90s"}, "/api/chat")).status == 200
        [entry] = (await gw.request("GET", "/api/ps")).json["models"]
        found = ollama.ProcessResponse.Model.model_validate(entry)
        assert found.context_length == 256
        holder.leave()
        answer = await gw.post({"model": "m", "messages": HELLO, "keep_alive": 0}, "/api/chat")
        assert answer.status == 200
        await gw.until_state(State.STOPPED)
        assert (await gw.request("GET", "/api/ps")).json == {"models": []}


# -- pages ----------------------------------------------------------------------------


async def test_pages_about_models(journal: Journal, tmp_path: Path) -> None:
    file = tmp_path / "small.gguf"
    file.write_bytes(llama(general__architecture="llama", tokenizer__chat_template="<think>"))
    small = fake_variant(journal, args=("-m", str(file)))
    other = fake_variant(journal, model="other:7b")
    models = (fake_model(small, aliases=("also",)), fake_model(other))
    async with running_gateway(journal, *models) as gw:
        page = (await gw.request("GET", "/api/tags")).json
        names = [each.model for each in ollama.ListResponse.model_validate(page).models]
        assert names == ["m:latest", "also:latest", "other:7b"]
        [first, also, last] = page["models"]
        assert first["digest"] == also["digest"] != last["digest"]
        for name in ({"model": "m:latest"}, {"name": "also"}):
            shown = (await gw.post(name, "/api/show")).json
            found = ollama.ShowResponse.model_validate(shown)
            assert "thinking" in (found.capabilities or [])
            assert (found.modelinfo or {})["llama.context_length"] == 256
            assert shown["details"]["family"] == "llama"
        assert (await gw.post({"model": "other:7b"}, "/api/show")).json["details"]["family"] == ""
        assert "'model' is missing" in error(await gw.post({}, "/api/show"), 400)
        version = (await gw.request("GET", "/api/version")).json["version"]
        assert tuple(map(int, version.split("."))) >= (0, 12)
        assert not gw.starts()


async def test_lm_studios_pages_and_paths(journal: Journal, tmp_path: Path) -> None:
    file = tmp_path / "small.gguf"
    file.write_bytes(llama())
    model = fake_model(fake_variant(journal, args=("-m", str(file))), aliases=("a/b",))
    async with running_gateway(journal, model) as gw:
        page = (await gw.request("GET", "/api/v0/models")).json
        assert [(each["id"], each["state"]) for each in page["data"]] == [
            ("m", "not-loaded"),
            ("a/b", "not-loaded"),
        ]
        answer = await gw.post(chat_body(model="m"), "/api/v0/chat/completions")
        assert answer.text == SAID
        assert len(gw.engine_requests()) == 1
        one = (await gw.request("GET", "/api/v0/models/a/b")).json
        assert (one["state"], one["loaded_context_length"], one["arch"]) == ("loaded", 256, "llama")
        (await gw.request("GET", "/api/v0/models/none")).error(404, "model_not_found")
        body = {"model": "m", "prompt": "hello", "max_tokens": 2}
        assert (await gw.post(body, "/api/v0/completions")).status == 200


async def test_ollamas_clients_find_it_running(journal: Journal) -> None:
    async with running_gateway(journal, fake_model(fake_variant(journal))) as gw:
        agent = {"User-Agent": "ollama/0.13.5 (amd64 linux) Go/go1.24"}
        for method, body in (("GET", b"Ollama is running"), ("HEAD", b"")):
            answer = await gw.request(method, "/", headers=agent)
            assert (answer.status, answer.body) == (200, body)
        assert "base_urls" in (await gw.request("GET", "/")).json


async def test_what_open_webui_asks(journal: Journal) -> None:
    """Its names are those of the list, its unloads are prompts without a text."""
    async with running_gateway(journal, fake_model(fake_variant(journal))) as gw:
        version = (await gw.request("GET", "/api/version")).json["version"]
        assert all(part.isdecimal() for part in version.split("."))
        [listed] = (await gw.request("GET", "/api/tags")).json["models"]
        assert (await gw.post({"model": listed["model"]}, "/api/show")).status == 200
        body = {"model": listed["model"], "messages": HELLO, "stream": True, "tools": [], **FOUR}
        *parts, _ = lines(await gw.post(body, "/api/chat"))
        assert "".join(part.message.content for part in parts) == SAID
        [loaded] = (await gw.request("GET", "/api/ps")).json["models"]
        assert loaded["name"] == listed["name"]
        assert datetime.fromisoformat(loaded["expires_at"]) > datetime.now(UTC)
        unload = {"model": listed["model"], "keep_alive": 0, "prompt": ""}
        assert (await gw.post(unload, "/api/generate")).json["done_reason"] == "unload"
        assert (await gw.request("GET", "/api/ps")).json == {"models": []}


async def test_models_are_not_managed_here(journal: Journal) -> None:
    async with running_gateway(journal, fake_model(fake_variant(journal))) as gw:
        pulled = await gw.post({"model": "m"}, "/api/pull")
        stages = [json.loads(line) for line in pulled.body.splitlines()]
        assert stages[-1] == {"status": "success"}
        assert (await gw.post({"name": "m", "stream": False}, "/api/pull")).json == stages[-1]
        said = error(await gw.post({"model": "other"}, "/api/pull"), 404)
        assert said.startswith("model 'other' not found. ")
        assert said.endswith("To fetch one of the hub: hf.co/USER/REPO:QUANT.")
        unknown = await gw.post({"model": "hf.co/org/repo:Q8_0"}, "/api/pull")
        assert "needs the admin token" in error(unknown, 401)
        for method, path, body, status, words in (
            ("POST", "/api/create", {"model": "x", "from": "m"}, 400, "configuration file"),
            ("POST", "/api/copy", {"source": "m", "destination": "x"}, 401, "admin token"),
            ("POST", "/api/copy", {"source": "y", "destination": "x"}, 404, "'y' not found"),
            ("POST", "/api/copy", {"source": "m"}, 400, "'destination' is missing"),
            ("DELETE", "/api/delete", {"model": "m"}, 400, "Remove it there"),
            ("DELETE", "/api/delete", {"model": "y"}, 404, "'y' not found"),
            ("POST", "/api/push", {"model": "m"}, 400, "cannot be published"),
            ("POST", "/api/blobs/sha256:0", {}, 400, "cannot be made"),
            ("POST", "/api/nothing", {}, 404, "Nothing is served at /api/nothing."),
        ):
            answer = await gw.request(method, path, data=json.dumps(body))
            assert words in error(answer, status)


async def test_a_client_that_waits_for_a_load_gets_lines_without_text(journal: Journal) -> None:
    slow = fake_variant(journal, load_seconds=1.0)
    failing = fake_variant(journal, model="failing", load_seconds=1.0, exit_code=3)
    models = map(fake_model, (slow, failing))
    async with running_gateway(journal, *models, keepalive_interval=0.1) as gw:
        *parts, _ = lines(await gw.post({"model": "m", "messages": HELLO, **FOUR}, "/api/chat"))
        texts = [part.message.content for part in parts]
        assert texts[:3] == [""] * 3
        assert "".join(texts) == SAID
        answer = await gw.post({"model": "failing", "prompt": "a"}, "/api/generate")
        assert answer.status == 200
        *idle, last = [json.loads(line) for line in answer.body.splitlines()]
        assert {(each["response"], each["done"]) for each in idle} == {("", False)}
        assert last.keys() == {"error"}


# -- faults ---------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/api/chat", "/api/generate", "/api/embed", "/api/show"])
async def test_faults_are_told_in_ollamas_shape(journal: Journal, path: str) -> None:
    async with running_gateway(journal, fake_model(fake_variant(journal))) as gw:
        unknown = {"model": "x:1b", "messages": HELLO, "prompt": "a", "input": "a"}
        assert error(await gw.post(unknown, path), 404).startswith("model 'x:1b' not found. ")
        assert "body is missing" in error(await gw.post(b"", path), 400)
        assert "not valid JSON" in error(await gw.post(b"{", path), 400)


async def test_a_model_that_cannot_think(journal: Journal, tmp_path: Path) -> None:
    file = tmp_path / "small.gguf"
    file.write_bytes(llama())
    model = fake_model(fake_variant(journal, args=("-m", str(file))))
    async with running_gateway(journal, model) as gw:
        body = {"model": "m", "messages": HELLO, "think": True}
        said = error(await gw.post(body, "/api/chat"), 400)
        assert said == '"m" does not support thinking'
        assert not gw.starts()
        assert (await gw.post({**body, "think": False, **FOUR}, "/api/chat")).status == 200


async def test_an_engine_s_refusal_before_and_in_a_stream(journal: Journal) -> None:
    refusing = fake_variant(journal, model="refusing", status=400)
    breaking = fake_variant(journal, model="breaking", error_at="2")
    dying = fake_variant(journal, model="dying", die_at="2")
    models = map(fake_model, (refusing, breaking, dying))
    async with running_gateway(journal, *models) as gw:
        answer = await gw.post({"model": "refusing", "messages": HELLO}, "/api/chat")
        assert answer.status == 400
        for name in ("breaking", "dying"):
            answer = await gw.post({"model": name, "messages": HELLO, **FOUR}, "/api/chat")
            assert answer.status == 200
            *parts, last = [json.loads(line) for line in answer.body.splitlines()]
            assert parts
            assert not any(part["done"] for part in parts)
            assert last.keys() == {"error"}


async def test_a_client_that_leaves_frees_the_engine(journal: Journal) -> None:
    async with running_gateway(journal, fake_model(fake_variant(journal, 4096))) as gw:
        body = {"model": "m", "messages": HELLO, "options": {"num_predict": 3000}}
        async with gw.session.post(f"{gw.url}/api/chat", json=body) as response:
            await response.content.readline()
        await until(lambda: not any(record.busy for record in gw.manager.records()))
