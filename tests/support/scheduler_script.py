"""Scheduler tests as scripts: an event on each line, and all its effects after the arrow.

    0   1 asks for 4k     → start e1 4k
    2   e1 ready          → grant 1 e1
    5   1 leaves          → wake 905

``play`` performs the events and compares the result with the script itself, so a failure shows as a
difference of two scripts. Requests are numbers; engines are ``e`` and their ticket; variants have
names that the test gives them. The first word of a line is the time.
``asks for 8k by ann at high else 4k,2k`` names the client, the priority and the fallbacks;
``asks for 4k keeping 60`` its ``keep_alive``; ``asks for 4k as auxiliary`` says that it takes no
slot. ``5 configured as other`` applies a configuration that the test gave this name.
"""

from __future__ import annotations

from dataclasses import asdict
from difflib import unified_diff
from typing import TYPE_CHECKING, Any, TypedDict

from builders import variant

from engine.scheduling import events as ev
from engine.scheduling.queue import Priority
from engine.scheduling.scheduler import EngineRecord, Limits, Policy, Scheduler
from utils.errors import EngineStartTimeout, GatewayError

if TYPE_CHECKING:
    from engine.scheduling.lifecycle import State
    from models.spec import VariantSpec

NOTHING = "nothing"
# Two models, whose engines have one slot; and one model, whose engines have two.
VARIANTS = {
    "4k": variant(4096),
    "8k": variant(8192),
    "16k": variant(16384),
    "other": variant(4096, "other"),
}
PAIR = {
    "4k": variant(4096, parallel=2),
    "8k": variant(8192, parallel=2),
}


class Configured(TypedDict, total=False):
    """An event of Reconfigure without its time."""

    variants: tuple[VariantSpec, ...]
    kept: frozenset[str]
    policy: Policy
    limits: Limits
    loads: dict[str, float]


class Script:
    """A scheduler whose events and effects are words."""

    def __init__(
        self,
        variants: dict[str, VariantSpec],
        policy: Policy | None = None,
        limits: Limits | None = None,
    ) -> None:
        self.scheduler = Scheduler(variants.values(), policy or Policy(), limits)
        self.errors: dict[int, GatewayError] = {}
        self.configurations: dict[str, Configured] = {}
        self._variants = variants

    def configure(
        self,
        name: str,
        *variants: str,
        kept: tuple[str, ...] = (),
        policy: Policy | None = None,
        limits: Limits | None = None,
    ) -> None:
        """Return a configuration of these variants; those of ``kept`` keep their engines."""
        self.configurations[name] = {
            "variants": tuple(self._variants[each] for each in variants),
            "kept": frozenset(self._variants[each].label for each in kept),
            "policy": policy or Policy(),
            "limits": limits or Limits(),
        }

    def play(self, script: str) -> None:
        lines = [" ".join(line.split()) for line in script.splitlines() if line.strip()]
        played = []
        for line in lines:
            cause = line.partition(" → ")[0]
            effects = self.scheduler.handle(self._event(*cause.split()))
            played.append(f"{cause} → {'; '.join(map(self._say, effects)) or NOTHING}")
        difference = list(unified_diff(lines, played, "expected", "played", lineterm="", n=99))
        assert not difference, "\n".join(["the scheduler did otherwise", *difference])

    def record(self, name: str) -> EngineRecord:
        wanted = self._variants[name]
        return next(r for r in self.scheduler.records if r.variant is wanted)

    def state(self, name: str) -> State:
        return self.record(name).state

    def snapshot(self) -> list[dict[str, Any]]:
        """Return everything that the scheduler knows of every engine."""
        return [asdict(record) for record in self.scheduler.records]

    def _event(self, when: str, *words: str) -> ev.Event:
        now = float(when)
        event: ev.Event
        match words:
            case (request, "asks", "for", name, *manner):
                event = self._arrival(int(request), name, manner, now)
            case (request, "returns", "for", name):
                event = ev.Returned(int(request), self._variants[name], now)
            case (request, "leaves"):
                event = ev.Left(int(request), now)
            case (request, "leaves", "outgrown", "by", name):
                event = ev.Left(int(request), now, ahead=self._variants[name])
            case ("tick",):
                event = ev.Tick(now)
            case ("configured", "as", name):
                event = ev.Reconfigure(**self.configurations[name], now=now)
            case ("pin" | "unpin" | "unload" as order, *which):
                event = _of_operator(order, which, now)
            case ("drain" | "halt" as end,):
                event = ev.Drain(now) if end == "drain" else ev.Halt(now)
            case (engine, *what):
                event = _of_engine(engine, what, now)
            case _:
                raise ValueError(words)
        return event

    def _arrival(self, request: int, name: str, manner: list[str], now: float) -> ev.Arrived:
        said = dict(zip(manner[::2], manner[1::2], strict=True))
        priority = Priority[said.get("at", "normal").upper()]
        client = said.get("by", "")
        smaller = tuple(self._variants[each] for each in said.get("else", "").split(",") if each)
        keep_alive = float(said["keeping"]) if "keeping" in said else None
        return ev.Arrived(
            request,
            self._variants[name],
            fallbacks=smaller,
            client=client,
            priority=priority,
            keep_alive=keep_alive,
            auxiliary=said.get("as") == "auxiliary",
            now=now,
        )

    def _say(self, effect: ev.Effect) -> str:
        match effect:
            case ev.StartEngine():
                name = next(n for n, v in self._variants.items() if v is effect.variant)
                return f"start e{effect.engine} {name}"
            case ev.StopEngine():
                return f"stop e{effect.engine}"
            case ev.Grant():
                return f"grant {effect.request} e{effect.engine}"
            case ev.Refuse():
                self.errors[effect.request] = effect.error
                return f"refuse {effect.request} {type(effect.error).__name__}"
            case ev.WakeAt():
                return f"wake {effect.when:g}"


def backed_off(script: Script, name: str) -> None:
    """Let the variant's start fail twice, at 1 and 2; the third may be at 3."""
    script.play(f"""
        0   101 asks for {name}   → start e1 {name}
        1   e1 exits              → refuse 101 EngineStartFailed
        1   102 asks for {name}   → start e2 {name}
        2   e2 exits              → refuse 102 EngineStartFailed
    """)


def used_large(script: Script, small: int = 4) -> None:
    """Return a 16k engine that served a large request at 1, then ``small`` small ones at 2."""
    script.play("""
        0   100 asks for 16k   → start e1 16k
        1   e1 ready           → grant 100 e1
        1   100 leaves         → wake 901
    """)
    for request in range(101, 101 + small):
        last = request == 100 + small and small >= 4
        script.play(f"""
            2   {request} asks for 4k   → grant {request} e1
            2   {request} leaves        → wake {302 if last else 902}
        """)


def _of_operator(order: str, which: list[str], now: float) -> ev.Event:
    if order != "unload":
        return ev.Pin(which[0], order == "pin", now)
    model = next((word for word in which if word != "now"), None)
    return ev.Unload(model, now, force="now" in which)


def _of_engine(engine: str, what: list[str], now: float) -> ev.Event:
    match what:
        case ["ready"]:
            return ev.EngineReady(_ticket(engine), now)
        case ["too", "slow"]:
            error = EngineStartTimeout(f"{engine} was not ready in time")
            return ev.EngineUnhealthy(_ticket(engine), error, now)
        case ["exits"]:
            return ev.EngineExited(_ticket(engine), f"{engine} fell over", now)
        case ["lacks", resource]:
            reason = f"no room in {resource}"
            return ev.EngineExited(_ticket(engine), reason, now, out_of_memory=resource)
        case ["holds", *amounts]:
            held = dict(zip(amounts[::2], map(int, amounts[1::2]), strict=True))
            return ev.EngineMeasured(_ticket(engine), held, now)
        case _:
            raise ValueError(what)


def _ticket(engine: str) -> int:
    return int(engine.removeprefix("e"))
