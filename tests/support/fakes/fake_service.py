"""The endpoints of the fake llama-server, and the faults of its answers."""

from __future__ import annotations

import time

from fake_answer import Answer
from fake_http import ClientGoneError, Connection, Request
from fake_light import Lock, dumps, loads, sha256
from fake_shapes import (
    MessagesAnswer,
    chat_of_messages,
    embeddings,
    infill_text,
    rerank,
)
from fake_slots import Slots
from fake_streams import Streams
from fake_text import BadBodyError, begun_answer, render, token_ids
from fake_views import model_list, props, slot_list

TYPE_CHECKING = False
if TYPE_CHECKING:  # without the cost of importing typing
    from collections.abc import Iterator

    from fake_light import Socket
    from fake_process import FakeProcess

FOREVER = 86400.0
SHOWN = 8192
# A slot that holds more than this part of a prompt is preferred.
SIMILAR = 0.1
COUNTING = (
    "/v1/chat/completions/input_tokens",
    "/v1/messages/count_tokens",
)
RERANK = ("/v1/rerank", "/rerank", "/v1/reranking", "/reranking")
INFERENCE = ("/completions", "/completion", "/infill", "/v1/messages")
CONTROL = "/v1/chat/completions/control"
# A path that the gateway does not know.
JOBS = "/v1/jobs"
STREAMS = ("/v1/stream", "/v1/streams/lookup")
EMBEDDINGS = ("/v1/embeddings", "/embeddings", "/embedding")
TRANSCRIPTIONS = ("/v1/audio/transcriptions", "/audio/transcriptions")
POST_PATHS = {
    *COUNTING,
    "/v1/chat/completions",
    "/chat/completions",
    "/v1/completions",
    "/completions",
    "/completion",
    "/infill",
    "/v1/messages",
    *EMBEDDINGS,
    *RERANK,
    *TRANSCRIPTIONS,
    CONTROL,
    JOBS,
    "/apply-template",
    "/tokenize",
    "/detokenize",
}


class FakeService:
    """Answers requests, by the knobs and the state of one fake process."""

    def __init__(self, process: FakeProcess) -> None:
        self._process = process
        self._flags = process.flags
        self._knobs = process.knobs
        self._journal = process.journal
        # -c is divided among the slots, unless they share it.
        parts = 1 if self._flags.unified else self._flags.slots
        self.n_ctx = (self._knobs.count("REAL_CTX") or self._flags.ctx) // parts
        # The busy slots; and of each slot its tokens and its last task.
        self.busy: set[int] = set()
        # The requests that have a slot, or had one and are still being answered.
        self.at_work: set[TakenSlot] = set()
        # The moments at which anything is to happen.
        faults = (self._knobs.text(f"{fault}_AT") for fault in ("DIE", "STALL", "CLOSE", "ERROR"))
        self._moments = {*faults, *self._knobs.text("HOLD").split()}
        self._held = [(0, 0)] * self._flags.slots
        self._used = [0] * self._flags.slots
        self._uses = 0
        self._lock = Lock()
        self._streams = Streams()
        self._states = Slots(process) if process.flags.save_path else None
        self._ids = 0
        self._health_calls = 0
        # Tokens read and written so far.
        self._done = 0

    def serve(self, sock: Socket) -> None:
        """New connection → all its requests answered, and it is closed."""
        connection = Connection(
            sock, self._knobs.number("IDLE_CLOSE_SECONDS"), self._knobs.count("CUT_BYTES")
        )
        # A client may leave at any point; the journal has it where it matters.
        try:
            while connection.open and (request := connection.read()) is not None:
                self._answer(connection, request)
        except ClientGoneError:
            pass
        connection.close()

    def _answer(self, connection: Connection, request: Request) -> None:
        with self._lock:
            self._ids += 1
            number = self._ids
        self._journal_request(number, request)
        key = (request.method.replace("HEAD", "GET"), request.path)
        if not self._process.loaded:
            body = {"message": "Loading model", "type": "unavailable_error", "code": 503}
            connection.respond_json(503, {"error": body})
        elif key == ("GET", "/ws") and request.headers.get("upgrade") == "websocket":
            self._journal.write("websocket", id=number, headers=request.headers)
            self._journal.write("websocket-end", end=connection.websocket(request.headers))
        elif key == ("GET", "/health"):
            self._health(connection)
        elif key[0] == "GET" and key[1] in {"/v1/models", "/models"}:
            connection.respond_json(200, model_list(self._flags.alias, self.n_ctx))
        elif key == ("GET", "/props"):
            connection.respond_json(
                200, props(self._flags, self.n_ctx, self._knobs.text("TEMPLATE"))
            )
        elif key == ("GET", "/slots") and not self._knobs.on("HIDES_SLOTS"):
            slots = slot_list(self.n_ctx, self._held, self.busy, self._done)
            connection.respond_json(200, slots)
        elif key == ("GET", "/slots"):
            body = {"message": "no slots here", "type": "not_supported_error", "code": 501}
            connection.respond_json(501, {"error": body})
        elif request.path in STREAMS and self._knobs.on("RESUMABLE"):
            self._stream(connection, request)
        elif key[0] == "POST":
            self._posted(connection, request, number)
        else:
            self._not_found(connection)

    def _journal_request(self, number: int, request: Request) -> None:
        self._journal.write(
            "request",
            id=number,
            method=request.method,
            path=request.path,
            bytes=len(request.body),
            sha256=sha256(request.body) if request.body else "",
            # Enough to see what a small request became.
            body=request.body[:SHOWN].decode("utf-8", "replace"),
            headers=request.headers,
        )

    def _not_found(self, connection: Connection) -> None:
        body = {"message": "File Not Found", "type": "not_found_error", "code": 404}
        connection.respond_json(404, {"error": body})

    def _health(self, connection: Connection) -> None:
        steps = self._knobs.text("HEALTH").replace(",", " ").split() or ["ok"]
        with self._lock:
            step = steps[self._health_calls % len(steps)]
            self._health_calls += 1
        if step == "ok":
            connection.respond_json(200, {"status": "ok"})
        elif step == "close":
            connection.open = False
        elif step == "hang":
            connection.wait(FOREVER)
        else:
            body = {"message": "flapping", "type": "unavailable_error", "code": int(step)}
            connection.respond_json(int(step), {"error": body})

    def _posted(self, connection: Connection, request: Request, number: int) -> None:
        conversation = request.headers.get("x-conversation-id", "")
        if conversation and self._knobs.on("RESUMABLE"):
            connection.session = self._streams.begin(conversation)
        if self._states is not None and request.path.startswith("/slots/"):
            slot = int(request.path.rpartition("/")[2])
            # The content of a slot is only used while the slot is idle.
            restored = self._states.act(connection, request, self._slot(connection, slot))
            if restored is not None:
                self._held[slot] = restored, self._held[slot][1]
        elif request.path == JOBS:
            if not self._at("request", connection):
                connection.respond_json(200, {"done": True})
        else:
            self._post(connection, request, number)

    def _post(self, connection: Connection, request: Request, number: int) -> None:
        path = request.path
        old = self._knobs.on("OLD")
        if path not in POST_PATHS or (old and path in COUNTING):
            self._not_found(connection)
            return
        try:
            if path in TRANSCRIPTIONS:
                self._transcribe(connection, request, number)
                return
            body = self._object(request.body)
            if path.endswith(INFERENCE):
                self._infer(connection, self._answer_to(path, body), number)
            elif path in EMBEDDINGS and self._flags.embeddings:
                connection.respond_json(*embeddings(body, self.n_ctx))
            elif path in RERANK and self._flags.reranking:
                connection.respond_json(*rerank(body, self.n_ctx))
            elif path in EMBEDDINGS or path in RERANK:
                message = "This server does not support embeddings. Start it with `--embeddings`"
                detail = {"code": 501, "message": message, "type": "not_supported_error"}
                connection.respond_json(501, {"error": detail})
            elif path == "/detokenize":
                connection.respond_json(200, {"content": str(body.get("tokens"))})
            elif path == "/apply-template":
                self._refuse_begun(body)
                closed = " <|im_end|>\n" if self._knobs.text("PREFILL") == "anew" else ""
                connection.respond_json(200, {"prompt": render(body) + closed})
            else:
                self._count(connection, path, body)
        except (BadBodyError, ValueError, RecursionError) as error:
            detail = {"code": 400, "message": str(error), "type": "invalid_request_error"}
            connection.respond_json(400, {"error": detail})

    def _stream(self, connection: Connection, request: Request) -> None:
        if request.path == STREAMS[1]:
            connection.respond_json(200, self._streams.lookup(self._object(request.body)))
            return
        # Imported late: few tests need it.
        from urllib.parse import parse_qs  # noqa: PLC0415 - see above

        query = {name: values[-1] for name, values in parse_qs(request.query).items()}
        if request.method == "DELETE":
            self._streams.stop(query["conv_id"])
            connection.respond(204, b"")
        else:
            self._streams.replay(connection, query["conv_id"], int(query.get("from", 0)))

    def _transcribe(self, connection: Connection, request: Request, number: int) -> None:
        # Imported late: few tests need it.
        import fake_audio  # noqa: PLC0415 - see above

        form = fake_audio.Form(request.headers.get("content-type", ""), request.body)
        heard = fake_audio.Transcript(form)
        if self._at("request", connection):
            return
        with self._slot(connection):
            if heard.tokens >= self.n_ctx:
                connection.respond_json(400, heard.refusal(self.n_ctx))
            elif heard.stream:
                connection.start_stream()
                for event in heard.events():
                    connection.chunk(event)
                connection.end_stream()
            else:
                connection.respond_json(200, heard.whole())
        self._journal.write("finished", id=number)

    def _answer_to(self, path: str, body: dict[str, object]) -> Answer:
        shape, chat = Answer, "/chat/" in path
        if path == "/v1/messages":
            shape, chat, body = MessagesAnswer, True, chat_of_messages(body)
        elif path == "/infill":
            body = infill_text(body)
        if chat:
            self._refuse_begun(body)
        answer = shape(body, self._flags.alias, chat=chat, prefill=self._knobs.text("PREFILL"))
        answer.lacks = self._knobs.text("LACKS")
        return answer

    def _refuse_begun(self, body: dict[str, object]) -> None:
        if self._knobs.text("PREFILL") == "refuse" and begun_answer(body):
            raise BadBodyError("Assistant response prefill is incompatible with enable_thinking.")

    @staticmethod
    def _object(data: bytes) -> dict[str, object]:
        body = loads(data)
        if not isinstance(body, dict):
            raise BadBodyError("[json.exception.type_error.304] cannot use at() with this type")
        return body

    def _count(self, connection: Connection, path: str, body: dict[str, object]) -> None:
        connection.wait(self._knobs.number("COUNT_SECONDS"))
        while self._knobs.holds("count"):
            connection.wait(0.002)
        offset = self._knobs.count("COUNT_OFFSET")
        counted: dict[str, object]
        if path == "/tokenize":
            ids = token_ids(str(body.get("content", "")))
            counted = {"tokens": (ids + [0] * offset)[: max(len(ids) + offset, 0)]}
        elif path == CONTROL:
            counted = {"success": body.get("id") == "mine"}
        else:
            if path == COUNTING[1]:
                body = chat_of_messages(body)
            counted = {"input_tokens": len(token_ids(render(body))) + offset}
            if path == COUNTING[0]:
                counted["object"] = "response.input_tokens"
        connection.respond_json(200, counted)

    # -- inference

    def _infer(self, connection: Connection, answer: Answer, number: int) -> None:
        sent = 0
        try:
            if self._at("request", connection):
                return
            if self._knobs.count("STATUS") and self._process.fault("status"):
                page = self._knobs.text("BODY").encode("latin-1", "replace")
                connection.respond(self._knobs.count("STATUS"), page, "text/html")
                self._journal.write("finished", id=number, status=self._knobs.count("STATUS"))
                return
            if answer.slot is not None and (seconds := self._knobs.number("SEAT_SECONDS")):
                connection.wait(seconds)
            taken = self._slot(connection, answer.slot, answer.prompt_ids)
            with taken as slot:
                if answer.prompt_tokens >= self.n_ctx:
                    connection.respond_json(400, answer.refusal(self.n_ctx))
                    self._journal.write("finished", id=number, status=400)
                    return
                answer.plan(self.n_ctx, self._knobs.count("DEFAULT_TOKENS"))
                answer.prompt_ms = self._knobs.number("PROMPT_MS")
                if self._states is not None:
                    answer.cached = self._states.read(number, slot, answer.slot, answer.prompt_ids)
                # The last token of an answer is not read again.
                self._held[slot] = answer.prompt_tokens + max(answer.tokens - 1, 0), number
                for sent in self._tokens(connection, answer, number, taken):  # noqa: B007 - told below
                    pass
        except ClientGoneError:
            self._journal.write("aborted", id=number, tokens=sent)
            raise

    def _slot(
        self, connection: Connection, asked: object = None, prompt: list[int] | None = None
    ) -> TakenSlot:
        """Return a block inside which a slot is taken: the requested one, or the best idle one."""
        return TakenSlot(self, connection, asked, prompt or [])

    def take(self, connection: Connection, asked: object, prompt: list[int]) -> int:
        """Wait until a slot is idle, and take it.

        The order of requests is not strict: waiting threads try again every 10 ms.
        """
        while (slot := self._taken(asked, prompt)) is None:
            connection.wait(0)
            time.sleep(0.01)
        return slot

    def give_back(self, slot: int) -> None:
        """Make a slot idle."""
        with self._lock:
            self.busy.discard(slot)

    def _taken(self, asked: object, prompt: list[int]) -> int | None:
        with self._lock:
            idle = [slot for slot in range(self._flags.slots) if slot not in self.busy]
            if isinstance(asked, int) and 0 <= asked < self._flags.slots:
                idle = [slot for slot in idle if slot == asked]
            if not idle:
                return None
            # The least recently used one, unless one holds enough of the prompt.
            slot = min(idle, key=lambda each: self._used[each])
            if (states := self._states) is not None:
                most, best = max((states.shared(each, prompt), -each) for each in idle)
                slot = -best if most > len(prompt) * SIMILAR else slot
            self._uses += 1
            self._used[slot] = self._uses
            self.busy.add(slot)
            return slot

    def _tokens(
        self, connection: Connection, answer: Answer, number: int, taken: TakenSlot
    ) -> Iterator[int]:
        """A slot is taken → the answer is sent; yields the number of tokens sent so far."""
        if not self._open(connection, answer):
            return
        if self._at("0", connection):
            return
        for index in range(answer.tokens):
            if index:
                self._pause(connection, self._knobs.number("TOKEN_DELAY"), ping=answer.stream)
            self._process.noise(self._knobs.count("LOG_PER_TOKEN"))
            if answer.stream:
                connection.chunk(answer.event(index))
            if index == 0:
                self._journal.write("first_byte", id=number)
            yield index + 1
            # Before the check whether the client is still there, so that a fault that is due
            # happens to this request and not to the next.
            if self._at(str(index + 1), connection):
                return
        self._journal.write("ending", id=number)
        if answer.stream:
            self._end_stream(connection, answer, taken)
        else:
            taken.give_back()
            connection.respond_json(200, answer.whole())
        self._journal.write("finished", id=number, status=200, tokens=answer.tokens)

    def _end_stream(self, connection: Connection, answer: Answer, taken: TakenSlot) -> None:
        connection.chunk(answer.last_events())
        if self._at("done", connection):
            return
        taken.give_back()
        if answer.done and answer.lacks != "end":
            connection.chunk(answer.done)
        connection.end_stream()

    def _open(self, connection: Connection, answer: Answer) -> bool:
        """A slot is taken → headers (of a stream) sent and prefill done; False ends the answer."""
        late = self._knobs.on("LATE_HEADERS")
        if not answer.stream or late:
            self._prefill(connection, ping=False)
        if not answer.stream:
            return True
        connection.start_stream()
        if self._at("headers", connection):
            return False
        if not late:
            self._prefill(connection, ping=True)
        return True

    def _prefill(self, connection: Connection, *, ping: bool) -> None:
        self._pause(connection, self._knobs.number("PREFILL_SECONDS"), ping=ping)
        while self._knobs.holds("prefill"):
            self._pause(connection, 0.002, ping=False)

    def _pause(self, connection: Connection, seconds: float, *, ping: bool) -> None:
        """Now → *seconds* later; never if the process is asked to stop before."""
        interval = self._knobs.number("PING_SECONDS") if ping else 0.0
        left = seconds
        next_ping = interval
        while True:
            step = min(left, 0.02)
            connection.wait(step)
            left -= step
            self._done += not self._knobs.on("FROZEN_SLOTS")
            if self._process.stopping:
                left = FOREVER
            if left <= 0:
                return
            next_ping -= step
            if interval and next_ping <= 0:
                next_ping = interval
                connection.chunk(":\n\n")

    def _at(self, moment: str, connection: Connection) -> bool:
        """A moment of an answer is reached → its fault has happened; True ends the answer."""
        if connection.session is not None and connection.session.cancelled:
            connection.end_stream()
            self._journal.write("stopped", at=moment)
            return True
        if moment not in self._moments:
            return False
        while self._knobs.holds(moment):
            connection.wait(0.002)
        if self._knobs.text("DIE_AT") == moment and self._process.fault("die"):
            self._process.die()
        if self._knobs.text("STALL_AT") == moment and self._process.fault("stall"):
            connection.wait(FOREVER)
        if self._knobs.text("CLOSE_AT") == moment and self._process.fault("close"):
            connection.open = False
            return True
        if self._knobs.text("ERROR_AT") == moment and self._process.fault("error"):
            detail = {"code": 500, "message": "fake failure", "type": "server_error"}
            if not connection.streaming:
                connection.respond_json(500, {"error": detail})
            else:
                connection.chunk(f"data: {dumps({'error': detail})}\n\n")
                connection.end_stream()
            return True
        return False


class TakenSlot:
    """A slot that is taken inside the block; ``contextlib`` would be dear to import."""

    def __init__(
        self, service: FakeService, connection: Connection, asked: object, prompt: list[int]
    ) -> None:
        self._service = service
        self._wanted = connection, asked, prompt
        self._slot = -1

    def __enter__(self) -> int:
        self._slot = self._service.take(*self._wanted)
        self._service.at_work.add(self)
        return self._slot

    def __exit__(self, *_: object) -> None:
        self.give_back()
        self._service.at_work.discard(self)

    def give_back(self) -> None:
        """Make the slot idle before the block ends.

        llama-server does so before the client has the last byte of the answer.
        """
        if self._slot >= 0:
            self._service.give_back(self._slot)
            self._slot = -1
