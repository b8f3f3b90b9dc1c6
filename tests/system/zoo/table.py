"""The clients of the zoo: how each is run, what it is set to, and what it cannot do.

Everything that a client has must work.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

CHECKS = (
    "list",
    "whole",
    "stream",
    "tools",
    "structured",
    "too long",
    "unknown model",
    "cancel",
)
NODE = "node"
# A program from Node's packages, driven by a script in Python.
NODE_COMMAND = "node command"
DOCUMENT = Path(__file__).resolve().parents[3] / "docs" / "clients.md"
_API_NAMES = {
    "chat": "OpenAI chat",
    "responses": "OpenAI Responses",
    "messages": "Anthropic",
    "ollama": "Ollama",
    "both": "Ollama and OpenAI chat",
}
_INTRODUCTION = """# What works with which client

<!-- Written by `python -m tests.system.zoo --write`; a test keeps it true. -->

Each client below is installed and run against a gateway with its bundled engine. It lists the
models, asks for a whole answer and for a stream, has a tool called, asks for an answer by a JSON
schema, sends a prompt that is too long, names a model that does not exist, and leaves a stream
before its end, which must free the engine. "Yes" for an error means that the client says what is
wrong and does not try again and again. The [README](../README.md#clients) says how each is set.
"""
_NO_LIST = "the client names no models by itself"
_NO_TOOLS = "Aider has its own format of edits, in text"


@dataclass(frozen=True)
class Client:
    """One client by one API.

    ``environment`` is the lock that it is installed by; ``script`` has its checks, and gets ``api``
    where it has several. ``lacks`` are things that the client does not offer, with the reason.
    """

    name: str
    environment: str
    script: str
    api: str
    lacks: Mapping[str, str] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """The name of its test."""
        return f"{'js' if self.environment == NODE else 'py'}-{self.script}-{self.api}"


def _listless(name: str, environment: str, script: str, api: str) -> Client:
    return Client(name, environment, script, api, {"list": _NO_LIST})


CLIENTS = (
    Client("openai (Python)", "sdks", "openai_chat", "chat"),
    Client(
        "openai (Python)",
        "sdks",
        "openai_responses",
        "responses",
        {"list": "the client does so by its other API"},
    ),
    Client("openai (JavaScript)", NODE, "openai_chat", "chat"),
    Client(
        "openai (JavaScript)",
        NODE,
        "openai_responses",
        "responses",
        {"list": "the client does so by its other API"},
    ),
    Client("anthropic (Python)", "sdks", "anthropic_messages", "messages"),
    Client("anthropic (JavaScript)", NODE, "anthropic_messages", "messages"),
    Client("ollama (Python)", "sdks", "ollama_chat", "ollama"),
    Client("ollama (JavaScript)", NODE, "ollama_chat", "ollama"),
    Client("LiteLLM", "frameworks", "litellm_completion", "chat"),
    Client("LiteLLM", "frameworks", "litellm_completion", "messages"),
    Client("LiteLLM", "frameworks", "litellm_completion", "ollama"),
    _listless("LangChain `ChatOpenAI`", "sdks", "langchain_models", "chat"),
    _listless("LangChain `ChatAnthropic`", "sdks", "langchain_models", "messages"),
    _listless("LangChain `ChatOllama`", "sdks", "langchain_models", "ollama"),
    _listless("LlamaIndex `OpenAILike`", "frameworks", "llama_index_llms", "chat"),
    _listless("LlamaIndex `Ollama`", "frameworks", "llama_index_llms", "ollama"),
    _listless("Pydantic AI", "sdks", "pydantic_ai_agent", "chat"),
    _listless("Pydantic AI", "sdks", "pydantic_ai_agent", "responses"),
    _listless("Pydantic AI", "sdks", "pydantic_ai_agent", "messages"),
    _listless("Instructor", "agents", "instructor_client", "chat"),
    _listless("OpenAI Agents SDK", "agents", "openai_agents", "chat"),
    _listless("OpenAI Agents SDK", "agents", "openai_agents", "responses"),
    _listless("Vercel AI SDK", NODE, "vercel_ai", "chat"),
    _listless("Vercel AI SDK", NODE, "vercel_ai", "responses"),
    _listless("Vercel AI SDK", NODE, "vercel_ai", "messages"),
    Client("Open WebUI", "open_webui", "open_webui_backend", "both"),
    Client("`llm`", "sdks", "llm_command", "chat", {"list": "`llm` lists what its own file names"}),
    Client(
        "Aider",
        "aider",
        "aider_command",
        "chat",
        {"list": _NO_LIST, "tools": _NO_TOOLS, "structured": _NO_TOOLS},
    ),
    Client(
        "Claude Code",
        NODE_COMMAND,
        "claude_code",
        "messages",
        {"list": _NO_LIST, "structured": "Claude Code does so by a tool"},
    ),
    _listless("Codex", NODE_COMMAND, "codex", "responses"),
)


def faults(client: Client, found: Mapping[str, str]) -> list[str]:
    """Return how ``found``, each check with its error, differs from what the table says."""
    wrong = []
    for check in CHECKS:
        error = found.get(check)
        if check in client.lacks:
            if error is not None:
                wrong.append(f"{check}: the table says that the client has no such thing")
        elif error is None:
            wrong.append(f"{check}: it was not run. {found.get('', '')}")
        elif error:
            wrong.append(f"{check}: {error}")
    return wrong


def document() -> str:
    """Return the text of ``docs/clients.md``."""
    head = ("Client", "API", *(check.capitalize() for check in CHECKS))
    notes: list[str] = []
    rows = [head, ("---",) * len(head)]
    for client in CLIENTS:
        cells = [_cell(client, check, notes) for check in CHECKS]
        rows.append((client.name, _API_NAMES[client.api], *cells))
    table = "\n".join("| " + " | ".join(row) + " |" for row in rows)
    listed = "\n".join(f"{number}. {note}" for number, note in enumerate(notes, 1))
    return f"{_INTRODUCTION}\n{table}\n\n{listed}\n"


def _cell(client: Client, check: str, notes: list[str]) -> str:
    reason = client.lacks.get(check)
    if reason is None:
        return "yes"
    note = f"{reason[0].upper()}{reason[1:]}."
    if note not in notes:
        notes.append(note)
    return f"- ({notes.index(note) + 1})"
