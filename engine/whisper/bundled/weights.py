"""Convert the weights of Whisper from CTranslate2's format to whisper.cpp's, once.

Packages carry CTranslate2's; whisper.cpp reads ggml. Both hold the same matrices under other
names, and ggml also the filters of the spectrogram and the bytes of each token. The matrices are
written in ggml's Q8_0, blocks of 32 bytes that share a factor: a processor is a fifth quicker with
them than with half precision, the file is half as large, and sentences are heard the same.
"""

from __future__ import annotations

import contextlib
import json
import os
import struct
from typing import IO, TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

Arrays = dict[str, Any]

# Grows when the result changes, so that an older file is not used.
VERSION: Final = 2
_MAGIC: Final = 0x67676D6C
_KINDS: Final = ("float32", "int8", "int16", "int32", "float16")
_MELS: Final = 80
_HEAD: Final = 64
# Types of arrays in ggml, and of a file whose matrices are Q8_0, in the second version of it.
_SINGLE, _HALF, _EIGHT_BITS = 0, 1, 8
_FILE: Final = 2007
_BLOCK: Final = 32
_LARGEST: Final = 127
_PARTS: Final = ("query", "key", "value")
_PRINTED: Final = (*range(33, 127), *range(161, 173), *range(174, 256))


def converted(source: Path, cache: Path) -> Path:
    """Return the ggml file of the model in the folder ``source``; make it if it is missing.

    Those that an older version made of it are removed. Another process never sees a part of it.
    Raises OSError or ValueError.
    """
    weights = source / "model.bin"
    size = weights.stat().st_size
    target = cache / f"whisper-{size}-{VERSION}.bin"
    if target.exists():
        return target
    cache.mkdir(parents=True, exist_ok=True)
    part = target.with_suffix(f".{os.getpid()}.part")
    try:
        with weights.open("rb") as file:
            arrays = _read(file)
        vocabulary = json.loads((source / "tokenizer.json").read_text("utf-8"))["model"]["vocab"]
        with part.open("wb") as file:
            _write(file, arrays, vocabulary)
        part.replace(target)
        remove_older(target)
    finally:
        part.unlink(missing_ok=True)
    return target


def remove_older(target: Path) -> None:
    """Remove what older versions made of the same model, beside ``target``."""
    for each in target.parent.glob(f"{target.name.rpartition('-')[0]}-*.bin"):
        if each != target:
            # Another process may still read it; then it stays.
            with contextlib.suppress(OSError):
                each.unlink()


def _read(file: IO[bytes]) -> Arrays:
    """Return the arrays of CTranslate2's file by their names."""

    def number(form: str) -> int:
        (value,) = struct.unpack(f"<{form}", file.read(struct.calcsize(form)))
        return int(value)

    def text() -> str:
        return file.read(number("H"))[:-1].decode()

    number("I")
    text()
    number("I")
    arrays: Arrays = {}
    for _ in range(number("I")):
        name, rank = text(), number("B")
        shape = [number("I") for _ in range(rank)]
        kind, size = number("B"), number("I")
        if kind >= len(_KINDS):
            raise ValueError(f"{name} has an unknown type")
        arrays[name] = np.frombuffer(file.read(size), _KINDS[kind]).reshape(shape)
    for _ in range(number("I")):
        alias = text()
        arrays[alias] = arrays[text()]
    return arrays


def _write(file: IO[bytes], arrays: Arrays, vocabulary: dict[str, int]) -> None:
    positions = arrays["encoder/position_encodings/encodings"]
    decoded = arrays["decoder/position_encodings/encodings"]
    size = positions.shape[1]
    words = arrays["decoder/embeddings/weight"].shape[0]
    layers = [_layers(arrays, side) for side in ("encoder", "decoder")]
    heads = size // _HEAD
    heard = (positions.shape[0], size, heads, layers[0])
    said = (decoded.shape[0], size, heads, layers[1])
    file.write(struct.pack("<12i", _MAGIC, words, *heard, *said, _MELS, _FILE))
    filters = _mel_filters()
    file.write(struct.pack("<2i", *filters.shape) + filters.tobytes())
    tokens = _tokens(vocabulary)
    file.write(struct.pack("<i", len(tokens)))
    for token in tokens:
        file.write(struct.pack("<i", len(token)) + token)
    for name, array in _renamed(arrays, size, layers).items():
        _write_array(file, name, array)


def _write_array(file: IO[bytes], name: str, array: Any) -> None:  # noqa: ANN401 - numpy's array
    bias = name in ("encoder.conv1.bias", "encoder.conv2.bias")
    if bias:
        array = array.reshape(-1, 1)
    # whisper.cpp wants these, positions and all vectors in single precision, filters in half.
    if array.ndim == 1 or bias or name.endswith("positional_embedding"):
        kind, made = _SINGLE, array.astype(np.float32).tobytes()
    elif array.ndim > 2:  # noqa: PLR2004 - more than a matrix
        kind, made = _HALF, array.astype(np.float16).tobytes()
    else:
        kind, made = _EIGHT_BITS, eight_bits(array)
    raw = name.encode()
    file.write(struct.pack("<3i", array.ndim, len(raw), kind))
    file.write(struct.pack(f"<{array.ndim}i", *reversed(array.shape)) + raw + made)


def eight_bits(matrix: Any) -> bytes:  # noqa: ANN401 - numpy's array
    """Return a matrix in ggml's Q8_0: for each 32 numbers a factor, and their multiples of it.

    Raises ValueError if a row is no whole number of blocks.
    """
    if matrix.shape[-1] % _BLOCK:
        raise ValueError(f"a row of {matrix.shape[-1]} numbers is no whole number of blocks")
    blocks = matrix.astype(np.float32).reshape(-1, _BLOCK)
    factors = np.abs(blocks).max(axis=1) / _LARGEST
    made = np.empty(len(blocks), [("factor", "<f2"), ("multiples", "i1", _BLOCK)])
    made["factor"] = factors
    made["multiples"] = np.rint(blocks / np.where(factors, factors, 1)[:, None])
    data: bytes = made.tobytes()
    return data


def _layers(arrays: Arrays, side: str) -> int:
    return len(
        {
            name.split("/")[1]
            for name in arrays
            if name.startswith(f"{side}/layer_")
            and name.split("/")[1].removeprefix("layer_").isdigit()
        }
    )


def _renamed(arrays: Arrays, size: int, layers: list[int]) -> Arrays:
    """Return the arrays by whisper.cpp's names; matrices that were joined are cut apart."""
    names = _Renaming(arrays, size)
    names.made = {
        "encoder.positional_embedding": arrays["encoder/position_encodings/encodings"],
        "decoder.positional_embedding": arrays["decoder/position_encodings/encodings"],
        "decoder.token_embedding.weight": arrays["decoder/embeddings/weight"],
    }
    for each in ("conv1", "conv2"):
        names.linear(f"encoder.{each}", f"encoder/{each}")
    names.norm("encoder.ln_post", "encoder/layer_norm")
    names.norm("decoder.ln", "decoder/layer_norm")
    for at in range(layers[0]):
        names.layer(f"encoder.blocks.{at}", f"encoder/layer_{at}")
    for at in range(layers[1]):
        source, target = f"decoder/layer_{at}", f"decoder.blocks.{at}"
        names.layer(target, source)
        names.linear(f"{target}.cross_attn.query", f"{source}/attention/linear_0")
        names.cut(f"{target}.cross_attn", f"{source}/attention/linear_1", _PARTS[1:])
        names.linear(f"{target}.cross_attn.out", f"{source}/attention/linear_2")
        names.norm(f"{target}.cross_attn_ln", f"{source}/attention/layer_norm")
    return names.made


class _Renaming:
    """Collects arrays under their new names in ``made``."""

    def __init__(self, arrays: Arrays, size: int) -> None:
        self.made: Arrays = {}
        self._arrays = arrays
        self._size = size

    def linear(self, target: str, source: str) -> None:
        for part in ("weight", "bias"):
            if f"{source}/{part}" in self._arrays:
                self.made[f"{target}.{part}"] = self._arrays[f"{source}/{part}"]

    def norm(self, target: str, source: str) -> None:
        self.made[f"{target}.weight"] = self._arrays[f"{source}/gamma"]
        self.made[f"{target}.bias"] = self._arrays[f"{source}/beta"]

    def cut(self, target: str, source: str, parts: tuple[str, ...]) -> None:
        weight, bias = self._arrays[f"{source}/weight"], self._arrays[f"{source}/bias"]
        for at, part in enumerate(parts):
            rows = slice(at * self._size, (at + 1) * self._size)
            self.made[f"{target}.{part}.weight"] = weight[rows]
            if part != "key":  # Whisper's keys have no bias
                self.made[f"{target}.{part}.bias"] = bias[rows]

    def layer(self, target: str, source: str) -> None:
        self.cut(f"{target}.attn", f"{source}/self_attention/linear_0", _PARTS)
        self.linear(f"{target}.attn.out", f"{source}/self_attention/linear_1")
        self.norm(f"{target}.attn_ln", f"{source}/self_attention/layer_norm")
        self.linear(f"{target}.mlp.0", f"{source}/ffn/linear_0")
        self.linear(f"{target}.mlp.2", f"{source}/ffn/linear_1")
        self.norm(f"{target}.mlp_ln", f"{source}/ffn/layer_norm")


def _mel_filters() -> Any:  # noqa: ANN401 - numpy's array
    """Return the triangles of the mel scale over the bins of a spectrum of 400 samples.

    The scale is Slaney's: linear up to 1000 Hz, logarithmic above.
    """
    bins = np.fft.rfftfreq(400, 1 / 16000)
    step, corner = 200 / 3, 15.0
    mels = np.linspace(0, corner + np.log(8) / (np.log(6.4) / 27), _MELS + 2)
    edges = np.where(mels < corner, mels * step, 1000 * np.exp(np.log(6.4) / 27 * (mels - corner)))
    widths = np.diff(edges)
    slopes = edges[:, None] - bins[None, :]
    rising, falling = -slopes[:-2] / widths[:-1, None], slopes[2:] / widths[1:, None]
    filters = np.maximum(0, np.minimum(rising, falling))
    return (filters * (2 / (edges[2:] - edges[:-2]))[:, None]).astype(np.float32)


def _tokens(vocabulary: dict[str, int]) -> list[bytes]:
    """Return the bytes of each token of text, in order. Each printed letter stands for a byte."""
    letters = {chr(byte): byte for byte in _PRINTED}
    others = (byte for byte in range(256) if byte not in _PRINTED)
    letters |= {chr(256 + at): byte for at, byte in enumerate(others)}
    ordered = sorted(vocabulary, key=vocabulary.__getitem__)
    return [
        bytes(letters[letter] for letter in token)
        for token in ordered
        if not (token.startswith("<|") and token.endswith("|>"))
    ]
