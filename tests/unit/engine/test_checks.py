"""What is wrong with variants, and how it is told."""

from __future__ import annotations

import pytest
from builders import variant

from engine.base import EngineType, Finding
from engine.checks import absent, examined, misaddressed
from engine.llamacpp.type import LlamaCpp
from engine.types import EngineTypes
from models.catalog import Catalog
from models.spec import ModelSpec, VariantSpec

LLAMACPP = EngineTypes([LlamaCpp()])


def catalog(*variants: VariantSpec, connect: str | None = None) -> Catalog:
    return Catalog([ModelSpec("m", variants, connect=connect)])


@pytest.mark.parametrize("port", ["0", "99999", "65536", "-1", "http", ""])
def test_a_port_that_does_not_exist(port: str) -> None:
    for one in (variant(512, args=("--port", port)), variant(512, env={"LLAMA_ARG_PORT": port})):
        [fault] = misaddressed(catalog(variant(256), one), LLAMACPP) or ["none: "]
        if port:
            assert fault == (
                f"m@512: the engine would listen at http://127.0.0.1:{port};"
                " expected a port from 1 to 65535"
            )


@pytest.mark.parametrize("port", ["1", "65535"])
def test_a_port_that_does(port: str) -> None:
    assert misaddressed(catalog(variant(512, args=("--port", port))), LLAMACPP) == []
    assert misaddressed(catalog(variant(512), connect="http://other:80"), LLAMACPP) == []


class Doubtful(LlamaCpp):
    def checks(self, variant: VariantSpec) -> list[Finding]:
        if variant.context == 256:
            return []
        return [Finding("args", "odd"), Finding("binary", "no engine", fatal=True)]


def test_what_a_type_finds_is_told_with_its_place() -> None:
    types: list[EngineType] = [Doubtful()]
    found = examined(catalog(variant(256), variant(512)), EngineTypes(types))
    assert found.faults == ["m@512.binary: no engine"]
    assert found.warnings == ["m@512.args: odd"]


class Needy(LlamaCpp):
    def missing(self, variant: VariantSpec) -> str:
        return "run ./init.sh speech" if variant.context == 256 else ""


def test_what_is_not_installed_is_told_at_the_start() -> None:
    types: list[EngineType] = [Needy()]
    found = absent(catalog(variant(256), variant(512)), EngineTypes(types))
    assert found == ["m@256 cannot start: run ./init.sh speech"]
