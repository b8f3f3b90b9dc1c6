"""A llama-tokenize for fault tests: one id for each whitespace-separated word.

It accepts the flags of the real one (``-m FILE --stdin --ids --log-disable``, also ``-p``, ``-f``,
``--no-bos``, ``--no-parse-special``, ``--show-count``) and faults as knobs, see TOKENIZE_KNOBS in
fake_knobs.py. Journal events: start, exit.
"""

from __future__ import annotations

import sys
import time

from fake_knobs import TOKENIZE_KNOBS, Counter, Journal, Knobs, split_fake_flags
from fake_light import posix
from fake_text import token_ids

WITH_VALUE = {"-m", "--model", "-p", "--prompt", "-f", "--file"}
ALONE = {"--stdin", "--ids", "--log-disable", "--no-bos", "--no-escape", "--no-parse-special"}
ALONE |= {"--show-count"}


def main(argv: list[str]) -> int:
    """Print the ids of the text on standard input; return the exit status."""
    fake_flags, own = split_fake_flags(argv)
    knobs = Knobs(TOKENIZE_KNOBS, fake_flags)
    journal = Journal(knobs.text("JOURNAL"), "llama-tokenize")
    counter = Counter(knobs.text("COUNTER_FILE"), knobs.count("TIMES"))
    journal.write("start", argv=argv, ppid=posix.getppid(), pgid=posix.getpgid(0))

    options: dict[str, str] = {}
    words = iter(own)
    for word in words:
        if word not in WITH_VALUE | ALONE:
            sys.stdout.write(f"error: invalid argument: {word}\n")
            return 1
        options[word] = next(words, "") if word in WITH_VALUE else ""

    text = ""
    if "--stdin" in options and not knobs.on("TOKENIZE_SKIP_STDIN"):
        text = sys.stdin.buffer.read().decode("utf-8", "replace")
    elif options.keys() & {"-f", "--file"}:
        with open(options.get("-f") or options["--file"], encoding="utf-8") as file:
            text = file.read()
    else:
        text = options.get("-p") or options.get("--prompt", "")
    _take_time(knobs)

    code = knobs.count("TOKENIZE_EXIT")
    if code and counter.fire("tokenize-exit"):
        journal.write("exit", code=code)
        return code
    ids = token_ids(text)
    if knobs.text("TOKENIZE_OUTPUT") and counter.fire("tokenize-output"):
        sys.stdout.write(knobs.text("TOKENIZE_OUTPUT") + "\n")
    elif "--ids" in options:
        sys.stdout.write(f"{ids}\n")
    else:
        for number, word in zip(ids, text.split(), strict=True):
            sys.stdout.write(f"{number:6} -> '{word}'\n")
    if "--show-count" in options:
        sys.stdout.write(f"Total number of tokens: {len(ids)}\n")
    journal.write("exit", code=0, tokens=len(ids), bytes=len(text.encode()))
    return 0


def _take_time(knobs: Knobs) -> None:
    time.sleep(knobs.number("TOKENIZE_SECONDS"))
    while knobs.holds("tokenize"):
        time.sleep(0.002)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
