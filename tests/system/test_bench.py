"""The bench runs and produces every figure; no test judges the figures."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import openai
import pytest
from paths import ROOT
from real_engines import ENGINES, MODEL, gateway, lua_config, lua_model
from tiny_models import PLAIN, write

from bench import carry, compare, trace
from bench.core import FIGURES, ratio
from bench.experts import with_experts
from bench.main import PARTS
from bench.main import part as module_of
from bench.report import merged, percentile


def tables(text: str) -> dict[str, list[list[str]]]:
    """The rows below each heading, without those that draw the table."""
    found: dict[str, list[list[str]]] = {}
    for line in text.splitlines():
        if line.startswith("## "):
            found[line.removeprefix("## ")] = []
        elif line.startswith("|") and not line.startswith("| ---"):
            cells = [cell.strip() for cell in line.strip("|").split("|")]
            found[list(found)[-1]].append(cells)
    return found


@pytest.fixture(scope="session")
def quick_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model with SmolLM2's tokenizer and template, a hundred times faster."""
    return write(PLAIN, tmp_path_factory.mktemp("model") / "quick.gguf")


@pytest.mark.timeout(300)
@pytest.mark.parametrize("part", PARTS)
def test_every_figure_is_produced(part: str, quick_model: Path, tmp_path: Path) -> None:
    written = tmp_path / "results.md"
    done = subprocess.run(
        [sys.executable, "-m", "bench.main", "--quick", "--parts", part, "--write", str(written)],
        cwd=ROOT,
        env=os.environ | {"BENCH_MODEL": str(quick_model)},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    text = written.read_text(encoding="utf-8")
    assert text.count("CPython") == 1
    [(title, (heading, *lines))] = tables(text).items()
    assert title == module_of(part).HEADING
    if part == "core":
        gateway = heading.index("gateway")
        assert [line[0].partition(", ")[0] for line in lines] == [
            figure.name.partition(", ")[0] for figure in FIGURES
        ]
        assert all(re.fullmatch(r"[\d,]+(\.\d+)?", line[gateway]) for line in lines), lines
    elif part != "frame":
        assert len(lines) >= 3
        for name, *figures in lines:
            assert name in done.stdout
            for figure in figures:
                assert re.fullmatch(r"[\d,]+(\.\d+)?|-|([≤≥] .+)?", figure), figures
    if part == "carry":
        drawn = ET.parse(tmp_path / carry.PICTURE)
        assert "turn" in {element.text for element in drawn.iter()}


def test_parts_that_were_not_measured_stay_as_they_are() -> None:
    before = merged("", {"a": "old\n", "b": "old\n"})
    after = merged(before, {"b": "new\n", "c": "new\n"})
    assert after == merged("", {"a": "old", "b": "new", "c": "new"})
    assert "## a\n\nold\n\n## b\n\nnew\n\n## c\n\nnew\n" in after


def test_the_trace_is_what_its_seed_makes() -> None:
    assert trace.recorded() == trace.made(trace.SEED)


def test_percentile() -> None:
    values = [4.0, 1.0, 3.0, 2.0]
    assert [percentile(values, share) for share in (0, 0.5, 0.99, 1)] == [1.0, 2.0, 4.0, 4.0]


def test_ratio_is_the_median_within_rounds() -> None:
    samples = {"direct": [1.0, 10.0, 1.0], "gateway": [2.0, 30.0, 4.0]}
    assert ratio(samples, "gateway", "direct") == "3.00"
    assert ratio(samples, "direct", "direct") == ratio(samples, "gateway", "none") == "-"


def test_a_model_with_experts_says_what_it_was_made_of(tmp_path: Path) -> None:
    large = tmp_path / "large.gguf"
    with_experts(Path(MODEL), large, 2)
    assert large.stat().st_size > 1.4 * Path(MODEL).stat().st_size
    engine = list(ENGINES.values())[-1]
    models = lua_model("dense", engine, (512,)), lua_model("experts", engine, (512,))
    config = lua_config(tmp_path, ", ".join((models[0], models[1].replace(MODEL, str(large)))))
    with (
        gateway(tmp_path, config) as served,
        openai.OpenAI(base_url=f"{served.url}/v1", api_key="none") as api,
    ):
        said = [
            api.chat.completions.create(
                model=model,
                messages=[{"role": "user", "content": "Say hi."}],
                max_tokens=8,
                temperature=0,
            )
            for model in ("dense", "experts")
        ]
    assert said[0].choices[0].message.content == said[1].choices[0].message.content != ""


def test_what_is_no_model_gets_no_experts(tmp_path: Path) -> None:
    (tmp_path / "m.gguf").write_bytes(b"nothing of the kind")
    with pytest.raises(ValueError, match="is not a GGUF file"):
        with_experts(tmp_path / "m.gguf", tmp_path / "large.gguf", 2)


@pytest.mark.timeout(120)
def test_checkouts_are_compared(capsys: pytest.CaptureFixture[str]) -> None:
    assert compare.main([f"this={ROOT}", "--rounds", "1", "--seconds", "0.2"]) == 0
    [(_, [heading, *lines])] = tables("## x\n" + capsys.readouterr().out).items()
    assert heading[1:] == ["passthrough", "this"]
    assert [line[0] for line in lines] == list(compare.FIGURES)
    figure = r"[\d,]+(\.\d+)?"
    for line in lines:
        assert all(re.fullmatch(rf"{figure} \({figure}\)", cell) for cell in line[1:]), line
