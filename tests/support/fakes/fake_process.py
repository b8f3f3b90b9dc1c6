"""The process of the fake llama-server: flags, loading, signals, exits, and their faults."""

from __future__ import annotations

import sys
import time

from fake_knobs import Counter, Journal, Knobs
from fake_light import Socket, environ, listener, posix, signal, start_thread
from fake_service import FOREVER, FakeService

N_CTX_TRAIN = 8192
TERM_GRACE_SECONDS = 30.0
SIGNALS = (signal.SIGTERM, signal.SIGINT)

FLAG_NAMES = {
    "-m": "model",
    "--model": "model",
    "-c": "ctx_size",
    "--ctx-size": "ctx_size",
    "-np": "n_parallel",
    "--parallel": "n_parallel",
    "--host": "host",
    "--port": "port",
    "-a": "alias",
    "--alias": "alias",
    "--slot-save-path": "save_path",
}


def hold_signals() -> None:
    """Hold SIGTERM and SIGINT back until a thread takes them: none ends the process unseen."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_DFL)
    # A handler in Python would wait until the main thread has accepted its next connection, if
    # the signal came just before it began to wait for one, or to another thread.
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)


class Flags:
    """The flags of llama-server that the fake uses."""

    def __init__(self, argv: list[str]) -> None:
        values = {"model": "", "ctx_size": "0", "n_parallel": "1", "host": "127.0.0.1"}
        values |= {"port": "8080", "alias": "", "save_path": ""}
        for name in values:
            values[name] = environ.get(f"LLAMA_ARG_{name.upper()}", values[name])
        self.embeddings = bool({"--embedding", "--embeddings"} & set(argv))
        self.sees = "--mmproj" in argv
        self.unified = bool({"-kvu", "--kv-unified"} & set(argv))
        self.reranking = bool({"--rerank", "--reranking"} & set(argv))
        words = iter(argv)
        for word in words:
            if word in FLAG_NAMES:
                values[FLAG_NAMES[word]] = next(words, "")
        self.model = values["model"]
        self.ctx = int(values["ctx_size"]) or N_CTX_TRAIN
        self.slots = max(int(values["n_parallel"]), 1)
        self.host = values["host"]
        self.port = int(values["port"])
        self.alias = values["alias"] or self.model
        self.save_path = values["save_path"]


class FakeProcess:
    """The process: loading → ready → stopping, with its faults."""

    def __init__(self, flags: Flags, knobs: Knobs, journal: Journal) -> None:
        self.flags = flags
        self.knobs = knobs
        self.journal = journal
        self.loaded = False
        self.stopping = False
        self._counter = Counter(knobs.text("COUNTER_FILE"), knobs.count("TIMES"))
        self._service = FakeService(self)

    def run(self) -> None:
        """Serve until a signal or a fault ends the process; signals are held back already."""
        # Before any thread and before the port is open, because a fork copies both.
        if self.knobs.text("GRANDCHILD"):
            self._fork_grandchild()
        start_thread(self._take_signals, ())
        start_thread(self._live_no_longer_than_allowed, ())
        time.sleep(self.knobs.number("BIND_SECONDS"))
        if self.knobs.on("NEVER_LISTEN"):
            time.sleep(FOREVER)
        sockets = self._listen()
        self.journal.write("listening", port=self.flags.port)
        start_thread(self._load, ())
        while True:
            start_thread(self._service.serve, (sockets.accept(),))

    def _listen(self) -> Socket:
        try:
            return listener(self.flags.host, self.flags.port)
        except OSError:
            where = f"hostname: {self.flags.host}, port: {self.flags.port}"
            self._log("E", f"couldn't bind HTTP server socket, {where}")
            self._log("E", "exiting due to HTTP server error")
            self._exit(1)
            raise

    def _fork_grandchild(self) -> None:
        pid = posix.fork()
        if pid:
            self.journal.write("grandchild", child=pid)
            return
        deaf = self.knobs.text("GRANDCHILD") == "deaf"
        signal.signal(signal.SIGTERM, signal.SIG_IGN if deaf else signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        time.sleep(self.knobs.number("LIFETIME_SECONDS"))
        posix._exit(0)

    def _live_no_longer_than_allowed(self) -> None:
        time.sleep(self.knobs.number("LIFETIME_SECONDS"))
        self._exit(99)

    def _load(self) -> None:
        self._log("I", f"loading model '{self.flags.model}'")
        sys.stderr.write(self.knobs.text("LOAD_TEXT"))
        sys.stderr.flush()
        self.noise(self.knobs.count("LOG_LINES"))
        time.sleep(self.knobs.number("LOAD_SECONDS"))
        while self.knobs.holds("load"):
            time.sleep(0.002)
        code = self.knobs.count("EXIT_CODE")
        if code >= 0 and self.fault("exit"):
            if self.knobs.text("EXIT_LINE"):
                sys.stderr.write(self.knobs.text("EXIT_LINE") + "\n")
                sys.stderr.flush()
            self._exit(code)
        self.loaded = True
        self._log("I", "model loaded")
        self.journal.write("ready", n_ctx=self._service.n_ctx)
        idle_death = self.knobs.number("IDLE_DEATH_SECONDS")
        if idle_death >= 0:
            time.sleep(idle_death)
            if self.fault("idle-death"):
                self.die()

    def _take_signals(self) -> None:
        while True:
            self._on_signal(signal.sigwait(SIGNALS))

    def _on_signal(self, number: int) -> None:
        self.journal.write("sigterm", signal=number, deaf=self.knobs.on("DEAF"))
        if self.knobs.on("DEAF"):
            return
        if not self.loaded:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
            posix.kill(posix.getpid(), number)
        if not self.stopping:
            self.stopping = True
            start_thread(self._stop, ())

    def _stop(self) -> None:
        deadline = time.monotonic() + TERM_GRACE_SECONDS
        while self._service.at_work and time.monotonic() < deadline:
            time.sleep(0.005)
        time.sleep(self.knobs.number("STOP_SECONDS"))
        self._log("I", "cleaning up before exit...")
        self._exit(0)

    def _exit(self, code: int) -> None:
        self.journal.write("exit", code=code)
        sys.stderr.flush()
        posix._exit(code)

    def die(self) -> None:
        """End the process as ``DIE_CODE`` says."""
        code = self.knobs.count("DIE_CODE")
        self.journal.write("exit", code=code)
        if code < 0:
            posix.kill(posix.getpid(), -code)
            time.sleep(FOREVER)
        posix._exit(code)

    def fault(self, name: str) -> bool:
        """A fault is due → whether it happens; if so, it is in the journal."""
        happens = self._counter.fire(name)
        if happens:
            self.journal.write("fault", fault=name)
        return happens

    def _log(self, level: str, text: str) -> None:
        sys.stderr.write(f"0.00.000.001 {level} srv  {text}\n")
        sys.stderr.flush()

    def noise(self, lines: int) -> None:
        """Write lines of noise to stderr; wait for a slow reader."""
        if not lines:
            return
        filler = b"noise " * (self.knobs.count("LOG_LINE_BYTES") // 6 + 1)
        line = filler[: self.knobs.count("LOG_LINE_BYTES")] + b"\n"
        data = line * lines
        if self.knobs.on("LOG_JUNK"):
            data += b"\xff\xfe\x00 \xc3 no newline follows"
        sys.stderr.buffer.write(data)
        sys.stderr.flush()
