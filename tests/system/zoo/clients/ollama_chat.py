"""Ollama's library for Python."""

from __future__ import annotations

import ollama
from zoo_client import (
    ADMIN,
    CALLER,
    ENDLESS,
    GATEWAY,
    HELLO,
    MODEL,
    QUESTION,
    SCHEMA,
    STORY,
    TOO_LONG,
    TOOL,
    UNKNOWN,
    check,
    is_city,
    main,
    too_long,
    unknown,
    until_idle,
)

api = ollama.Client(host=GATEWAY)
SHORT = {"num_predict": 8}


def names() -> set[str]:
    return {(model.model or "").removesuffix(":latest") for model in api.list().models}


@check("list")
def listed() -> None:
    assert MODEL in names(), names()
    operator = ollama.Client(host=GATEWAY, headers=ADMIN)
    assert operator.copy(MODEL, "copy-of-python").status == "success"
    assert "copy-of-python" in names(), names()
    assert operator.delete("copy-of-python").status == "success"
    assert "copy-of-python" not in names(), names()
    assert "tools" in (api.show(MODEL).capabilities or [])
    api.ps()


@check("whole")
def whole() -> None:
    answer = api.chat(MODEL, HELLO, options=SHORT)
    assert answer.message.content
    assert answer.done
    assert answer.eval_count
    assert api.generate(MODEL, "Hello", options=SHORT).response
    [vector] = api.embed("embed", "Hello").embeddings
    assert len(vector) > 16


@check("stream")
def stream() -> None:
    *parts, last = api.chat(MODEL, HELLO, options=SHORT, stream=True)
    assert "".join(part.message.content or "" for part in parts)
    assert last.done
    assert last.done_reason in {"stop", "length"}
    *pieces, end = api.generate(MODEL, "Hello", options=SHORT, stream=True)
    assert "".join(piece.response for piece in pieces)
    assert end.done


@check("tools")
def tools() -> None:
    # This API cannot force a call; the model that the gateway names "caller" makes one.
    answer = api.chat(CALLER, QUESTION, tools=[TOOL], options={"num_predict": 96})
    [call] = answer.message.tool_calls or []
    is_city(dict(call.function.arguments))
    *_, last = api.chat(CALLER, QUESTION, tools=[TOOL], options={"num_predict": 96}, stream=True)
    assert last.done
    result = {"role": "tool", "tool_name": "weather", "content": "Sunny."}
    after = api.chat(MODEL, [*QUESTION, answer.message, result], tools=[TOOL], options=SHORT)
    assert after.message.content


@check("structured")
def structured() -> None:
    answer = api.chat(CALLER, QUESTION, format=SCHEMA, options={"num_predict": 64})
    is_city(answer.message.content)


@check("too long")
def long() -> None:
    with too_long(ollama.ResponseError):
        api.chat(MODEL, TOO_LONG)
    with too_long(ollama.ResponseError):
        list(api.chat(MODEL, TOO_LONG, stream=True))


@check("unknown model")
def strange() -> None:
    with unknown(ollama.ResponseError):
        api.chat(UNKNOWN, HELLO)


@check("cancel")
def cancel() -> None:
    parts = api.chat(ENDLESS, [{"role": "user", "content": STORY}], stream=True)
    next(iter(parts))
    parts.close()
    until_idle()


main()
