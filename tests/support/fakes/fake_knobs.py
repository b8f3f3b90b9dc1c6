"""The common parts of the fake binaries: knobs from flags or environment, journal, fault counter.

The imports must stay cheap, see ``fake_light``: a test run starts more than a thousand fakes.
"""

from __future__ import annotations

import sys
import time

from fake_light import dumps, environ, exists, posix

Value = str | int | float | bool


class Knobs:
    """The faults that a test sets for a fake.

    A knob NAME comes from the flag ``--fake-name VALUE`` (dashes for underscores), or else from the
    environment variable ``FAKE_NAME``; its type is that of its default. Reading a name that is not
    in the table raises KeyError.
    """

    def __init__(self, defaults: dict[str, Value], flags: dict[str, str]) -> None:
        self._values = dict(defaults)
        given = {k[5:]: v for k, v in environ.items() if k.startswith("FAKE_")}
        given |= {k.removeprefix("--fake-").replace("-", "_").upper(): v for k, v in flags.items()}
        for name, text in given.items():
            if name not in defaults:
                # Fakes inherit each other's environment, so only names that no fake knows are
                # spelling mistakes.
                if name in ALL_NAMES:
                    continue
                sys.stderr.write(f"fake: unknown knob FAKE_{name}\n")
                sys.exit(2)
            self._values[name] = _typed(text, defaults[name])

    def text(self, name: str) -> str:
        """Return the knob as text; empty if it is not set."""
        return str(self._values[name])

    def number(self, name: str) -> float:
        """Return the knob as a number."""
        return float(self._values[name])

    def count(self, name: str) -> int:
        """Return the knob as an integer."""
        return int(self._values[name])

    def on(self, name: str) -> bool:
        """Return whether a yes/no knob is on."""
        return bool(self._values[name])

    def holds(self, what: str) -> bool:
        """Return whether this must wait until the test lets it go on."""
        held = what in self.text("HOLD").split()
        return held and not exists(f"{self.text('GATE')}.{what}")


def _typed(text: str, default: Value) -> Value:
    if isinstance(default, bool):
        return text not in {"", "0", "no", "false"}
    return type(default)(text)


def split_fake_flags(argv: list[str]) -> tuple[dict[str, str], list[str]]:
    """Command line → (the ``--fake-…`` flags with their values, all the rest in order)."""
    flags: dict[str, str] = {}
    rest: list[str] = []
    words = iter(argv)
    for word in words:
        if not word.startswith("--fake-"):
            rest.append(word)
            continue
        name, equals, value = word.partition("=")
        flags[name] = value if equals else next(words, "")
    return flags, rest


class Journal:
    """One JSON line for each event, appended in a single write, so that lines never mix."""

    def __init__(self, path: str, who: str) -> None:
        self._who = who
        flags = posix.O_WRONLY | posix.O_APPEND | posix.O_CREAT | posix.O_CLOEXEC
        self._fd = posix.open(path, flags, 0o644) if path else -1

    def write(self, event: str, **facts: object) -> None:
        """Write the line to the file. Safe in signal handlers and in every thread."""
        if self._fd < 0:
            return
        line = {"event": event, "who": self._who, "pid": posix.getpid(), "t": time.time(), **facts}
        posix.write(self._fd, dumps(line, ensure_ascii=False).encode() + b"\n")


class Counter:
    """How often a fault has happened, over all processes of a fake.

    With ``FAKE_TIMES=K`` each fault happens K times and then no more. ``FAKE_COUNTER_FILE`` has the
    name of each fault that happened, one a line; without it each process counts its own.
    """

    def __init__(self, path: str, times: int) -> None:
        self._path = path
        self._times = times
        self._own: list[str] = []

    def fire(self, fault: str) -> bool:
        """A fault is due → whether it happens; if so, it is counted."""
        if self._times <= 0:
            return True
        if not self._path:
            self._own.append(fault)
            return self._own.count(fault) <= self._times
        import fcntl  # noqa: PLC0415 - few fakes need it

        with open(self._path, "a+", encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.seek(0)
            if file.read().split().count(fault) >= self._times:
                return False
            file.write(fault + "\n")
        return True


COMMON_KNOBS: dict[str, Value] = {
    "JOURNAL": "",  # file that receives one JSON line an event
    "COUNTER_FILE": "",  # file in which faults are counted across processes
    "TIMES": 0,  # each fault happens this often, then no more; 0 = always
    # what waits until the test lets it go on: load, count, prefill, save, restore, an AT of below;
    # of a tokenizer: tokenize
    "HOLD": "",
    "GATE": "",  # the beginning of the names of the files with which the test does so
}

SERVER_KNOBS: dict[str, Value] = COMMON_KNOBS | {
    # -- start
    "BIND_SECONDS": 0.0,  # wait before the socket listens (connection refused)
    "NEVER_LISTEN": False,  # runs, but never opens its port
    "LOAD_SECONDS": 0.0,  # every endpoint answers 503 "Loading model" this long
    "EXIT_CODE": -1,  # fault "exit": at the end of loading, exit with this code
    "EXIT_LINE": "",  # printed on stderr before that exit
    "LOAD_TEXT": "",  # printed on stderr while loading
    "LOG_LINES": 0,  # lines of noise on stderr while loading
    "LOG_LINE_BYTES": 100,  # length of each noise line
    "LOG_JUNK": False,  # noise holds invalid UTF-8, NUL, and ends without a newline
    "LOG_PER_TOKEN": 0,  # noise lines with every token
    "GRANDCHILD": "",  # "1": fork a child that sleeps; "deaf": it ignores SIGTERM as well
    "LIFETIME_SECONDS": 300.0,  # ends by itself then, so that no fake outlives a test run for long
    # -- stop
    "DEAF": False,  # ignores SIGTERM
    "STOP_SECONDS": 0.0,  # takes this long to exit after SIGTERM
    "IDLE_DEATH_SECONDS": -1.0,  # fault "idle-death": dies this long after it became ready
    # -- answers
    "REAL_CTX": 0,  # the real context, in place of -c (0: that of -c)
    "PREFILL_SECONDS": 0.0,  # between the headers and the first token
    "LATE_HEADERS": False,  # older servers: the headers wait for the end of the prefill
    "TOKEN_DELAY": 0.0,  # between tokens
    "CUT_BYTES": 0,  # the bytes of a stream are sent in pieces of this size; 0 = by events
    "DEFAULT_TOKENS": 16,  # length of an answer when the request names none
    "PING_SECONDS": 30.0,  # ":" comment into a silent stream (0 = never)
    "IDLE_CLOSE_SECONDS": 5.0,  # a kept-alive connection is closed after this silence
    "COUNT_SECONDS": 0.0,  # time taken by the token counting endpoints
    "COUNT_OFFSET": 0,  # the error of their counts
    "RESUMABLE": False,  # keeps streams with an X-Conversation-Id for /v1/stream
    # if the request has the beginning of the answer: "": repeat and continue it; "silent": continue
    # it; "refuse": answer 400; "anew": treat it as another message; "similar": repeat it changed
    "PREFILL": "",
    # "begin": streams lack what comes before their first token; "end": what comes after the last
    "LACKS": "",
    "TEMPLATE": "",  # what /props says of the chat template: "": nothing; "tools" or "plain"
    "OLD": False,  # no …/input_tokens endpoints; /apply-template and /tokenize only
    # -- slots, of a fake with --slot-save-path
    "NO_SLOTS": False,  # --help does not name this flag
    "SAVE_SECONDS": 0.0,  # time a save takes, before it writes anything
    "SAVE": "",  # fault "save": "fail"; "hang" or "die" when half is written
    "RESTORE_SECONDS": 0.0,  # time a restore takes
    "RESTORE": "",  # fault "restore": "fail", "hang" or "die"
    # "works": --help names --cache-ram, and a prompt that lost its slot is restored;
    # "forgets": --help names it, but nothing is restored
    "CACHE_RAM": "",
    "SEAT_SECONDS": 0.0,  # time until a request that names its slot is in it
    "PROMPT_MS": 1.0,  # the time of the prefill that an answer reports
    "FORGETFUL": False,  # prefills every prompt from its beginning, and ignores the slot's content
    # -- faults of inference requests; AT = "request" (before any byte), "headers" (after
    #    the response headers), a number of tokens already sent, or "done" (after the last event
    #    of a stream, before its end)
    "DIE_AT": "",  # fault "die": the process ends there
    "DIE_CODE": -9,  # how: a negative signal number, or an exit code
    "STALL_AT": "",  # fault "stall": nothing more is sent, the connection stays open
    "CLOSE_AT": "",  # fault "close": the connection is closed, the process lives
    "ERROR_AT": "",  # fault "error": an error event in the stream, which then ends
    "STATUS": 0,  # fault "status": this status instead of an answer …
    "BODY": "<html><b>Oops</b> \u00e9",  # … with this body, as text/html
    # -- /health once loaded, one step for each call, repeated: ok 503 500 close hang
    "HEALTH": "ok",
    "HIDES_SLOTS": False,  # GET /slots answers 501, as with --no-slots
    "FROZEN_SLOTS": False,  # the counters that GET /slots shows never move
}

TOKENIZE_KNOBS: dict[str, Value] = COMMON_KNOBS | {
    "TOKENIZE_SECONDS": 0.0,  # time it takes
    "TOKENIZE_EXIT": 0,  # fault "tokenize-exit": exit with this code and print nothing
    "TOKENIZE_OUTPUT": "",  # fault "tokenize-output": print this instead of the ids
    "TOKENIZE_SKIP_STDIN": False,  # never reads its input (a writer sees a broken pipe)
}

ALL_NAMES = SERVER_KNOBS.keys() | TOKENIZE_KNOBS.keys()
