"""docs/architecture.md: its files exist, and its picture shows the imports as they are."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

from paths import ROOT
from rooms_script import rooms

PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")


def test_the_picture_is_made_from_the_imports_of_now() -> None:
    drawn = (ROOT / "docs" / "rooms.svg").read_text(encoding="utf-8")
    assert drawn == rooms().picture(), "python docs/rooms.py draws it anew"
    ET.fromstring(drawn)


def test_every_room_is_in_the_table() -> None:
    found = rooms().imports(rooms().files())
    parents = {"inference/continuation", "server/admin", "server/uploads", "utils/config"}
    named = {room for room in found if room not in parents and room.count("/") < 2}
    missing = [room for room in named if f"`{room}/`" not in PAGE and f"`{room}`" not in PAGE]
    assert not missing


def test_every_file_that_is_named_exists() -> None:
    named = re.findall(r"`((?:server|inference|engine|models|utils|tests)/[\w/]*(?:\.py)?)`", PAGE)
    assert named
    assert not [path for path in named if not (ROOT / path).exists()]


def test_an_arrow_that_others_imply_is_not_drawn() -> None:
    graph = {"a": {"b", "c"}, "b": {"c"}, "c": set(), "d": {"c"}}
    assert rooms().reduced(graph) == {"a": {"b"}, "b": {"c"}, "c": set(), "d": {"c"}}
