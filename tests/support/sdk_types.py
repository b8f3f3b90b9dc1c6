"""Types of an official library, without the rest of the library.

``import anthropic.types`` runs three thousand files for a second; the type of a stream needs a
twentieth of them. So the files that gather all others in a package are left out.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from types import ModuleType
from typing import Any


def sdk_type(module: str, name: str) -> Any:
    """Return what has this name in the module. A test may import the whole library all the same.

    Raises ImportError if there is no such module.
    """
    packages = module.split(".")[:-1]
    bare = []
    for count in range(1, len(packages) + 1):
        package = ".".join(packages[:count])
        if package not in sys.modules:
            bare.append(package)
            sys.modules[package] = _bare(package, packages[:count])
    try:
        return getattr(importlib.import_module(module), name)
    finally:
        # The next who asks for the package itself gets it as it is meant to be.
        for package in bare:
            del sys.modules[package]


def _bare(package: str, path: list[str]) -> ModuleType:
    """Return the package without what its own file imports."""
    spec = importlib.util.find_spec(path[0]) if len(path) == 1 else None
    places = spec.submodule_search_locations if spec else None
    if len(path) > 1:
        places = [f"{place}/{path[-1]}" for place in sys.modules[".".join(path[:-1])].__path__]
    if places is None:
        raise ImportError(f"there is no package {package}")
    made = ModuleType(package)
    made.__path__ = [*places]
    return made
