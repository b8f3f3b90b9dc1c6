"""``Work``: what is done for one turn, and how long each step took. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

from voice.told import Complete, Timings, Usage


@dataclass(slots=True)
class Work:
    """The work for a turn that ended at ``since``; the other times are None until they come.

    ``silent`` are the seconds of silence before; None if the turn ended at the client's word.
    ``asked`` is what the user said; ``written`` are the pieces of the answer.
    """

    turn: int
    since: float
    silent: float | None = None
    asked: str = ""
    written: list[str] = field(default_factory=list)
    understood: float | None = None
    first_text: float | None = None
    first_clause: float | None = None
    first_audio: float | None = None
    answering: bool = False

    @property
    def text(self) -> str:
        """The answer so far."""
        return "".join(self.written)

    def wrote(self, piece: str, now: float) -> None:
        """Take in a piece of the answer."""
        self.written.append(piece)
        if self.first_text is None:
            self.first_text = now

    def timings(self, now: float) -> Timings:
        """Return what each step took until now."""
        return Timings(
            self._after(self.understood),
            self._after(self.first_text),
            self._after(self.first_clause),
            self._after(self.first_audio),
            self._after(now),
            None if self.silent is None else round(self.silent * 1000),
        )

    def interrupted(self, heard: str, now: float) -> Complete:
        """Return the end of an answer of which ``heard`` was heard.

        The engine tells no count of what it did not end; it writes about a token in each piece.
        """
        usage = Usage(0, len(self.written))
        told = self.timings(now)
        return Complete(self.turn, self.asked, heard, interrupted=True, usage=usage, timings=told)

    def _after(self, when: float | None) -> int | None:
        return None if when is None else round((when - self.since) * 1000)
