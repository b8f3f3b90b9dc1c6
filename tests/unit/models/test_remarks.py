"""Remarks about valid configurations that are probably a mistake."""

from __future__ import annotations

from builders import model

from models.catalog import Catalog
from models.remarks import remarks
from utils.config.settings import ServerSettings


def test_a_group_has_no_effect_while_one_engine_runs_at_a_time() -> None:
    catalog = Catalog([model(), model(name="a", group="g"), model(name="b", group="h")])
    assert remarks(ServerSettings(), catalog) == [
        "group (of a, b): no effect while server.max_loaded_models is 1: one engine runs at a time"
    ]
    assert remarks(ServerSettings(max_loaded_models=2), catalog) == []


def test_without_groups_there_is_nothing_to_say() -> None:
    assert remarks(ServerSettings(), Catalog([model()])) == []
