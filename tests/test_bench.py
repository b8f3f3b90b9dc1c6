"""The bench runs and produces every figure; what they are is not judged here."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from bench.main import FIGURES, percentile, ratio

ROOT = Path(__file__).resolve().parent.parent


def test_every_figure_is_produced(tmp_path: Path) -> None:
    written = tmp_path / "results.md"
    done = subprocess.run(
        [sys.executable, "-m", "bench.main", "--quick", "--write", str(written)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in written.read_text(encoding="utf-8").splitlines()
        if line.startswith("|")
    ]
    heading, _, *lines = rows
    gateway = heading.index("gateway")
    assert [line[0].partition(", ")[0] for line in lines] == [
        figure.name.partition(", ")[0] for figure in FIGURES
    ]
    for line in lines:
        assert re.fullmatch(r"[\d,]+(\.\d+)?", line[gateway]), line
        assert line[0] in done.stdout
    assert "Python" in written.read_text(encoding="utf-8")


def test_percentile() -> None:
    values = [4.0, 1.0, 3.0, 2.0]
    assert [percentile(values, share) for share in (0, 0.5, 0.99, 1)] == [1.0, 2.0, 4.0, 4.0]


def test_ratio_is_the_median_within_rounds() -> None:
    samples = {"direct": [1.0, 10.0, 1.0], "gateway": [2.0, 30.0, 4.0]}
    assert ratio(samples, "gateway", "direct") == "3.00"
    assert ratio(samples, "direct", "direct") == ratio(samples, "gateway", "none") == "-"
