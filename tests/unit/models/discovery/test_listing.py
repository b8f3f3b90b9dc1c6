"""models/discovery/listing.py: a file as it is found."""

from __future__ import annotations

from models.discovery.listing import File, Listing
from models.discovery.stores import FOLDER, Store


def test_a_file_tells_its_folder_name_and_identity() -> None:
    file = File("/m/a/b.gguf", "a/b.gguf", 100, 1, 2, 3)
    assert (file.folder, file.name, file.identity) == ("a", "b.gguf", (1, 2))
    assert File("/m/b.gguf", "b.gguf", 100, 1, 2, 3).folder == ""


def test_a_listing_is_complete_if_nothing_says_otherwise() -> None:
    assert Listing(Store(FOLDER, "/m")).problem == ""
