"""The bundled engine as the gateway meets it: a process with llama-server's manners.

These tests start the real thing on a real model, a second or so each; what can be is shared.
"""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from contextlib import closing, contextmanager, suppress
from http.client import HTTPConnection, IncompleteRead
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import pytest
from paths import ROOT
from ports import quiet_port

from engine.llamacpp.bundled.server import read_files
from engine.llamacpp.shipped import bundled_model

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.llamacpp.bundled.flags import Value

BINARY = ROOT / "engine" / "llamacpp" / "bundled" / (
    "llama-server.bat" if sys.platform == "win32" else "llama-server"
)  # fmt: skip
# One thread: llama.cpp's threads wait for each other busily, which a loaded machine punishes.
COMMON = ["-m", bundled_model(), "-t", "1", "--no-warmup"]
GREETING = [{"role": "user", "content": "Say hello."}]


class Running:
    """A bundled engine under test."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, log: Path) -> None:
        self.process = process
        self.port = port
        self.log = log

    def connect(self) -> HTTPConnection:
        return HTTPConnection("127.0.0.1", self.port, timeout=30)

    def ask(self, path: str, body: object = None, key: str | None = None) -> tuple[int, Any]:
        connection = self.connect()
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        if body is None:
            connection.request("GET", path, headers=headers)
        else:
            connection.request("POST", path, json.dumps(body), headers)
        response = connection.getresponse()
        with closing(connection):
            return response.status, json.loads(response.read())

    def until_ready(self) -> set[int]:
        """Every status that /health had on the way to 200."""
        seen = set()
        deadline = time.monotonic() + 60
        while 200 not in seen:
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, "not ready within a minute"
            with suppress(OSError):
                seen.add(self.ask("/health")[0])
            time.sleep(0.005)
        return seen

    def until_handling(self, number: signal.Signals) -> None:
        """The signal has a handler: shortly after /health is 200, which another thread answers."""
        state = Path(f"/proc/{self.process.pid}/status")
        deadline = time.monotonic() + 60
        while state.exists():
            (mask,) = re.findall(r"^SigCgt:\s*(\w+)$", state.read_text(), re.MULTILINE)
            if int(mask, 16) >> (number - 1) & 1:
                return
            assert time.monotonic() < deadline, "no handler within a minute"
            time.sleep(0.005)

    def end(self, number: signal.Signals) -> tuple[int, str]:
        """The exit status after a signal, and the log."""
        self.process.send_signal(number)
        status = self.process.wait(timeout=60)
        return status, self.log.read_text()


@contextmanager
def started(*arguments: str, stderr: int | None = None, **environment: str) -> Iterator[Running]:
    port = quiet_port()
    with TemporaryDirectory() as folder:
        log = Path(folder, "log")
        with log.open("w") as sink:
            process = subprocess.Popen(
                [BINARY, *COMMON, "--port", str(port), *arguments],
                env={**os.environ, "LLM_GATEWAY_PYTHON": sys.executable, **environment},
                stdout=subprocess.DEVNULL,
                stderr=sink if stderr is None else stderr,
                cwd="/",
            )
        with process:
            try:
                yield Running(process, port, log)
            finally:
                process.kill()


def failed(*arguments: str) -> tuple[int, str]:
    """The exit status and the log of an engine that cannot start."""
    run = subprocess.run(
        [BINARY, *arguments],
        env={**os.environ, "LLM_GATEWAY_PYTHON": sys.executable},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert not run.stdout
    assert "Traceback" not in run.stderr
    return run.returncode, run.stderr


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    slots = tmp_path_factory.mktemp("slots")
    line = f"-c 1024 -np 2 -a smol --api-key k1,k2 --slot-save-path {slots}"
    with started(*line.split()) as running:
        running.until_ready()
        yield running


def test_503_while_loading_then_200() -> None:
    with started("-c", "256") as running:
        assert running.until_ready() <= {200, 503}


def test_chat_is_answered_under_the_alias(engine: Running) -> None:
    body = {"messages": GREETING, "max_tokens": 4}
    status, answer = engine.ask("/v1/chat/completions", body, key="k2")
    assert status == 200
    assert answer["model"] == "smol"
    assert answer["choices"][0]["message"]["content"]
    assert answer["usage"]["completion_tokens"] <= 4


def test_a_stream_ends_with_done(engine: Running) -> None:
    connection = engine.connect()
    body = json.dumps({"messages": GREETING, "max_tokens": 4, "stream": True})
    connection.request("POST", "/v1/chat/completions", body, {"Authorization": "Bearer k1"})
    with closing(connection):
        events = connection.getresponse().read().decode().split("\n\n")
    assert events[-2:] == ["data: [DONE]", ""]
    assert json.loads(events[0].removeprefix("data: "))["model"] == "smol"


def test_the_context_is_divided_among_the_slots(engine: Running) -> None:
    _, slots = engine.ask("/slots", key="k1")
    assert [slot["n_ctx"] for slot in slots] == [512, 512]


@pytest.mark.parametrize("stream", [False, True])
def test_too_long_a_prompt_is_refused_with_the_numbers(engine: Running, stream: bool) -> None:
    body = {"messages": [{"role": "user", "content": "hello " * 600}], "stream": stream}
    status, answer = engine.ask("/v1/chat/completions", body, key="k1")
    assert status == 400
    assert answer["error"]["type"] == "exceed_context_size_error"
    assert answer["error"]["n_ctx"] == 512
    assert answer["error"]["n_prompt_tokens"] > 600


def test_a_key_is_asked_for_but_not_for_health(engine: Running) -> None:
    assert engine.ask("/v1/chat/completions", {"messages": GREETING})[0] == 401
    assert engine.ask("/slots", key="k3")[0] == 401
    assert engine.ask("/health")[0] == 200


def test_the_prompt_of_a_whole_request_is_counted(engine: Running) -> None:
    body = {"messages": GREETING, "max_tokens": 1}
    _, counted = engine.ask("/v1/chat/completions/input_tokens", body, key="k1")
    _, answer = engine.ask("/v1/chat/completions", body, key="k1")
    assert counted["input_tokens"] == answer["usage"]["prompt_tokens"]


def test_the_state_of_a_slot_is_saved_and_restored(engine: Running) -> None:
    engine.ask("/completion", {"prompt": "a b c", "n_predict": 1, "id_slot": 0}, key="k1")
    status, saved = engine.ask("/slots/0?action=save", {"filename": "s"}, key="k1")
    assert status == 200
    status, restored = engine.ask("/slots/1?action=restore", {"filename": "s"}, key="k1")
    assert status == 200
    assert restored["n_restored"] == saved["n_saved"] > 0


def test_one_unified_context_from_the_environment() -> None:
    variables: dict[str, Any] = {"LLAMA_ARG_CTX_SIZE": "512", "LLAMA_ARG_N_PARALLEL": "2"}
    with started("--kv-unified", **variables) as running:
        running.until_ready()
        _, slots = running.ask("/slots")
        assert [slot["n_ctx"] for slot in slots] == [512, 512]


def test_embeddings() -> None:
    with started(*"-c 256 --embeddings --pooling mean".split()) as running:
        running.until_ready()
        status, answer = running.ask("/v1/embeddings", {"input": "hello"})
        assert status == 200
        assert len(answer["data"][0]["embedding"]) == 576


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such signals")
class TestEnding:
    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
    def test_a_signal_ends_it_in_the_middle_of_a_stream(self, number: signal.Signals) -> None:
        with started("-c", "2048") as running:
            running.until_ready()
            connection = running.connect()
            body = {"messages": GREETING, "max_tokens": 1000, "stream": True, "ignore_eos": True}
            connection.request("POST", "/v1/chat/completions", json.dumps(body))
            with closing(connection):
                response = connection.getresponse()
                assert response.read(10)
                running.until_handling(number)
                status, log = running.end(number)
                assert status == 0
                with suppress(IncompleteRead):
                    assert b"[DONE]" not in response.read(), "it wrote all of the answer first"
                assert f"stopping http://127.0.0.1:{running.port}" in log

    def test_a_signal_while_loading_ends_it_as_it_does_llama_server(self) -> None:
        with started("-c", "256") as running:
            with suppress(OSError):
                while running.ask("/health")[0] != 503:
                    pass
            assert running.end(signal.SIGTERM)[0] in {0, -signal.SIGTERM}

    def test_it_ends_though_nobody_reads_its_log(self) -> None:
        with started("-c", "256", "--log-disable", stderr=subprocess.PIPE) as running:
            running.until_ready()
            assert running.process.stderr is not None
            running.process.stderr.close()
            running.until_handling(signal.SIGTERM)
            assert running.end(signal.SIGTERM)[0] == 0

    @pytest.mark.skipif(not Path("/proc").exists(), reason="shown by /proc")
    def test_the_process_started_is_the_server_itself(self) -> None:
        with started("-c", "256") as running:
            running.until_ready()
            pid = running.process.pid
            assert not Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")


class TestFailing:
    def test_an_unknown_flag_is_named(self) -> None:
        assert failed("--nope") == (2, "error: invalid argument: --nope\n")

    def test_no_model(self) -> None:
        assert failed() == (1, "error: no model: give its file with -m or LLAMA_ARG_MODEL\n")

    def test_a_file_that_is_not_there(self, tmp_path: Path) -> None:
        assert failed("-m", f"{tmp_path}/x") == (1, f"error: no such file: {tmp_path}/x\n")

    def test_a_file_that_is_no_model(self, tmp_path: Path) -> None:
        (tmp_path / "bad.gguf").write_text("hello")
        status, log = failed("-m", f"{tmp_path}/bad.gguf", "--port", str(quiet_port()))
        assert status == 1
        assert "invalid magic" in log
        assert "exiting due to a failed start" in log

    def test_a_port_in_use(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = str(taken.getsockname()[1])
            status, log = failed("-m", bundled_model(), "--port", port)
        assert status == 1
        assert "couldn't bind" in log


class TestFiles:
    """Files and folders named on the command line, without an engine."""

    def given(self, **parameters: Value) -> dict[str, Value]:
        named: dict[str, Value] = {"model.path": __file__}
        named |= {name.replace("__", "."): value for name, value in parameters.items()}
        named |= {
            f":{name}": named.pop(name) for name in list(named) if name[:4] in {"file", "fold"}
        }
        read_files(named)
        del named["model.path"]
        return named

    def test_a_folder_ends_with_a_slash(self, tmp_path: Path) -> None:
        found = self.given(folder__slot_save_path=str(tmp_path))
        assert found == {"slot_save_path": f"{tmp_path}{os.sep}"}

    def test_a_folder_that_is_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match="not a directory"):
            self.given(folder__media_path=str(tmp_path / "x"))

    def test_a_projector_that_is_not_there(self) -> None:
        with pytest.raises(ValueError, match="no such file"):
            self.given(mmproj__path="/nowhere")

    def test_a_template_is_read(self, tmp_path: Path) -> None:
        file = tmp_path / "t.jinja"
        file.write_text("{{ messages }}", encoding="utf-8")
        assert self.given(file__chat_template=str(file)) == {"chat_template": "{{ messages }}"}

    def test_keys_add_up(self, tmp_path: Path) -> None:
        file = tmp_path / "keys"
        file.write_text("# mine\n\n b \nc", encoding="utf-8")
        assert self.given(file__api_keys=str(file), api_keys=("a",)) == {
            "api_keys": ("a", "b", "c")
        }

    def test_a_file_without_keys_lets_nobody_in(self, tmp_path: Path) -> None:
        file = tmp_path / "keys"
        file.write_text("# none\n", encoding="utf-8")
        with pytest.raises(ValueError, match="no keys in"):
            self.given(file__api_keys=str(file))


def test_help_and_version() -> None:
    for flag, expected in (("--help", "--ctx-size"), ("--version", "llama.cpp")):
        run = subprocess.run(
            [BINARY, flag],
            env={**os.environ, "LLM_GATEWAY_PYTHON": sys.executable},
            capture_output=True,
            text=True,
            check=True,
        )
        assert expected in run.stdout
