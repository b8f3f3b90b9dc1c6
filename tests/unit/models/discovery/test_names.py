"""models/discovery/names.py: the same files have the same names, in any order."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from models.discovery.file_name import file_name
from models.discovery.found import FoundModel
from models.discovery.listing import File
from models.discovery.names import Names, names_of
from models.discovery.origins import Origin

if TYPE_CHECKING:
    from random import Random


def found(path: str, repo: str = "", title: str = "") -> FoundModel:
    inside = path.removeprefix("/m/")
    file = File(path, inside, 100, 1, hash(path), 0)
    inside = inside.rpartition("/")[2] if repo else inside
    origin = Origin("folder", "/m", file, inside, "/m", repo, title=title)
    return FoundModel(origin, file_name(file.name), (file,))


def named(*models: FoundModel, taken: tuple[str, ...] = ()) -> dict[str, tuple[str, ...]]:
    told = names_of(models, taken)
    return dict(zip(told.names, told.aliases, strict=True))


def test_a_model_of_a_repository_is_named_by_it() -> None:
    assert named(found("/m/x/Qwen3-8B-Q4_K_M.gguf", "org/Qwen3-8B-GGUF")) == {
        "org/Qwen3-8B-GGUF:Q4_K_M": (
            "Qwen3-8B-Q4_K_M",
            "Qwen3-8B-Q4_K_M.gguf",
            "org/Qwen3-8B-GGUF",
        )
    }


def test_without_a_quantisation_by_its_stem() -> None:
    assert [*named(found("/m/x/model.gguf", "org/r"))] == ["org/r:model"]


def test_another_model_is_named_by_its_stem() -> None:
    assert named(found("/m/x/own.gguf")) == {"own": ("own.gguf",)}


def test_a_name_of_the_store_counts() -> None:
    assert named(found("/m/blobs/sha256-ab", title="llama3:8b")) == {"llama3:8b": ()}
    assert named(found("/m/blobs/sha256-ab", "org/r", "org/r:Q4")) == {"org/r:Q4": ("org/r",)}


def test_the_repository_alone_means_the_usual_quantisation() -> None:
    files = [found(f"/m/x/m-{q}.gguf", "org/r") for q in ("BF16", "Q8_0", "Q4_K_M", "Q2_K")]
    assert "org/r" in named(*files)["org/r:Q4_K_M"]
    assert "org/r" in named(*files[:2])["org/r:Q8_0"]
    assert "org/r" in named(files[3], files[0])["org/r:BF16"]


def test_two_files_with_one_name_are_both_named_by_folder() -> None:
    told = named(found("/m/a/x.gguf"), found("/m/b/x.gguf"), found("/m/y.gguf"))
    assert [*told] == ["a/x", "b/x", "y"]
    # Neither may be asked for by the name that both would have.
    assert not any("x" in aliases for aliases in told.values())


def test_with_as_many_folders_as_it_takes() -> None:
    told = named(found("/m/1/s/x.gguf"), found("/m/2/s/x.gguf"), found("/m/3/x.gguf"))
    assert [*told] == ["1/s/x", "2/s/x", "3/x"]


def test_two_models_of_a_repository_with_one_quantisation() -> None:
    told = named(found("/m/x/a-Q4_0.gguf", "org/r"), found("/m/x/b-Q4_0.gguf", "org/r"))
    assert [*told] == ["org/r/a-Q4_0", "org/r/b-Q4_0"]


def test_a_taken_name_is_left_to_whom_it_belongs() -> None:
    told = named(found("/m/a/x.gguf"), found("/m/b/y.gguf"), taken=("x", "y.gguf"))
    assert told == {"a/x": ("x.gguf",), "y": ()}


def test_an_ambiguous_alias_is_dropped_and_told() -> None:
    told = names_of([found("/m/x/m-Q4_0.gguf", "a/r"), found("/m/y/m-Q4_0.gguf", "b/r")])
    assert told.names == ("a/r:Q4_0", "b/r:Q4_0")
    assert told.aliases == (("a/r",), ("b/r",))
    assert told.ambiguous == dict.fromkeys(("m-Q4_0", "m-Q4_0.gguf"), ("a/r:Q4_0", "b/r:Q4_0"))


def test_the_names_of_copies_become_aliases() -> None:
    model, copy = found("/m/x.gguf"), found("/n/x-Q4_0.gguf", "org/r")
    told = names_of([model], (), [[copy]])
    assert told.names == ("x",)
    assert told.aliases == (("x.gguf", "org/r:Q4_0", "x-Q4_0", "x-Q4_0.gguf"),)


PATHS = st.lists(
    st.tuples(
        st.sampled_from(["a", "b", "a/b", "b/a"]),
        st.sampled_from(["x.gguf", "x-Q4_0.gguf", "y-Q4_0.gguf", "y-Q8_0.gguf"]),
        st.sampled_from(["", "org/r", "org/s"]),
    ),
    unique_by=lambda each: each[:2],
    max_size=8,
)


@given(PATHS, st.randoms(use_true_random=False), st.sets(st.sampled_from(["x", "org/r:Q4_0"])))
def test_names_depend_on_no_order_and_are_unique(
    paths: list[tuple[str, str, str]], random: Random, taken: set[str]
) -> None:
    models = [found(f"/m/{folder}/{name}", repo) for folder, name, repo in paths]
    told = by_path(models, names_of(models, taken))
    random.shuffle(models)
    again = names_of(models, taken)
    assert by_path(models, again) == told
    every = [*again.names, *(alias for aliases in again.aliases for alias in aliases)]
    assert len(every) == len({*every})
    assert not taken & {*every}


def by_path(models: list[FoundModel], told: Names) -> dict[str, tuple[str, frozenset[str]]]:
    both = zip(told.names, told.aliases, strict=True)
    return {
        model.origin.file.path: (name, frozenset(aliases))
        for model, (name, aliases) in zip(models, both, strict=True)
    }
