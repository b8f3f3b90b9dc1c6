"""engine/llamacpp/prompt_cache/index.py: which state helps, and which go."""

from __future__ import annotations

from engine.llamacpp.prompt_cache.index import SavedState, StateIndex
from engine.llamacpp.prompt_cache.prefix import Mark


def state(
    name: str, said: str, *, tokens: int = 100, size: int = 10, **fields: object
) -> SavedState:
    """A state of the prompt that ``said`` spells, a letter a message of 1000 bytes."""
    given = {"model": "m", "fingerprint": "f", "used_at": 0.0} | fields
    return SavedState(name=name, marks=marks(said), tokens=tokens, size=size, **given)  # type: ignore[arg-type]  # a test's shorthand


def marks(said: str) -> tuple[Mark, ...]:
    return tuple(Mark(said[: end + 1].encode(), 1000 * (end + 1)) for end in range(len(said)))


def best(index: StateIndex, said: str, *, held: int = 0, context: int = 1000) -> str | None:
    found = index.best("m", "f", marks(said), held=held, context=context)
    return found.name if found else None


def test_the_state_that_shares_most_is_chosen() -> None:
    index = StateIndex(
        [state("short", "a"), state("right", "abc", tokens=300), state("other", "xyz")]
    )
    assert best(index, "abcd") == "right"
    assert best(index, "axx") == "short"
    assert best(index, "qqq") is None


def test_of_equals_the_smaller_is_chosen() -> None:
    index = StateIndex([state("long", "abxx", tokens=400), state("short", "ab", tokens=200)])
    assert best(index, "abzz") == "short"


def test_what_would_not_help_is_not_restored() -> None:
    index = StateIndex([state("s", "abc", tokens=300)])
    assert best(index, "abcd", held=300) is None
    assert best(index, "abcd", held=200) == "s"


def test_a_state_that_spares_little_of_a_long_one_is_not_worth_loading() -> None:
    index = StateIndex([state("long", "a" + "x" * 20, tokens=2100)])
    assert best(index, "ab", context=4096) is None
    assert best(index, "axx", context=4096) == "long"


def test_a_state_must_fit_the_context() -> None:
    index = StateIndex([state("big", "abc", tokens=5000), state("small", "ab", tokens=80)])
    assert best(index, "abcd", context=4096) == "small"
    assert best(index, "abcd", context=8192) == "big"


def test_states_of_others_are_ignored() -> None:
    index = StateIndex([state("a", "abc", model="n"), state("b", "abc", fingerprint="g")])
    assert best(index, "abc") is None


def test_a_conversation_that_goes_on_replaces_its_older_state() -> None:
    index = StateIndex()
    assert index.add(state("one", "ab")) == ()
    gone = index.add(state("two", "abcd"))
    assert [each.name for each in gone] == ["one"]
    assert [each.name for each in index.states] == ["two"]
    # What branched off, or belongs to another layout, stays.
    assert index.add(state("three", "abx")) == ()
    assert index.add(state("four", "abcdef", fingerprint="g")) == ()
    assert len(index) == 3


def test_the_same_prompt_with_a_longer_answer_is_kept() -> None:
    index = StateIndex([state("long", "ab", tokens=200)])
    assert index.add(state("short", "ab", tokens=100)) == ()
    assert [each.name for each in index.add(state("again", "ab", tokens=200))] == ["long", "short"]


def test_states_without_marks_replace_nothing() -> None:
    index = StateIndex([state("none", "")])
    assert index.add(state("other", "")) == ()
    assert len(index) == 2


def test_the_least_recently_used_go_first() -> None:
    index = StateIndex(
        [
            state("new", "c", used_at=3.0),
            state("old", "a", used_at=1.0),
            state("mid", "b", used_at=2.0),
        ]
    )
    assert index.size == 30
    assert [each.name for each in index.over(15)] == ["old", "mid"]
    assert [each.name for each in index.over(20)] == ["old"]
    assert index.over(30) == ()
    index.drop("old")
    index.drop("old")
    assert [each.name for each in index.states] == ["mid", "new"]


def test_what_is_on_disk_already() -> None:
    index = StateIndex([state("s", "ab", tokens=200), state("l", "abcd", tokens=400)])
    assert index.kept("m", "f", marks("abcx")) == 300
    assert index.kept("m", "f", marks("abcde")) == 400
    assert index.kept("m", "f", marks("x")) == 0
    assert index.kept("m", "g", marks("ab")) == 0
