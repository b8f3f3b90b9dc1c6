"""engine/remote/type.py: a server that is asked, and never started."""

from __future__ import annotations

from builders import TYPES, model, variant

from engine.remote.type import Remote
from engine.scheduling.policy import limits_of
from engine.types import EngineTypes
from models.catalog import Catalog
from models.spec import ModelSpec
from utils.config.settings import ServerSettings

FAR = variant(None, "far", engine="remote", url="https://api.example.com/v1", name="default")


def test_it_is_where_its_url_says_and_nothing_starts_it() -> None:
    assert Remote().address(FAR, None) == FAR.url
    Remote().launch(FAR, FAR.url, {})
    assert Remote().client(FAR, FAR.url).url == "https://api.example.com"


def test_it_takes_no_room_here() -> None:
    types = EngineTypes([TYPES.of(variant()), Remote()])
    limits = limits_of(Catalog([model(), ModelSpec("far", (FAR,))]), ServerSettings(), types)
    assert limits.elsewhere == {"far"}
