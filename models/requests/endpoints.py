"""What can be asked of an engine: one record per endpoint. Pure.

Each record says under which paths the endpoint is known, how its prompt is read, what the model
must be capable of, and how the request is treated from there. Nothing else lists endpoints.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from models.requests.chat import chat
from models.requests.messages import DEFAULT_OUTPUT, messages
from models.requests.prompts import completion, embeddings, infill, rerank, speech
from models.requests.transcription import transcription

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from models.requests.facts import Prompt
    from models.requests.fields import Json

# Fields, in the order in which engines read them, that limit an answer.
_LIMITS = ("max_tokens", "max_completion_tokens", "n_predict")


@dataclass(frozen=True, slots=True, eq=False)
class Endpoint:
    """One endpoint.

    - ``paths``: under which names clients know it; engines have the same.
    - ``read``: finds the prompt in a JSON body; None where there is none, or where it is a form.
    - ``needs``: the capability that a model must have, beside what the prompt needs; None: none.
    - ``sized``: the request takes room in a context, and so its prompt is counted.
    - ``generates``: the answer is written token by token and needs room beside the prompt;
      ``limits`` are the fields that limit it, ``default_output`` the limit without them.
    - ``grows``: an answer that fills its context can go on in a larger one.
    - ``cut_to_fit``: the engine shortens a prompt that is too long instead of refusing it.
    - ``charged``: its tokens are charged to the client.
    - ``form``: the body is a form with files, not JSON. ``read_form`` finds the prompt in its
      texts and the digest of its files. ``files`` are the names that its file may have.
    - ``auxiliary``: the engine answers it beside its slots.
    - ``repeatable``: it may be sent again when an engine fails; asking twice does no harm.
    """

    name: str
    paths: tuple[str, ...]
    read: Callable[[Json], Prompt] | None = None
    needs: str | None = None
    limits: tuple[str, ...] = ()
    default_output: int | None = None
    sized: bool = True
    generates: bool = True
    grows: bool = False
    cut_to_fit: bool = False
    charged: bool = True
    form: bool = False
    read_form: Callable[[Json, bytes], Prompt] | None = None
    files: tuple[str, ...] = ("file",)
    auxiliary: bool = False
    repeatable: bool = True


CHAT = Endpoint(
    "chat",
    ("/v1/chat/completions", "/chat/completions"),
    chat,
    needs="text",
    limits=_LIMITS,
    grows=True,
)
COMPLETION = Endpoint(
    "completion",
    ("/v1/completions", "/completions", "/completion"),
    completion,
    needs="text",
    limits=_LIMITS,
    grows=True,
)
INFILL = Endpoint("infill", ("/infill",), infill, needs="text", limits=_LIMITS, cut_to_fit=True)
# Of engines that know Anthropic's API themselves; for others its requests become chats.
MESSAGES = Endpoint(
    "messages",
    ("/v1/messages",),
    messages,
    needs="text",
    limits=("max_tokens",),
    default_output=DEFAULT_OUTPUT,
)
EMBEDDINGS = Endpoint(
    "embeddings",
    ("/v1/embeddings", "/embeddings", "/embedding"),
    embeddings,
    needs="embeddings",
    generates=False,
)
RERANK = Endpoint(
    "rerank",
    ("/v1/rerank", "/rerank", "/v1/reranking", "/reranking"),
    rerank,
    needs="rerank",
    generates=False,
)
# Forms with a sound file, which is larger than what is kept in memory.
TRANSCRIPTION = Endpoint(
    "transcription",
    ("/v1/audio/transcriptions", "/audio/transcriptions"),
    needs="audio",
    form=True,
    read_form=transcription,
)
TRANSLATION = Endpoint(
    "translation",
    ("/v1/audio/translations", "/audio/translations"),
    needs="audio",
    form=True,
    read_form=transcription,
)
# Its text takes no room in a context: the engines that speak read it sentence by sentence.
SPEECH = Endpoint(
    "speech",
    ("/v1/audio/speech", "/audio/speech"),
    speech,
    needs="speech",
    sized=False,
    generates=False,
)
IMAGE = Endpoint(
    "image",
    ("/v1/images/generations", "/images/generations"),
    needs="image",
    sized=False,
    generates=False,
)
IMAGE_EDIT = Endpoint(
    "image edit",
    ("/v1/images/edits", "/images/edits"),
    needs="image",
    sized=False,
    generates=False,
    form=True,
    files=("image", "image[]"),
)
# Asks the model's engine something that takes no room in its context.
AUXILIARY = Endpoint(
    "auxiliary",
    (
        "/v1/chat/completions/input_tokens",
        "/chat/completions/input_tokens",
        "/v1/messages/count_tokens",
        "/tokenize",
        "/detokenize",
        "/apply-template",
    ),
    sized=False,
    generates=False,
    charged=False,
    auxiliary=True,
)
# Any other request to an engine. The gateway knows nothing about it; it has no path of its own.
PASSTHROUGH = Endpoint(
    "passthrough", (), sized=False, generates=False, charged=False, repeatable=False
)

ENDPOINTS = (
    CHAT,
    COMPLETION,
    INFILL,
    MESSAGES,
    EMBEDDINGS,
    RERANK,
    TRANSCRIPTION,
    TRANSLATION,
    SPEECH,
    IMAGE,
    IMAGE_EDIT,
    AUXILIARY,
)
BY_PATH: Mapping[str, Endpoint] = {
    path: endpoint for endpoint in ENDPOINTS for path in endpoint.paths
}


def names_of(path: str) -> tuple[str, ...]:
    """``path``, and the other names of the same endpoint, if it is one that has several."""
    endpoint = BY_PATH.get(path)
    if endpoint is None or endpoint is AUXILIARY:
        return (path,)
    return (path, *(name for name in endpoint.paths if name != path))
