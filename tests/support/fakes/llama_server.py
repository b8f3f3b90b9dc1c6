"""A llama-server for fault tests: the same wire format without a model, with faults by knobs.

It accepts llama-server's flags (-m -c -np --host --port --alias and their LLAMA_ARG_* variables;
others are ignored), and faults as knobs, see SERVER_KNOBS in fake_knobs.py. The rules for counting
and answering are in fake_text.py.

Journal events: start, grandchild, listening, ready, request, first_byte, ending (before
the last bytes are sent), finished, aborted, fault, sigterm, exit; with slots to save also
seated, save, half (written), saved, restore, restored. A request keeps its ``id`` through
its events.

The model is b11434, with its unusual behaviour: a stream's headers are sent as soon as the prompt
has a slot, before any prefill; SIGTERM while loading kills by signal; SIGTERM during an answer
stops the tokens but not the process, until the client leaves or 30 seconds are over.
"""

from __future__ import annotations

import gc
import sys

from fake_knobs import SERVER_KNOBS, Journal, Knobs, split_fake_flags
from fake_light import environ, posix
from fake_process import FakeProcess, Flags, hold_signals


def main(argv: list[str]) -> None:
    """Serve by the command line until the process is ended."""
    fake_flags, own = split_fake_flags(argv)
    if "--version" in own:
        sys.stderr.write("version: 0.6.0-fake (build 0, commit unknown)\n")
        return
    knobs = Knobs(SERVER_KNOBS, fake_flags)
    journal = Journal(knobs.text("JOURNAL"), "llama-server")
    # A fake makes few objects and lives for a short time.
    gc.disable()
    # Who reads the journal finds the end of each fake that has begun.
    hold_signals()
    wanted = ("FAKE_", "LLAMA_", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")
    journal.write(
        "start",
        argv=argv,
        env={k: v for k, v in environ.items() if k.startswith(wanted)},
        ppid=posix.getppid(),
        pgid=posix.getpgid(0),
        cwd=posix.getcwd(),
    )
    FakeProcess(Flags(own), knobs, journal).run()


if __name__ == "__main__":
    main(sys.argv[1:])
