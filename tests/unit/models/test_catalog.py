"""Models under every name that a client may use."""

from __future__ import annotations

from math import inf
from typing import Any

import pytest
from builders import model
from hypothesis import given
from hypothesis import strategies as st

from models.catalog import Catalog
from models.downloads.reference import ON_REQUEST, Missing, wanted
from models.requests.endpoints import CHAT
from models.routing.needed import RouteNeeded
from models.spec import GroupSpec, ModelSpec, Timeouts, TokenizationSpec, VariantSpec
from utils.config.settings import ServerSettings
from utils.errors import BadRequest, ModelMissing, ModelNotFound

Table = dict[str, Any]
SMALL: Table = {"binary": "/bin/sh", "context": 512}
SETTINGS = ServerSettings(
    health_check_timeout=1.0,
    engine_startup_timeout=2.0,
    engine_idle_timeout=3.0,
    engine_stop_timeout=4.0,
    stall_timeout=5.0,
)


def catalog(*models: Table, default: str | None = None) -> Catalog:
    return Catalog.from_tables(models, ServerSettings(default_model=default))


def named(name: str, *aliases: str) -> Table:
    return {"name": name, "aliases": list(aliases), "variants": [SMALL]}


def test_a_model_with_nothing_but_the_necessary() -> None:
    (model,) = Catalog.from_tables([{"name": "a", "variants": [SMALL]}], SETTINGS).models
    times = Timeouts(health_check=1.0, startup=2.0, idle=3.0, stop=4.0, stall=5.0)
    assert model == ModelSpec(
        name="a",
        variants=(
            VariantSpec(
                "a",
                context=512,
                binary="/bin/sh",
                timeouts=times,
                state_carry=True,
                engine="llamacpp",
            ),
        ),
        grow_answers=True,
    )


def test_a_model_with_everything() -> None:
    table: Table = {
        "name": "a",
        "aliases": ["b", "c"],
        "engine": "llamacpp",
        "connect": "http://127.0.0.1:8080",
        "group": "g",
        "pinned": True,
        "tokenization": {
            "binary": "/bin/llama-tokenize",
            "extra_args": ["-m", "x.gguf"],
            "extra_tokens_per_message": 1,
            "extra_tokens_per_request": 2,
            "extra_tokens_per_image": 3,
            "extra_tokens_per_audio": 5,
            "default_max_tokens": 4,
            "max_reserved_tokens": 6,
        },
        "variants": [
            {
                **SMALL,
                "needs": {"gpu0": 5},
                "args": ["-c", "512"],
                "env": [{"name": "a.b", "value": "c"}],
            },
        ],
    }
    (model,) = Catalog.from_tables([table], SETTINGS).models
    assert model.aliases == ("b", "c")
    assert model.connect == "http://127.0.0.1:8080"
    assert model.group == "g"
    assert model.pinned
    assert model.tokenization == TokenizationSpec(
        binary="/bin/llama-tokenize",
        extra_args=("-m", "x.gguf"),
        extra_tokens_per_message=1,
        extra_tokens_per_request=2,
        extra_tokens_per_image=3,
        extra_tokens_per_audio=5,
        default_max_tokens=4,
        max_reserved_tokens=6,
    )
    (variant,) = model.variants
    assert variant.args == ("-c", "512")
    assert variant.needs == {"gpu0": 5}
    assert dict(variant.env) == {"a.b": "c"}


def test_groups_with_and_without_settings() -> None:
    groups: list[Table] = [{"name": "g", "persistent": True}, {"name": "h"}]
    found = Catalog.from_tables([{"name": "a", "variants": [SMALL]}], SETTINGS, groups)
    assert found.groups == (GroupSpec("g", persistent=True), GroupSpec("h"))


def test_times_cascade_from_variant_over_model_to_server() -> None:
    table: Table = {
        "name": "a",
        "engine_idle_timeout": 30,
        "engine_stop_timeout": 40,
        "variants": [
            {**SMALL, "engine_stop_timeout": 400, "stall_timeout": 0},
            {**SMALL, "context": 1024, "health_check_timeout": 100, "engine_startup_timeout": 0.5},
        ],
    }
    (model,) = Catalog.from_tables([table, named("b")], SETTINGS).models[:1]
    assert [variant.timeouts for variant in model.variants] == [
        Timeouts(health_check=1.0, startup=2.0, idle=30.0, stop=400.0, stall=0.0),
        Timeouts(health_check=100.0, startup=0.5, idle=30.0, stop=40.0, stall=5.0),
    ]


def test_an_engine_that_stays_loaded() -> None:
    table: Table = {"name": "a", "engine_idle_timeout": "never", "variants": [SMALL]}
    assert catalog(table).models[0].variants[0].timeouts.idle == inf
    table["variants"] = [{**SMALL, "engine_idle_timeout": 5}]
    assert catalog(table).models[0].variants[0].timeouts.idle == 5.0


@given(contexts=st.lists(st.integers(1, 2**20), min_size=1, max_size=8, unique=True))
def test_variants_stand_in_ascending_context(contexts: list[int]) -> None:
    table: Table = {
        "name": "a",
        "variants": [{"binary": "/bin/sh", "context": context} for context in contexts],
    }
    (model,) = catalog(table).models
    assert [variant.context for variant in model.variants] == sorted(contexts)


def test_models_keep_the_order_of_the_file() -> None:
    assert [model.name for model in catalog(named("z"), named("a")).models] == ["z", "a"]


def test_a_model_is_found_by_name_and_alias() -> None:
    both = catalog(named("a", "x", "y"), named("b"))
    assert both.find("a") is both.find("x") is both.find("y") is both.models[0]
    assert both.find("b") is both.models[1]
    assert "x" in both
    assert "z" not in both


def test_the_tag_of_a_name_without_one_is_ignored() -> None:
    tagged = catalog(named("a", "x", "x:latest"), named("b", "c:latest"))
    assert tagged.find("a:latest") is tagged.find("x:latest") is tagged.models[0]
    assert "a:latest" in tagged
    for unknown in ("c", "a:latest:latest", "a:new", ":latest"):
        assert unknown not in tagged
        with pytest.raises(ModelNotFound):
            tagged.find(unknown)


@pytest.mark.parametrize("nothing", [None, ""])
def test_an_only_model_needs_no_name(nothing: str | None) -> None:
    only = catalog(named("a", "x"))
    assert only.default == "a"
    assert only.find(nothing) is only.models[0]


@pytest.mark.parametrize("nothing", [None, ""])
def test_the_default_may_be_given_by_alias(nothing: str | None) -> None:
    both = catalog(named("a"), named("b", "x"), default="x")
    assert both.default == "b"
    assert both.find(nothing) is both.models[1]


@pytest.mark.parametrize("nothing", [None, ""])
def test_several_models_without_a_default_need_a_name(nothing: str | None) -> None:
    both = catalog(named("a", "x"), named("b"))
    assert both.default is None
    with pytest.raises(BadRequest, match=r"Available models: a \(also x\), b\.") as caught:
        both.find(nothing)
    assert caught.value.param == "model"


@pytest.mark.parametrize("name", ["c", "A", "a ", "default"])
def test_an_unknown_model_is_told_what_exists(name: str) -> None:
    with pytest.raises(ModelNotFound, match=r"does not exist.*: a, b\.") as caught:
        catalog(named("a"), named("b"), default="a").find(name)
    assert caught.value.param == "model"


def test_nothing_can_be_changed() -> None:
    (variant,) = catalog(named("a")).find("a").variants
    with pytest.raises(TypeError):
        variant.env["A"] = "b"  # type: ignore[index] # mypy refuses it, too
    with pytest.raises(AttributeError):
        catalog(named("a")).extra = 1  # type: ignore[attr-defined] # mypy refuses it, too


def test_a_request_without_a_certain_model_needs_a_route() -> None:
    routes = [{"name": "fast", "to": ["a"]}]
    several = Catalog.from_tables([named("a", "b"), named("c")], SETTINGS, (), routes)
    request: Table = {"model": "fast"}

    def asked(name: str | None, known: Catalog = several) -> str | None:
        try:
            return known.asked(CHAT, request, name).name
        except RouteNeeded as needed:
            assert (needed.endpoint, needed.request) == (CHAT, request)
            return f"route {needed.name}"

    wanted = ["a", "b:latest", "fast", "fast:latest", "auto", None]
    assert [asked(name) for name in wanted] == [
        "a",
        "a",
        "route fast",
        "route fast",
        "route auto",
        "route None",
    ]
    assert asked(None, catalog(named("a"))) == "a"
    assert asked("auto", catalog(named("auto"), named("b"))) == "auto"
    default = ServerSettings(default_model="fast")
    assert asked(None, Catalog.from_tables([named("a")], default, (), routes)) == "route fast"
    with pytest.raises(ModelNotFound):
        asked("x")
    with pytest.raises(BadRequest, match="stands for several, and this needs a model"):
        several.find("fast")
    assert "fast" in several
    assert not several.has_model("fast")


def test_a_model_that_is_not_on_this_machine_is_told_apart_from_an_unknown_one() -> None:
    missing = Missing("big", wanted("org/big:Q8_0"), ON_REQUEST, ("large",))
    found = Catalog([model()], missing=[missing])
    assert found.missing == {"big": missing, "large": missing}
    for name in ("big", "large:latest"):
        with pytest.raises(ModelMissing, match=r"can fetch it: models pull org/big:Q8_0") as caught:
            found.find(name)
        assert caught.value.model == name.removesuffix(":latest")
        assert not caught.value.stream
    with pytest.raises(ModelMissing) as caught:
        found.asked(CHAT, {"stream": True}, "big")
    assert caught.value.stream
    # What is there goes over what is not.
    assert Catalog([model()], missing=[Missing("m", wanted("org/m"))]).missing == {}


def test_an_error_does_not_name_thousands_of_models() -> None:
    many = Catalog([model(name=f"m{number}") for number in range(1000)])
    with pytest.raises(ModelNotFound, match=r"m99 and 900 more\.") as caught:
        many.find("other")
    assert len(caught.value.message) < 1000
