"""engine/llamacpp/memory_log.py: what engines say of their memory."""

from __future__ import annotations

import pytest

from engine.llamacpp.memory_log import Projection, resource_of, visible_devices

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
