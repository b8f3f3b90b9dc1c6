"""engine/llamacpp/shortage.py: last words of engines that ran out of memory, and of others."""

from __future__ import annotations

import pytest

from engine.llamacpp.shortage import Shortage, shortage

CAUSES = {
    "ggml_backend_cuda_buffer_type_alloc_buffer: allocating 18000.00 MiB on device 1:"
    " cudaMalloc failed: out of memory": "gpu1",
    "CUDA error: out of memory": "gpu0",
    "ROCm error: out of memory": "gpu0",
    "llama_model_load: error loading model: unable to allocate CUDA0 buffer": "gpu0",
    "llama_model_load: error loading model: unable to allocate CUDA_Host buffer": "ram",
    "ggml_gallocr_reserve_n_impl: failed to allocate Vulkan1 buffer of size 99999": "gpu1",
    "ggml_vulkan: Device memory allocation of size 4294967296 failed.": "gpu0",
    "llama_model_load: error loading model: vk::Device::allocateMemory:"
    " ErrorOutOfDeviceMemory": "gpu0",
    "ggml_metal_buffer_init: error: failed to allocate buffer, size = 8192.00 MiB": "gpu0",
    "ggml_backend_metal_buffer_type_alloc_buffer: failed to allocate Metal buffer of 99 bytes"
    " (out of memory)": "gpu0",
    "Insufficient Memory (00000008:kIOGPUCommandBufferCallbackErrorOutOfMemory)": "gpu0",
    "0.00.113.526 E ggml_aligned_malloc: insufficient memory (attempted to allocate 9 MB)": "ram",
    "llama_init_from_model: failed to initialize the context: failed to allocate buffer for kv"
    " cache": "ram",
    "llama_model_load: error loading model: mmap failed: Cannot allocate memory": "ram",
    "terminate called after throwing an instance of 'std::bad_alloc'": "ram",
    "graph_reserve: failed to allocate compute pp buffers": "ram",
}


@pytest.mark.parametrize("line", CAUSES)
def test_a_failed_allocation_is_a_shortage(line: str) -> None:
    assert shortage(["loading model", f" {line}", "exiting"], 1) == Shortage(CAUSES[line], line)


def test_the_first_line_is_the_cause() -> None:
    lines = [
        "E ggml_cuda: allocating 9.00 MiB on device 2: cudaMalloc failed: out of memory",
        "E llama_init_from_model: failed to allocate buffer for kv cache",
    ]
    found = shortage(lines, 1, {"CUDA": (4, 5, 6)})
    assert found == Shortage("gpu6", lines[0])


@pytest.mark.parametrize("status", [-9, 137])
def test_a_kill_while_loading_is_the_kernels(status: int) -> None:
    found = shortage(["loading model"], status)
    assert found is not None
    assert found.resource == "ram"
    assert "killed" in found.said


@pytest.mark.parametrize(
    "line",
    [
        "error loading model: no such file",
        "warning: failed to mlock 99-byte buffer (locked 0 bytes): Cannot allocate memory",
        "ggml_cuda_host_malloc: failed to allocate 9.00 MiB of pinned memory: out of memory",
        "WARNING: failed to allocate 9.00 MB of pinned memory",
        "CUDA pool[0]: alloc of 9.00 MiB failed, flushing 9.00 MiB and retrying: out of memory",
        "common_fit_params: failed to fit params to free device memory: n_gpu_layers is set",
    ],
)
def test_other_ends_are_none(line: str) -> None:
    assert shortage([line], 1) is None
    assert shortage([], -11) is None
