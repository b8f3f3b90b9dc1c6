"""Read the command line of an engine in the configuration of another program. Pure."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from typing import Any

# Where the engine listens, and under which name, is the gateway's affair.
_OWN = frozenset({"--host", "--port", "-a", "--alias"})
_CONTEXT = frozenset({"-c", "--ctx-size"})
_SLOTS = frozenset({"-np", "--parallel"})
_FILE = frozenset({"-m", "--model"})
_HUB = frozenset({"-hf", "-hfr", "--hf-repo"})
_HUB_FILE = frozenset({"-hff", "--hf-file"})


@dataclass(frozen=True, slots=True)
class ServerCommand:
    """The command line of a llama-server, taken apart. ``rest`` has neither model nor address."""

    program: str
    rest: tuple[str, ...]
    path: str = ""
    hub: str = ""
    file: str = ""
    context: int = 0
    slots: int = 1

    def model(self, name: str, env: dict[str, str]) -> dict[str, Any]:
        """Return the keys of a model with this engine."""
        more = {"env": env} if env else {}
        if self.path and self.context:
            args = ("-m", self.path, "-c", self.context, *self.rest)
            slots = {"parallel": self.slots} if self.slots > 1 else {}
            variant = {
                "binary": self.program,
                "context": self.context // self.slots,
                "args": list(args),
                **slots,
                **more,
            }
            return {"name": name, "variants": [variant]}
        # Of a file, the projector is in the command, or there is none.
        where: dict[str, Any] = {"path": self.path, "mmproj": False}
        if not self.path:
            # Such an engine fetches its model when it is started.
            where = {"hf": self.hub, **({"file": self.file} if self.file else {})}
            where["download"] = "request"
        context = ("-c", self.context) if self.context else ()
        return {"name": name, **where, "command": [self.program, *context, *self.rest], **more}


def words_of(command: str | list[str]) -> list[str]:
    """Return the words of a command as a shell would split it, without lines of comment.

    Raises ValueError for a quotation without an end.
    """
    if not isinstance(command, str):
        return [str(word) for word in command]
    lines = [line for line in command.splitlines() if not line.lstrip().startswith("#")]
    return shlex.split(" ".join(line.rstrip().removesuffix("\\") for line in lines))


def server_command(words: list[str]) -> ServerCommand | None:
    """Return the command if it starts a llama-server with a model, else None."""
    if not words or not re.match(r"llama-server[\w.-]*$", re.split(r"[/\\]", words[0])[-1]):
        return None
    said: dict[str, str] = {}
    rest: list[str] = []
    rest_of_line = iter(words[1:])
    for word in rest_of_line:
        for names, field in (
            (_OWN, "own"),
            (_CONTEXT, "context"),
            (_FILE, "path"),
            (_HUB, "hub"),
            (_HUB_FILE, "file"),
        ):
            if word in names:
                said[field] = next(rest_of_line, "")
                break
        else:
            rest.append(word)
    if not said.get("path") and not said.get("hub"):
        return None
    slots = [rest[at + 1] for at, word in enumerate(rest[:-1]) if word in _SLOTS]
    return ServerCommand(
        words[0],
        tuple(rest),
        said.get("path", ""),
        said.get("hub", ""),
        said.get("file", ""),
        _number(said.get("context", "")),
        max(1, _number(slots[-1])) if slots else 1,
    )


def _number(text: str) -> int:
    return int(text) if text.isdigit() else 0
