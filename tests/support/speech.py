"""Engines that hear and speak, and sentences to try them with."""

from __future__ import annotations

import io
import os
import re
import shutil
from typing import TYPE_CHECKING

from real_engines import MODEL, lua_config

if TYPE_CHECKING:
    from pathlib import Path

# whisper.cpp's own server, if this machine has it.
WHISPER_SERVER = os.environ.get("WHISPER_SERVER") or shutil.which("whisper-server")
# The same of the program that speaks.
ESPEAK = shutil.which("espeak-ng")
# In the words that the models use, so that no word differs by its spelling alone.
SENTENCES = (
    "Please turn on the light in the kitchen.",
    "What is the weather going to be like tomorrow morning?",
    "The quick brown fox jumps over the lazy dog near the river.",
    "Remind me to call my mother when I am back tonight.",
    "The train to the city leaves from the second platform.",
    "She bought some bottles of milk and a loaf of bread.",
    "Could you please tell me how long it takes to boil an egg?",
    "Open the window, because it is very warm in here today.",
    "The book is about a sailor who travels around the world.",
    "Thank you very much for your help, and have a good evening.",
)


def speech_config(
    folder: Path, server: str | None = None, weights: str = "", voice: str = "piper", more: str = ""
) -> str:
    """Return a configuration of embedded engines, and of ``server`` with a file of weights.

    ``hears`` and ``speaks`` are the embedded ones, ``voice`` the type of the latter. ``whisper`` is
    the server's, ``robot`` is espeak-ng. Piper speaks without noise, so that a text sounds the same
    each time. ``thinks`` is the bundled model. ``more`` is the table of another one.
    """
    quiet = ', variants = { { args = { "--noise-scale", "0", "--noise-w-scale", "0" } } }'
    still = quiet if voice == "piper" else ""
    models = (
        '{ name = "thinks", variants = { { context = 1024, args = { "-np", "1", "-c", "1024",'
        f' "-m", "{MODEL}", "-t", "1" }} }} }} }},'
        # Threads that wait for each other keep cores busy that other tests need.
        '{ name = "hears", engine = presets.engines.whisper,'
        ' variants = { { args = { "-t", "1" } } } },'
        f'{{ name = "speaks", engine = presets.engines.{voice}{still} }},'
    )
    if server:
        models += (
            '{ name = "whisper", engine = presets.engines.whisper,'
            f' variants = {{ {{ binary = "{server}",'
            f' args = {{ "-m", "{weights}", "-t", "1" }} }} }} }},'
        )
    if ESPEAK:
        models += '{ name = "robot", engine = presets.engines.espeak },'
    return lua_config(folder, models + more, "max_loaded_models = 6,")


def share_weights(weights: Path, folder: Path) -> None:
    """Let a gateway whose state is to be in ``folder`` use and make the weights in ``weights``."""
    state = folder / "state"
    state.mkdir(mode=0o700)
    (state / "speech").symlink_to(weights)


def decoded_seconds(sound: bytes) -> float:
    """Return how long a sound file plays that is decoded alone; it raises for one that is none."""
    import av  # noqa: PLC0415 - see above

    seconds = 0.0
    with av.open(io.BytesIO(sound), "r") as file:
        for frame in file.decode(file.streams.audio[0]):
            seconds += frame.samples / frame.sample_rate
    return seconds


def words(text: str) -> list[str]:
    """Return the words of a text, without case and marks."""
    return re.findall(r"[a-z0-9']+", text.lower())


def word_errors(said: str, heard: str) -> int:
    """Return how many words must change to make one text the other."""
    one, other = words(said), words(heard)
    row = list(range(len(other) + 1))
    for at, word in enumerate(one, 1):
        before, row[0] = row[0], at
        for place, heard_word in enumerate(other, 1):
            change = before + (word != heard_word)
            before, row[place] = row[place], min(change, row[place] + 1, row[place - 1] + 1)
    return row[-1]
