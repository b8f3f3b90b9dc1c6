"""log_tail.py: lines out of a byte stream, and the one that tells why an engine ended."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.process.log_tail import KEPT_LINES, LONGEST_LINE, LineSplitter, LogTail, last_meaningful

LOADING = "llama_model_loader: loaded meta data with 34 key-value pairs"
NO_FILE = "error loading model: failed to open missing.gguf: No such file or directory"


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([], ""),
        (["", "   ", "\t"], ""),
        ([LOADING], LOADING),
        ([LOADING, "  main: listening  ", ""], "main: listening"),
        ([LOADING, NO_FILE, "main: exiting due to model loading error", ""], NO_FILE),
        ([NO_FILE, LOADING], NO_FILE),
        (["error: first", "error: second", LOADING], "error: second"),
        (
            ["error: unknown argument: --flash", "usage: llama-server [options]"],
            "error: unknown argument: --flash",
        ),
        (["main: exiting due to HTTP server error"], ""),
        (
            ["couldn't bind HTTP server socket, port in use"],
            "couldn't bind HTTP server socket, port in use",
        ),
        (["CUDA error: OUT OF MEMORY", "x"], "CUDA error: OUT OF MEMORY"),
    ],
)
def test_the_last_meaningful_line(lines: list[str], said: str) -> None:
    assert last_meaningful(iter(lines)) == said


def test_after_a_signal_only_a_complaint_matters() -> None:
    assert last_meaningful([LOADING], complaints_only=True) == ""
    assert last_meaningful([NO_FILE, LOADING], complaints_only=True) == NO_FILE


@given(st.lists(st.text(max_size=20)))
def test_the_meaningful_line_is_one_that_was_written(lines: list[str]) -> None:
    said = last_meaningful(lines)
    assert said == "" or said in [line.strip() for line in lines]


def split(*chunks: bytes) -> list[str]:
    splitter = LineSplitter()
    return [line for chunk in (*chunks, b"") for line in splitter.feed(chunk)]


@pytest.mark.parametrize(
    ("chunks", "lines"),
    [
        ([], []),
        ([b"\n"], [""]),
        ([b"one\ntwo\n"], ["one", "two"]),
        ([b"o", b"ne\r\ntw", b"o"], ["one", "two"]),
        ([b"caf\xc3", b"\xa9\n"], ["café"]),
        ([b"\xff\xfe\n"], ["\ufffd\ufffd"]),
        ([b"nul\x00\n"], ["nul\\x00"]),
        ([b"a\ttab, \x1b[31mred\rand \x7f\n"], ["a\ttab, \\x1b[31mred\\x0dand \\x7f"]),
        (["\x85 \u2028 é\n".encode()], ["\\x85 \\x2028 é"]),
    ],
)
def test_lines_of_a_stream(chunks: list[bytes], lines: list[str]) -> None:
    assert split(*chunks) == lines


def test_a_line_is_there_as_soon_as_it_is_complete() -> None:
    splitter = LineSplitter()
    assert splitter.feed(b"one\ntw") == ["one"]
    assert splitter.feed(b"o") == []
    assert splitter.feed(b"\n") == ["two"]
    assert splitter.feed(b"") == []
    assert splitter.feed(b"thr") == []
    assert splitter.feed(b"") == ["thr"]
    assert splitter.feed(b"") == []


def test_a_line_without_end_is_cut_and_takes_no_memory() -> None:
    splitter = LineSplitter()
    assert splitter.feed(b"x" * LONGEST_LINE) == []
    assert splitter.feed(b"y") == ["x" * LONGEST_LINE]
    assert splitter.feed(b"z\n") == ["z"]
    assert splitter.feed(b"w" * (3 * LONGEST_LINE) + b"\n") == ["w" * LONGEST_LINE]


@given(st.lists(st.binary(max_size=30)), st.data())
def test_where_the_stream_is_cut_makes_no_difference(
    pieces: list[bytes], data: st.DataObject
) -> None:
    stream = b"\n".join(pieces)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=5)))
    chunks = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    assert split(*filter(None, chunks)) == split(stream)
    ended = stream.split(b"\n")
    assert len(split(stream)) == len(ended if ended[-1] else ended[:-1])
    for line in split(stream):
        assert not any(ord(c) < 32 and c != "\t" for c in line), "it would steer a terminal"


@given(st.lists(st.binary(max_size=3 * LONGEST_LINE), max_size=4))
def test_no_line_is_longer_than_the_longest(chunks: list[bytes]) -> None:
    assert all(len(line) <= LONGEST_LINE for line in split(*chunks))


def test_the_tail_keeps_the_last_lines() -> None:
    tail = LogTail()
    tail.extend(str(number) for number in range(KEPT_LINES + 7))
    assert list(tail) == [str(number) for number in range(7, KEPT_LINES + 7)]
    assert last_meaningful(tail) == str(KEPT_LINES + 6)
