"""The fake engine stands in for llama-server: what it sends has the real one's shape.

Where $LLAMA_SERVER names a real llama-server, the same tests run on it too, so that
the expectations cannot drift away from it.
"""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from fake_engine import LLAMA_SERVER, LLAMA_TOKENIZE, Journal, faults
from ports import quiet_port
from real_engines import ENGINES

if TYPE_CHECKING:
    from pathlib import Path

CHAT = "/v1/chat/completions"
HI = {"messages": [{"role": "user", "content": "alpha beta"}], "max_tokens": 3}
Start = Callable[..., "Server"]


class Server:
    """A llama-server, fake or real, as a child process."""

    def __init__(self, argv: list[str], env: dict[str, str], port: int) -> None:
        self.port = port
        self.process = subprocess.Popen(
            argv,
            env=os.environ | env,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )

    def call(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        connection.request(method, path, data)
        response = connection.getresponse()
        text = response.read()
        connection.close()
        kind = response.getheader("Content-Type", "")
        return response.status, json.loads(text) if "json" in kind else text.decode(
            errors="replace"
        )

    def events(self, path: str, body: dict[str, object]) -> list[Any]:
        status, text = self.call("POST", path, body | {"stream": True})
        assert status == 200
        *events, end = [part for part in text.split("\n\n") if part]
        assert end == "data: [DONE]"
        return [json.loads(event.removeprefix("data: ")) for event in events]

    def named_events(self, path: str, body: dict[str, object]) -> list[Any]:
        status, text = self.call("POST", path, body | {"stream": True})
        assert status == 200
        events = [part.split("\n") for part in text.split("\n\n") if part]
        told = [json.loads(data.removeprefix("data: ")) for _, data in events]
        assert [name for name, _ in events] == [f"event: {each['type']}" for each in told]
        return told

    def wait_ready(self) -> Server:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                if self.call("GET", "/health") == (200, {"status": "ok"}):
                    return self
            except OSError:
                pass
            time.sleep(0.005)
        raise AssertionError("never ready")

    def open_raw(self, path: str, body: object) -> socket.socket:
        data = json.dumps(body).encode()
        head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(data)}\r\n\r\n"
        sock = socket.create_connection(("127.0.0.1", self.port), timeout=60)
        sock.sendall(head.encode() + data)
        return sock

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        assert self.process.stderr is not None
        self.process.stderr.close()


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "journal")


@pytest.fixture
def start(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    monkeypatch.setenv("LLM_GATEWAY_PYTHON", sys.executable)
    servers: list[Server] = []

    def start_one(*args: str, command: list[str] | None = None, **knobs: object) -> Server:
        port = quiet_port()
        argv = [*(command or [LLAMA_SERVER, "-m", "m.gguf"]), "-np", "1", "--port", str(port)]
        servers.append(Server([*argv, *args], faults(journal, **knobs), port))
        return servers[-1]

    yield start_one
    for server in servers:
        server.kill()


@pytest.fixture(params=["fake", *ENGINES])
def server(request: pytest.FixtureRequest, start: Start, tiny: Path) -> Server:
    real = ENGINES.get(request.param)
    command = [real, "-m", str(tiny), "-t", "1", "--no-warmup"] if real else None
    return start("-c", "512", "--alias", "tiny", command=command).wait_ready()


# -- the shape of what is sent, fake and real

CHUNK = {"choices", "created", "id", "model", "object", "system_fingerprint"}
USAGE = {"completion_tokens", "prompt_tokens", "total_tokens", "prompt_tokens_details"}
TIMINGS = {
    "cache_n",
    "prompt_n",
    "prompt_ms",
    "prompt_per_token_ms",
    "prompt_per_second",
    "predicted_n",
    "predicted_ms",
    "predicted_per_token_ms",
    "predicted_per_second",
}


@pytest.mark.parametrize("name", ["fake", *ENGINES])
def test_what_a_slot_holds_is_saved_and_restored_by_another_run(
    start: Start, tmp_path: Path, tiny: Path, name: str
) -> None:
    real = ENGINES.get(name)
    command = [real, "-m", str(tiny), "-t", "1", "--no-warmup"] if real else None
    arguments = ("-c", "512", "--slot-save-path", f"{tmp_path}/")
    first, second = (start(*arguments, command=command) for _ in range(2))
    assert first.wait_ready().call("GET", "/props")[1]["total_slots"] == 1
    assert first.call("POST", CHAT, HI)[1]["timings"]["cache_n"] == 0
    status, saved = first.call("POST", "/slots/0?action=save", {"filename": "x.part"})
    assert (status, saved["id_slot"], saved["filename"]) == (200, 0, "x.part")
    second.wait_ready()
    status, refused = second.call("POST", "/slots/0?action=restore", {"filename": "absent"})
    assert (status, refused["error"]["code"]) == (400, 400)
    status, restored = second.call("POST", "/slots/0?action=restore", {"filename": "x.part"})
    assert (status, restored["n_restored"]) == (200, saved["n_saved"])
    assert second.call("POST", CHAT, HI)[1]["timings"]["cache_n"] > 0


def test_chat(server: Server) -> None:
    status, body = server.call("POST", CHAT, HI)
    assert status == 200
    assert set(body) == CHUNK | {"usage", "timings"}
    assert set(body["usage"]) == USAGE
    assert set(body["timings"]) == TIMINGS
    assert (body["model"], body["object"]) == ("tiny", "chat.completion")
    assert body["usage"]["completion_tokens"] == 3
    [choice] = body["choices"]
    assert set(choice) == {"finish_reason", "index", "message"}
    assert set(choice["message"]) == {"role", "content"}
    assert choice["finish_reason"] == "length"


def test_chat_stream(server: Server) -> None:
    first, *rest, last = server.events(CHAT, HI)
    assert first["choices"][0]["delta"] == {"role": "assistant", "content": None}
    assert len(rest) == 3
    assert all(set(event) == CHUNK for event in [first, *rest])
    assert all(set(event["choices"][0]["delta"]) == {"content"} for event in rest)
    assert {event["object"] for event in [first, *rest, last]} == {"chat.completion.chunk"}
    assert set(last) == CHUNK | {"timings"}
    assert last["choices"] == [{"finish_reason": "length", "index": 0, "delta": {}}]


def test_chat_stream_with_usage(server: Server) -> None:
    *_, finish, last = server.events(CHAT, HI | {"stream_options": {"include_usage": True}})
    assert set(finish) == CHUNK
    assert set(last) == CHUNK | {"timings", "usage"}
    assert last["choices"] == []
    assert last["usage"]["completion_tokens"] == 3


def test_completion(server: Server) -> None:
    body = {"prompt": "alpha beta", "max_tokens": 3}
    status, whole = server.call("POST", "/v1/completions", body)
    assert status == 200
    assert set(whole) == CHUNK | {"usage", "timings"}
    assert set(whole["choices"][0]) == {"text", "index", "logprobs", "finish_reason"}
    *tokens, last = server.events("/v1/completions", body)
    assert [set(event) for event in tokens] == [CHUNK] * 3
    assert set(last) == CHUNK | {"usage", "timings"}
    assert last["choices"][0]["text"] == ""


MESSAGE = {"id", "type", "role", "content", "model", "stop_reason", "stop_sequence", "usage"}
READ = {"cache_read_input_tokens", "input_tokens", "output_tokens"}


def test_messages(server: Server) -> None:
    status, whole = server.call("POST", "/v1/messages", HI)
    assert (status, set(whole), set(whole["usage"])) == (200, MESSAGE, READ)
    [block] = whole["content"]
    assert (set(block), block["type"]) == ({"type", "text"}, "text")
    assert (whole["type"], whole["stop_reason"]) == ("message", "max_tokens")
    events = server.named_events("/v1/messages", HI)
    assert [event["type"] for event in events] == [
        "message_start",
        "content_block_start",
        *["content_block_delta"] * 3,
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]
    first, opened, *said, closed, last, _ = events
    assert set(first["message"]) == MESSAGE
    assert set(first["message"]["usage"]) == READ
    assert opened["content_block"] == {"type": "text", "text": ""}
    assert {each["index"] for each in (opened, *said, closed)} == {0}
    assert {each["delta"]["type"] for each in said} == {"text_delta"}
    assert last["delta"] == {"stop_reason": "max_tokens", "stop_sequence": None}
    assert last["usage"] == {"output_tokens": 3}


@pytest.mark.parametrize("path", [CHAT, "/v1/messages"])
def test_a_begun_answer_is_repeated_in_one_piece(server: Server, path: str) -> None:
    begun = "alpha.0 alpha.1 alpha.2"
    said = [{"role": "user", "content": "alpha"}, {"role": "assistant", "content": begun}]
    _, whole = server.call("POST", path, {"messages": said, "max_tokens": 3})
    parts = whole.get("choices") or whole["content"]
    text = parts[0]["message"]["content"] if path == CHAT else parts[0]["text"]
    assert text.startswith(begun)
    assert text != begun


def test_self_description(server: Server) -> None:
    _, models = server.call("GET", "/v1/models")
    assert set(models) == {"models", "object", "data"}
    [entry] = models["data"]
    assert entry["id"] == "tiny"
    assert entry["meta"]["n_ctx"] == 512
    _, props = server.call("GET", "/props")
    assert props["default_generation_settings"]["n_ctx"] == 512
    assert props["total_slots"] == 1
    assert server.call("GET", "/slots") == (
        200,
        [{"id": 0, "n_ctx": 512, "speculative": False, "is_processing": False}],
    )


def test_counts_agree_with_each_other_and_with_usage(server: Server) -> None:
    counted = server.call("POST", CHAT + "/input_tokens", HI)[1]
    assert set(counted) == {"input_tokens", "object"}
    prompt = server.call("POST", "/apply-template", HI)[1]["prompt"]
    tokens = server.call("POST", "/tokenize", {"content": prompt})[1]["tokens"]
    usage = server.call("POST", CHAT, HI)[1]["usage"]
    assert counted["input_tokens"] == len(tokens) == usage["prompt_tokens"]


@pytest.mark.parametrize("stream", [False, True])
def test_too_long_a_prompt_is_refused(server: Server, stream: bool) -> None:
    body = {"messages": [{"role": "user", "content": "alpha " * 900}], "stream": stream}
    size = server.call("POST", CHAT + "/input_tokens", body)[1]["input_tokens"]
    status, refusal = server.call("POST", CHAT, body)
    assert (status, set(refusal)) == (400, {"error"})
    message = f"request ({size} tokens) exceeds the available context size (512 tokens)"
    assert refusal["error"] == {
        "code": 400,
        "type": "exceed_context_size_error",
        "message": message + ", try increasing it",
        "n_prompt_tokens": size,
        "n_ctx": 512,
    }


ERRORS: list[tuple[tuple[str, str, object], int, str]] = [
    (("POST", CHAT, b"{bad"), 400, "invalid_request_error"),
    (("POST", CHAT, {}), 400, "invalid_request_error"),
    (("POST", CHAT, {"messages": "x"}), 400, "invalid_request_error"),
    (("POST", CHAT, HI | {"max_tokens": "x"}), 400, "invalid_request_error"),
    (("POST", "/v1/completions", {}), 400, "invalid_request_error"),
    (("POST", "/v1/embeddings", {"input": "x"}), 501, "not_supported_error"),
    (("POST", "/v1/completions/input_tokens", {"prompt": "x"}), 404, "not_found_error"),
    (("POST", "/health", {}), 404, "not_found_error"),
    (("GET", CHAT, None), 404, "not_found_error"),
    (("GET", "/nope", None), 404, "not_found_error"),
]


def test_errors(server: Server) -> None:
    for call, status, kind in ERRORS:
        got, body = server.call(*call)
        error = body["error"]
        assert (call, got, error["code"], error["type"]) == (call, status, status, kind)


def read_all(sock: socket.socket) -> bytes:
    data = b""
    with sock:
        while more := sock.recv(65536):
            data += more
    return data


def test_a_finished_stream_closes_a_connection_that_promised_to_stay(server: Server) -> None:
    head, _, body = read_all(server.open_raw(CHAT, HI | {"stream": True})).partition(b"\r\n\r\n")
    assert b"\r\nKeep-Alive: timeout=5, max=100" in head
    assert b"\r\nX-Accel-Buffering: no\r\nContent-Type: text/event-stream" in head
    assert body.endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n")


def test_a_connection_serves_a_hundred_requests(server: Server) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    closing = []
    for _ in range(100):
        connection.request("GET", "/health")
        response = connection.getresponse()
        response.read()
        closing.append(response.getheader("Connection") == "close")
    assert closing == [False] * 99 + [True]


def test_the_slot_of_a_client_that_left_is_free_again(server: Server) -> None:
    long = HI | {"max_tokens": 400, "stream": True, "ignore_eos": True}
    with server.open_raw(CHAT, long) as sock:
        sock.recv(100)
    assert server.call("POST", CHAT, HI)[0] == 200


def test_sigterm_when_idle_is_a_clean_exit(server: Server) -> None:
    # The real one installs its handler a moment after it became ready.
    assert server.call("POST", CHAT, HI)[0] == 200
    server.process.terminate()
    assert server.process.wait(5) == 0


# -- what only the fake does: its rules and its faults


def test_starts_fast(start: Start) -> None:
    spent = psutil.Process(start().wait_ready().process.pid).cpu_times()
    assert spent.user + spent.system < 0.5  # some 0.05 s


def test_answers_can_be_told_apart(start: Start) -> None:
    server = start().wait_ready()
    body = server.call("POST", CHAT, HI)[1]
    assert body["choices"][0]["message"]["content"] == "alpha.0 alpha.1 alpha.2"
    assert body["usage"]["prompt_tokens"] == 2 + 4


def test_an_answer_ends_where_the_context_does(start: Start) -> None:
    server = start("-c", "10").wait_ready()
    body = server.call("POST", CHAT, HI | {"max_tokens": 50})[1]
    assert body["usage"]["total_tokens"] == 10
    assert body["choices"][0]["finish_reason"] == "length"


def test_a_lie_about_the_context(start: Start) -> None:
    server = start("-c", "100", real_ctx=5).wait_ready()
    error = server.call("POST", CHAT, HI)[1]["error"]
    assert (error["n_prompt_tokens"], error["n_ctx"]) == (6, 5)


def test_loading_answers_503_everywhere(start: Start, journal: Journal) -> None:
    server = start(load_seconds=60)
    journal.wait_blocking("listening")
    error = {"message": "Loading model", "type": "unavailable_error", "code": 503}
    for call in (("GET", "/health"), ("GET", "/v1/models"), ("POST", CHAT, HI)):
        assert server.call(*call) == (503, {"error": error})
    server.process.terminate()
    assert server.process.wait(5) == -signal.SIGTERM


def test_exit_while_loading_once(start: Start) -> None:
    knobs = {"exit_code": 7, "exit_line": "no memory left", "times": 1}
    first = start(**knobs)
    assert first.process.wait(5) == 7
    assert first.process.stderr is not None
    assert first.process.stderr.read().endswith(b"no memory left\n")
    start(**knobs).wait_ready()


@pytest.mark.parametrize("moment", ["request", "headers", "0", "2"])
def test_death_at_a_moment_once(start: Start, journal: Journal, moment: str) -> None:
    knobs = {"die_at": moment, "times": 1}
    first = start(**knobs).wait_ready()
    data = read_all(first.open_raw(CHAT, HI | {"stream": True}))
    assert first.process.wait(5) == -signal.SIGKILL
    assert data.count(b"alpha.") == (2 if moment == "2" else 0)
    assert (data == b"") == (moment == "request")
    assert not data.endswith(b"\r\n0\r\n\r\n")
    assert journal.events("fault", fault="die")
    second = start(**knobs).wait_ready()
    assert len(second.events(CHAT, HI)) == 5


@pytest.mark.parametrize("stream", [False, True])
def test_other_faults_of_an_answer(start: Start, stream: bool) -> None:
    body = HI | {"stream": stream}
    assert read_all(start(close_at="request").wait_ready().open_raw(CHAT, body)) == b""
    assert b'data: {"error"' in read_all(
        start(error_at=1).wait_ready().open_raw(CHAT, HI | {"stream": True})
    )
    status, page = start(status=500).wait_ready().call("POST", CHAT, body)
    assert (status, page) == (500, "<html><b>Oops</b> \ufffd")


def test_stall_and_abort(start: Start, journal: Journal) -> None:
    server = start(stall_at=2).wait_ready()
    with server.open_raw(CHAT, HI | {"stream": True}) as sock:
        journal.wait_blocking("fault", fault="stall")
        assert server.call("GET", "/slots")[1][0]["is_processing"]
        assert sock.recv(65536)
    assert journal.wait_blocking("aborted")[0]["tokens"] == 2


def test_sigterm_during_an_answer_waits_for_the_client(start: Start, journal: Journal) -> None:
    server = start(token_delay=0.01).wait_ready()
    sock = server.open_raw(CHAT, HI | {"stream": True, "max_tokens": 5000})
    journal.wait_blocking("first_byte")
    server.process.terminate()
    with pytest.raises(subprocess.TimeoutExpired):
        server.process.wait(0.2)
    sock.close()
    assert server.process.wait(5) == 0


def test_deaf(start: Start, journal: Journal) -> None:
    server = start(deaf=1).wait_ready()
    server.process.terminate()
    assert journal.wait_blocking("sigterm")[0]["deaf"]
    assert server.call("GET", "/health")[0] == 200


def test_grandchild_dies_with_the_group(start: Start, journal: Journal) -> None:
    server = start(grandchild="deaf").wait_ready()
    [event] = journal.wait_blocking("grandchild")
    [begin] = journal.events("start")
    assert os.getpgid(event["child"]) == begin["pgid"] == server.process.pid
    os.killpg(begin["pgid"], signal.SIGKILL)
    assert server.process.wait(5) == -signal.SIGKILL
    # Both hold the other end of stderr: it ends when neither lives any more.
    assert server.process.stderr is not None
    server.process.stderr.read()


def test_flapping_health(start: Start) -> None:
    server = start(health="503,ok,500")
    seen: list[int] = []
    while len(seen) < 4:
        try:
            status, body = server.call("GET", "/health")
        except OSError:
            continue
        if body.get("error", {}).get("message") != "Loading model":
            seen.append(status)
    assert seen == [503, 200, 500, 503]


def test_an_old_server_counts_in_two_steps(start: Start) -> None:
    server = start(old=1).wait_ready()
    assert server.call("POST", CHAT + "/input_tokens", HI)[0] == 404
    prompt = server.call("POST", "/apply-template", HI)[1]["prompt"]
    assert len(server.call("POST", "/tokenize", {"content": prompt})[1]["tokens"]) == 6


def test_noise_and_a_knob_as_a_flag(start: Start) -> None:
    knobs = {"log_lines": 2, "log_line_bytes": 100_000, "log_junk": 1}
    server = start("--fake-exit-code", "3", **knobs)
    assert server.process.stderr is not None
    noise = server.process.stderr.read()
    assert server.process.wait(5) == 3
    assert len(noise) > 200_000
    assert b"\xff\xfe\x00" in noise


def test_a_misspelt_knob_is_refused(start: Start) -> None:
    assert start(laod_seconds=1).process.wait(60) == 2


def tokenize(
    text: str, *args: str, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    flags = ["-m", "m.gguf", "--stdin", "--ids", "--log-disable", *args]
    return subprocess.run(
        [LLAMA_TOKENIZE, *flags],
        input=text,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=os.environ | {"LLM_GATEWAY_PYTHON": sys.executable} | (env or {}),
    )


def test_tokenize(journal: Journal) -> None:
    done = tokenize("a b a", "--no-bos", "--no-parse-special", env=faults(journal))
    ids = json.loads(done.stdout)
    assert (len(ids), ids[0]) == (3, ids[2])
    assert (done.returncode, done.stderr) == (0, "")
    assert tokenize("").stdout == "[]\n"
    assert journal.wait_blocking("exit")[0]["tokens"] == 3


def test_tokenize_faults() -> None:
    assert tokenize("a", "--bogus").returncode == 1
    failed = tokenize("a", env=faults(tokenize_exit=1))
    assert (failed.returncode, failed.stdout) == (1, "")
    assert tokenize("a", env=faults(tokenize_output="rubbish")).stdout == "rubbish\n"
    assert tokenize("a", "--fake-tokenize-skip-stdin", "1").stdout == "[]\n"
