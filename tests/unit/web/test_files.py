"""web/files.py: the files in memory, under one hash."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING

from web.files import imports_of, read_files

if TYPE_CHECKING:
    from pathlib import Path

FRAME = "<head>\n{page}\n{preloads}\n</head>\n"
PAGE = (
    '<link href="{assets}/home/home.css">\n'
    '<script type="module" src="{assets}/home/home.js"></script>\n'
)
MODULES = {
    "home/home.js": 'import { a } from "../lib/a.js";\nimport "./own.js";\n',
    "home/own.js": 'const lazy = () => import("../lib/lazy.js");\n',
    "lib/a.js": 'export { b } from "./b.js";\n',
    "lib/b.js": 'import { a } from "./a.js";\n',
    "lib/lazy.js": "",
}


def written(folder: Path, more: str = "") -> Path:
    pages = {"frame.html": FRAME, "home/index.html": PAGE}
    files = {**pages, "home/home.css": f"p{{}}{more}", **MODULES}
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def test_pages_name_assets_below_the_hash_and_preload_what_modules_import(tmp_path: Path) -> None:
    files = read_files(written(tmp_path))
    base = f"/assets/{files.digest}"
    assert set(files.pages) == {"home/index.html"}
    page = files.pages["home/index.html"]
    assert page.body.decode() == (
        "<head>\n"
        f'<link href="{base}/home/home.css">\n'
        f'<script type="module" src="{base}/home/home.js"></script>\n'
        f'<link rel="modulepreload" href="{base}/lib/a.js">\n'
        f'<link rel="modulepreload" href="{base}/home/own.js">\n'
        f'<link rel="modulepreload" href="{base}/lib/b.js">\n'
        "</head>\n"
    )
    assert gzip.decompress(page.packed) == page.body
    assert page.kind == "text/html; charset=utf-8"
    assert set(files.assets) == {"home/home.css", *MODULES}
    assert files.assets["lib/a.js"].kind == "text/javascript; charset=utf-8"


def test_any_change_changes_the_hash(tmp_path: Path) -> None:
    before = read_files(written(tmp_path)).digest
    assert read_files(written(tmp_path)).digest == before
    assert read_files(written(tmp_path, more="a{}")).digest != before


def test_imports_are_found_once_and_lazy_ones_are_not() -> None:
    found = {name: text.encode() for name, text in MODULES.items()}
    assert imports_of("home/home.js", found) == ["lib/a.js", "home/own.js", "lib/b.js"]
