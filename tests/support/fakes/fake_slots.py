"""The contents of the fake llama-server's slots, and how they are saved and restored.

Only a fake with ``--slot-save-path`` uses them; for others each prompt is new. A saved slot is a
file of token ids as text, written in two halves.
"""

from __future__ import annotations

import time

from fake_light import Lock, dumps, loads

TYPE_CHECKING = False
if TYPE_CHECKING:  # without the cost of importing typing
    from fake_http import Connection, Request
    from fake_process import FakeProcess
    from fake_service import TakenSlot

FLAG = "--slot-save-path"
FOREVER = 86400.0


class Slots:
    """The contents of all slots, as token ids."""

    def __init__(self, process: FakeProcess) -> None:
        self._process = process
        self._held: list[list[int]] = [[] for _ in range(process.flags.slots)]
        # The prompts that lost their slots, if the fake keeps them (CACHE_RAM).
        self._kept: list[list[int]] = []
        self._folder = process.flags.save_path
        self._lock = Lock()

    def shared(self, slot: int, prompt: list[int]) -> int:
        """Return how many tokens at the beginning of a prompt the slot has."""
        with self._lock:
            return _shared(self._held[slot], prompt)

    def read(self, number: int, slot: int, asked: object, prompt: list[int]) -> int:
        """Prefill a prompt in a slot.

        Return how many of its tokens were cached; the last one is always prefilled.
        """
        with self._lock:
            shared = _shared(self._held[slot], prompt)
            most = max(shared, self._remembered(slot, prompt, shared))
            self._held[slot] = prompt
        cached = min(most, len(prompt) - 1)
        if self._process.knobs.on("FORGETFUL"):
            cached = 0
        self._process.journal.write("seated", id=number, slot=slot, asked=asked, cached=cached)
        return cached

    def _remembered(self, slot: int, prompt: list[int], shared: int) -> int:
        """Keep what the slot loses, and take the best kept prompt; return its common tokens."""
        if self._process.knobs.text("CACHE_RAM") != "works" or shared * 2 >= len(self._held[slot]):
            return 0
        self._kept.append(self._held[slot])
        best = max(self._kept, key=lambda kept: _shared(kept, prompt))
        if _shared(best, prompt) * 4 < len(best):
            return 0
        self._kept.remove(best)
        return _shared(best, prompt)

    def act(self, connection: Connection, request: Request, idle: TakenSlot) -> int | None:
        """``POST /slots/N?action=…`` → done, refused, or the fault of the knobs.

        It begins when the slot is ``idle``. Return the slot's tokens if it was restored.
        """
        slot = int(request.path.rpartition("/")[2])
        action = request.query.removeprefix("action=")
        name = loads(request.body)["filename"]
        knobs = self._process.knobs
        self._process.journal.write(action, slot=slot, file=name)
        with idle:
            connection.wait(knobs.number(f"{action.upper()}_SECONDS"))
            while knobs.holds(action):
                connection.wait(0.002)
        fault = knobs.text(action.upper())
        if fault and not self._process.fault(action):
            fault = ""
        if fault == "fail":
            detail = {"code": 500, "message": "Unable to save slot", "type": "server_error"}
            connection.respond_json(500, {"error": detail})
            return None
        try:
            if action == "save":
                count, what = self._save(f"{self._folder}/{name}", slot, fault), "n_saved"
            else:
                self._fall(fault)
                count, what = self._restore(f"{self._folder}/{name}", slot), "n_restored"
        except (OSError, ValueError) as error:
            message = f"Unable to {action} slot: {error}"
            detail = {"code": 400, "message": message, "type": "invalid_request_error"}
            connection.respond_json(400, {"error": detail})
            return None
        self._process.journal.write(f"{action}d", slot=slot, file=name, tokens=count)
        connection.respond_json(200, {"id_slot": slot, "filename": name, what: count})
        return count if action == "restore" else None

    def _save(self, path: str, slot: int, fault: str) -> int:
        content = dumps(self._held[slot])
        with open(path, "w", encoding="ascii") as file:
            file.write(content[: len(content) // 2])
            file.flush()
            self._process.journal.write("half", slot=slot)
            self._fall(fault)
            file.write(content[len(content) // 2 :])
        return len(self._held[slot])

    def _restore(self, path: str, slot: int) -> int:
        self._held[slot] = []
        with open(path, encoding="ascii") as file:
            self._held[slot] = loads(file.read())
        return len(self._held[slot])

    def _fall(self, fault: str) -> None:
        if fault == "die":
            self._process.die()
        if fault == "hang":
            time.sleep(FOREVER)


def _shared(held: list[int], prompt: list[int]) -> int:
    pairs = zip(held, prompt, strict=False)
    return next((i for i, (a, b) in enumerate(pairs) if a != b), min(len(held), len(prompt)))
