"""The history of a session, as a model is to know it."""

from __future__ import annotations

from voice.history import FIRST, INTERRUPTED, Entry, History, ToolCall


def user(name: str, text: str) -> Entry:
    return Entry(name, "user", text)


def answer(name: str, text: str) -> Entry:
    return Entry(name, "assistant", text)


def contents(history: History) -> list[str]:
    return [message["content"] for message in history.messages()]


def test_an_interrupted_answer_keeps_what_was_heard() -> None:
    history = History("Be kind.")
    history.add(user("1", "hello"))
    history.add(answer("2", "Good morning, dear friend."))
    history.cut("2", "Good morning,")
    history.cut("unknown", "")
    assert contents(history) == ["Be kind.", "hello", "Good morning," + INTERRUPTED]
    history.cut("2", " ")
    assert contents(history) == ["Be kind.", "hello"]


def test_messages_of_one_side_become_one() -> None:
    history = History()
    history.add(user("1", "hello"))
    history.add(user("3", "and you"))
    history.add(user("2", "how are you"), after="1")
    history.add(answer("4", "fine"))
    assert contents(history) == ["hello\nhow are you\nand you", "fine"]
    # What is not understood yet is not there for a model.
    history.add(user("0", ""), after=FIRST)
    assert contents(history) == ["hello\nhow are you\nand you", "fine"]
    assert next(iter(history)).id == "0"
    assert history.remove("2")
    assert not history.remove("2")
    assert contents(history)[0] == "hello\nand you"
    found = history.find("4")
    assert found is not None
    assert found.text == "fine"


def test_the_oldest_go_a_quarter_at_a_time() -> None:
    history = History(length=8)
    for number in range(0, 8, 2):
        history.add(user(str(number), f"q{number}"))
        history.add(answer(str(number + 1), f"a{number}"))
    history.add(user("8", "q8"))
    # A conversation begins with a question.
    assert [each.id for each in history] == ["2", "3", "4", "5", "6", "7", "8"]
    assert len(history) == 7
    small = History(length=1)
    small.add(user("1", "one"))
    small.add(answer("2", "two"))
    assert not list(small)


def test_calls_of_tools_and_their_results() -> None:
    history = History()
    history.add(user("1", "the time?"))
    history.add(Entry("2", "assistant", "", calls=(ToolCall("c", "clock", "{}"),)))
    history.add(Entry("3", "tool", "noon", call="c"))
    history.add(answer("4", "It is noon."))
    _, call, result, said = history.messages()
    assert call["tool_calls"][0] == {
        "id": "c",
        "type": "function",
        "function": {"name": "clock", "arguments": "{}"},
    }
    assert (result["role"], result["tool_call_id"]) == ("tool", "c")
    assert said["content"] == "It is noon."
    history.cut("2", "")
    assert history.find("2") is not None
