"""web/vendor.lock: what other people wrote is what the lock says, without a look at a registry."""

from __future__ import annotations

import hashlib
import json

from paths import ROOT

LOCK = json.loads((ROOT / "web" / "vendor.lock").read_text(encoding="utf-8"))
VENDOR = ROOT / "web" / "static" / "vendor"
LICENCES = {"MIT", "Apache-2.0", "BSD-3-Clause", "(MPL-2.0 OR Apache-2.0)"}


def test_every_file_has_the_sum_in_the_lock() -> None:
    found = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in VENDOR.iterdir()}
    assert found == LOCK["files"]


def test_every_package_is_locked_whole_and_may_be_passed_on() -> None:
    for package in LOCK["packages"]:
        assert set(package) == {"name", "version", "licence", "integrity"}
        assert package["integrity"].startswith("sha512-")
        assert package["licence"] in LICENCES


def test_every_licence_is_there() -> None:
    text = (VENDOR / "LICENSES.txt").read_text(encoding="utf-8")
    shipped = {package["name"] for package in LOCK["packages"]} - {"esbuild-wasm"}
    assert {name for name in shipped if f"---- {name} ----" in text} == shipped
