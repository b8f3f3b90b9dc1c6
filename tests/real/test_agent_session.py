"""A long session of a coding agent on ``/v1/messages``: no prompt is read twice.

Claude Code works like this: a large system prompt with many tools, a count of tokens before each
turn, sub-tasks with prompts of their own side by side, and later the first conversation again.
"""

from __future__ import annotations

import json
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from later import Later
from raw_client import PATIENCE
from real_engines import ADMIN, ENGINES, ONE, Gateway, gateway, lua_config, lua_model
from sdk_gateway import TEMPLATE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import anthropic
else:
    anthropic = Later("anthropic")

CONTEXT = 8192
# An engine reads at least the last token of a prompt, and its template ends each turn.
SLACK = 8
TOOLS: Any = [
    {
        "name": f"Tool{number}",
        "description": "Does something useful with a file. " * 8,
        "input_schema": {
            "type": "object",
            "properties": {"path": {"type": "string", "description": "the path"}},
            "required": ["path"],
        },
    }
    for number in range(8)
]
CACHED = {"cache_control": {"type": "ephemeral"}}


@pytest.fixture(scope="module", params=ONE)
def served(request: pytest.FixtureRequest, tmp_path_factory: Any, tiny: Path) -> Iterator[Gateway]:
    # Two sub-tasks at a time; the conversation that they displace is brought back.
    folder = tmp_path_factory.mktemp("agent")
    args = ("--chat-template-file", str(TEMPLATE), "-np", "2", "-c", str(2 * CONTEXT))
    model = lua_model("smol", ENGINES[request.param], (CONTEXT,), args=args, file=tiny)
    model = model.replace("context =", "parallel = 2, context =")
    with gateway(folder, lua_config(folder, model)) as running:
        yield running


@dataclass
class Conversation:
    """One conversation of the agent; each turn ends with a call of a tool and its result."""

    name: str
    system: Any
    tools: Any
    words: int
    messages: list[Any] = field(default_factory=list)
    known: int = 0

    def __post_init__(self) -> None:
        """Begin with the user's task."""
        text = f"{self.name}: please look at the file and tell me about it. " * self.words
        self.messages.append({"role": "user", "content": [{"type": "text", "text": text}]})

    def turn(self, api: anthropic.Anthropic) -> None:
        """Ask, and assert that the engine read nothing but what is new."""
        asked = {"model": "smol", "system": self.system, "messages": self.messages}
        asked |= {"tools": self.tools} if self.tools else {}
        counted = api.messages.count_tokens(**asked).input_tokens
        with api.messages.stream(**asked, max_tokens=24, metadata={"user_id": "u"}) as stream:
            answer = stream.get_final_message()
        usage = answer.usage
        prompt = usage.input_tokens + (usage.cache_read_input_tokens or 0)
        assert prompt == counted
        assert not self.known or usage.input_tokens <= prompt - self.known + SLACK, self.name
        self.known = prompt
        turn = len(self.messages)
        text = "".join(block.text for block in answer.content if block.type == "text")
        call = {"type": "tool_use", "id": f"t{turn}", "name": "Tool1", "input": {"path": "/a"}}
        said = f"{self.name} line {turn} of the file. " * self.words
        result = {"type": "tool_result", "tool_use_id": f"t{turn}", "content": said}
        self.messages += [
            {"role": "assistant", "content": [{"type": "text", "text": text or "."}, call]},
            {"role": "user", "content": [result]},
        ]

    def turns(self, api: anthropic.Anthropic, count: int) -> None:
        """Ask several times."""
        for _ in range(count):
            self.turn(api)


def test_no_prompt_is_read_twice(served: Gateway) -> None:
    rules = "Rules of the house, be careful and kind. " * 30
    system = [
        {"type": "text", "text": "You are an agent that works with files.", **CACHED},
        {"type": "text", "text": rules, **CACHED},
    ]
    main = Conversation("main", system, TOOLS, 9)
    with anthropic.Anthropic(base_url=served.url, api_key="none", max_retries=0) as api:
        Conversation("title", "Write a title.", [], 5).turn(api)
        main.turns(api, 3)
        helpers = [
            Conversation(f"helper {n}", f"You are helper {n}. " * 30, TOOLS[:3], 11 + 4 * n)
            for n in range(2)
        ]
        with ThreadPoolExecutor(2) as threads:
            for done in [threads.submit(helper.turns, api, 3) for helper in helpers]:
                done.result()
        main.turns(api, 2)
        # The agent's user has a break, and the engine is unloaded.
        unload = urllib.request.Request(
            f"{served.url}/admin/unload", b'{"model": "*"}', headers=ADMIN
        )
        with urllib.request.urlopen(unload, timeout=PATIENCE) as response:
            assert json.load(response) == {"unloaded": [f"smol@{CONTEXT}"]}
        main.turns(api, 2)
