"""engine/llamacpp/log.py: what engines say of their memory, its lack, and their loading."""

from __future__ import annotations

import json
from typing import Any

import pytest

from engine.base import Shortage
from engine.llamacpp.log import (
    LlamaCppLog,
    Projection,
    percent_in,
    resource_of,
    shortage,
    visible_devices,
)

MIB = 1024 * 1024
ON_CPU = """
0.00.125.702 I load_tensors:   CPU_Mapped model buffer size =    92.10 MiB
0.00.126.285 I llama_context:        CPU  output buffer size =     0.19 MiB
0.00.126.322 I llama_kv_cache:        CPU KV buffer size =    11.25 MiB
0.00.131.370 I llama_kv_cache: size =   11.25 MiB (   512 cells,  30 layers), K (f16):    5.62 MiB
0.00.133.466 I sched_reserve:        CPU compute buffer size =    15.14 MiB
0.00.145.658 I srv    load_model: prompt cache is enabled, size limit: 8192 MiB
"""
ON_TWO_GPUS = """
load_tensors:        CUDA0 model buffer size =  9000.00 MiB
load_tensors:        CUDA1 model buffer size =  4000.50 MiB
load_tensors:   CPU_Mapped model buffer size =   300.00 MiB
llama_context:  CUDA_Host  output buffer size =     0.50 MiB
llama_kv_cache:      CUDA0 KV buffer size =   640.00 MiB
llama_kv_cache:      CUDA1 KV buffer size =   320.00 MiB
llama_memory_recurrent:      CUDA1 RS buffer size =    10.00 MiB
llama_context:      CUDA0 compute buffer size =   560.00 MiB
llama_context:  CUDA_Host compute buffer size =    24.50 MiB
load_tensors: RPC0[192.168.1.9:50052] model buffer size =  7000.00 MiB
"""
FITTING = """
I common_params_fit_impl: getting device memory data for initial parameters:
I load_tensors:        CUDA0 model buffer size =     0.00 MiB
I sched_reserve:        CUDA0 compute buffer size =   500.00 MiB
I common_memory_breakdown_print: | memory breakdown [MiB] | total   free    self   model   context   compute    unaccounted |
I common_memory_breakdown_print: |   - CUDA0 (RTX 3090)   | 24135 = 23000 + (9100 = 8000 +     600 +     500) +        -35 |
I common_memory_breakdown_print: |   - Host               |                  218 =   192 +      11 +      15                |
I common_params_fit_impl: projected to use 9100 MiB of device memory vs. 23000 MiB of free device memory
"""  # noqa: E501 - as the engine prints it


def told(text: str, **visible: tuple[int, ...]) -> dict[str, float]:
    amounts = Projection(visible).read_all(text.splitlines())
    return {name: amount / MIB for name, amount in amounts.items()}


def test_buffers_of_a_device_are_added_up() -> None:
    assert told(ON_CPU) == {"ram": pytest.approx(118.68)}
    assert told(ON_TWO_GPUS) == {"gpu0": 10200.0, "gpu1": 4330.5, "ram": 325.0}


def test_before_there_are_buffers_the_projection_counts() -> None:
    assert told(FITTING) == {"gpu0": 9100.0, "ram": 218.0}
    assert told(FITTING.rpartition("I common_params_fit_impl: proj")[0]) == told(FITTING)


def test_the_buffers_of_a_trial_do_not_count() -> None:
    assert told(FITTING + ON_CPU) == told(ON_CPU)
    assert told(ON_CPU + FITTING) == told(FITTING)


def test_projections_without_a_table() -> None:
    host = "fit: projected to use 118 MiB of host memory vs. 24105 MiB of total host memory"
    assert told(host) == {"ram": 118.0}
    device = "fit: projected to use 900 MiB of device memory vs. 24105 MiB of free device memory"
    assert told(device) == {"gpu0": 900.0}
    assert told(device, CUDA=(3,)) == {"gpu3": 900.0}
    each = (
        "fit:   - CUDA0 (RTX 3090):  24135 total,   9100 used,  13900 free vs. target of   1024\n"
        "fit:   - CUDA1 (RTX 3060):  12000 total,   3000 used,   8000 free vs. target of   1024\n"
    )
    assert told(each + device.replace("900", "12100")) == {"gpu0": 9100.0, "gpu1": 3000.0}


def test_other_lines_say_nothing() -> None:
    assert told("print_info: file size   = 92.10 MiB (5.74 BPW)\nmain: | a | table\n") == {}
    assert told("srv: 3 in total, and one MiB of noise | ") == {}


@pytest.mark.parametrize(
    ("name", "resource"),
    [
        ("CPU", "ram"),
        ("CPU_REPACK", "ram"),
        ("CUDA0", "gpu0"),
        ("CUDA12", "gpu12"),
        ("CUDA_Host", "ram"),
        ("ROCm1", "gpu1"),
        ("Vulkan2", "gpu2"),
        ("Vulkan_Host", "ram"),
        ("MTL0_Mapped", "gpu0"),
        ("Metal", "gpu0"),
        ("RPC0[host:1]", None),
    ],
)
def test_devices_and_their_resources(name: str, resource: str | None) -> None:
    assert resource_of(name) == resource


def test_hidden_devices_shift_the_numbers() -> None:
    env = {"CUDA_VISIBLE_DEVICES": "2,0", "HIP_VISIBLE_DEVICES": "GPU-1234", "HOME": "/"}
    visible = visible_devices(env)
    assert visible == {"CUDA": (2, 0)}
    assert resource_of("CUDA0", visible) == "gpu2"
    assert resource_of("CUDA1", visible) == "gpu0"
    assert resource_of("CUDA2", visible) == "gpu2"
    assert resource_of("Vulkan0", visible) == "gpu0"
    assert told(ON_TWO_GPUS, CUDA=(1, 0))["gpu1"] == 10200.0


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
    assert shortage(f" {line}") == Shortage(CAUSES[line], line)


def test_the_first_line_is_the_cause() -> None:
    lines = [
        "E ggml_cuda: allocating 9.00 MiB on device 2: cudaMalloc failed: out of memory",
        "E llama_init_from_model: failed to allocate buffer for kv cache",
    ]
    reader = LlamaCppLog({"CUDA_VISIBLE_DEVICES": "4,5,6"})
    for each in lines:
        reader.read(each)
    assert reader.shortage(1) == Shortage("gpu6", lines[0])


@pytest.mark.parametrize("status", [-9, 137])
def test_a_kill_while_loading_is_the_kernels(status: int) -> None:
    reader = LlamaCppLog({})
    reader.read("loading model")
    found = reader.shortage(status)
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
    assert shortage(line) is None
    assert LlamaCppLog({}).shortage(-11) is None


STATE = "cmd_child_to_router:state:"


def line(state: str = "loading", **payload: Any) -> str:
    return STATE + json.dumps({"state": state, "payload": payload})


@pytest.mark.parametrize(
    ("stages", "current", "value", "percent"),
    [
        (["text_model"], "text_model", 0.0, 0.0),
        (["text_model"], "text_model", 0.4567, 45.7),
        (["text_model"], "text_model", 1, 100.0),
        (["text_model", "mmproj"], "text_model", 0.5, 25.0),
        (["text_model", "mmproj"], "mmproj", 0.5, 75.0),
        (["text_model"], "text_model", 7.0, 100.0),
        (["text_model"], "text_model", -1.0, 0.0),
    ],
)
def test_stages_are_parts_of_the_whole(
    stages: list[str], current: str, value: float, percent: float
) -> None:
    assert percent_in(line(stages=stages, current=current, value=value)) == percent


@pytest.mark.parametrize(
    "said",
    [
        STATE,
        STATE + "{",
        STATE + "[]",
        STATE + "7",
        line("ready", id="m"),
        line(),
        line(stages=[], current="x", value=0.5),
        line(stages=["x"], current="y", value=0.5),
        line(stages=["x"], current="x", value=None),
        line(stages=7, current="x", value=0.5),
        "cmd_child_to_router:other:{}",
    ],
)
def test_what_it_does_not_tell_is_not_made_up(said: str) -> None:
    assert percent_in(said) is None
    assert LlamaCppLog({}).is_protocol(said)


def test_other_lines_are_for_people() -> None:
    assert not LlamaCppLog({}).is_protocol("srv  load_model: loading model")
