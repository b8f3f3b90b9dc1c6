"""Remarks about valid configurations that are probably a mistake."""

from __future__ import annotations

from builders import model

from models.catalog import Catalog
from models.remarks import faults_of_preload, remarks
from utils.config.settings import ServerSettings


def test_a_group_has_no_effect_while_one_engine_runs_at_a_time() -> None:
    catalog = Catalog([model(), model(name="a", group="g"), model(name="b", group="h")])
    assert remarks(ServerSettings(), catalog) == [
        "group (of a, b): no effect while server.max_loaded_models is 1: one engine runs at a time"
    ]
    assert remarks(ServerSettings(max_loaded_models=2), catalog) == []


def test_what_is_preloaded_exists_and_fits() -> None:
    catalog = Catalog([model(aliases=("n",)), model(name="a"), model(name="b")])

    def faults(*names: str, most: int = 1) -> list[str]:
        return faults_of_preload(catalog, ServerSettings(preload=names, max_loaded_models=most))

    assert faults("m", "n") == []
    assert faults("x") == ['server.preload: no model has the name "x"']
    assert faults("a", "b") == ["server.preload: 2 models, but server.max_loaded_models is 1"]
    assert faults("a", "b", most=2) == []


def test_without_groups_there_is_nothing_to_say() -> None:
    assert remarks(ServerSettings(), Catalog([model()])) == []
