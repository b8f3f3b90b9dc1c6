"""The weights as whisper.cpp reads them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from engine.whisper.bundled.weights import eight_bits, remove_older

if TYPE_CHECKING:
    from pathlib import Path


def numbers_of(data: bytes, shape: tuple[int, int]) -> np.ndarray:
    """Return the matrix in Q8_0: a factor of two bytes and 32 multiples of it for each block."""
    blocks = np.frombuffer(data, [("factor", "<f2"), ("multiples", "i1", 32)])
    found: np.ndarray = blocks["factor"].astype(np.float32)[:, None] * blocks["multiples"]
    return found.reshape(shape)


def test_a_matrix_in_eight_bits_is_nearly_the_same() -> None:
    matrix = np.random.default_rng(1).normal(0, 0.05, (6, 96)).astype(np.float16)
    matrix[2, 32:64] = 0
    data = eight_bits(matrix)
    assert len(data) == matrix.size // 32 * 34
    largest = np.abs(matrix.astype(np.float32)).reshape(-1, 32).max(axis=1)
    away = np.abs(numbers_of(data, matrix.shape) - matrix).reshape(-1, 32).max(axis=1)
    # Half a step, and what the factor loses in two bytes.
    assert (away <= largest * (0.5 / 127 + 0.001)).all()
    assert not numbers_of(data, matrix.shape)[2, 32:64].any()


def test_rows_that_are_no_whole_blocks_are_refused() -> None:
    with pytest.raises(ValueError, match="a row of 33 numbers"):
        eight_bits(np.zeros((2, 33), np.float16))


def test_what_older_versions_made_of_a_model_is_removed(tmp_path: Path) -> None:
    for name in ("whisper-5-1.bin", "whisper-5-2.bin", "whisper-6-1.bin", "own.bin"):
        (tmp_path / name).touch()
    (tmp_path / "whisper-5-0.bin").mkdir()  # it cannot be removed as a file
    remove_older(tmp_path / "whisper-5-2.bin")
    left = ["own.bin", "whisper-5-0.bin", "whisper-5-2.bin", "whisper-6-1.bin"]
    assert sorted(each.name for each in tmp_path.iterdir()) == left
