"""server/records/system.py: the machine, with GPUs as NVML tells of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fake_nvml import FakeNvml

from engine.resources.probe import MachineProbe
from server.records.system import measured, system_view

if TYPE_CHECKING:
    from pathlib import Path


def test_gpus_are_shown_as_far_as_their_sensors_tell(tmp_path: Path) -> None:
    probe = MachineProbe(FakeNvml(free=[5, 7]))
    view = system_view(probe, [tmp_path, tmp_path / "gone", tmp_path.parent])
    assert view["gpus"] == [
        {"id": "gpu0", "name": "GPU 0", "total": 10, "free": 5, "percent": 40},
        {"id": "gpu1", "name": "GPU 1", "total": 14, "free": 7, "percent": 41},
    ]
    # Both folders are on one disk.
    assert [disk["path"] for disk in view["disks"]] == [str(tmp_path)]
    sample = measured(probe)
    assert (sample["gpu0_used"], sample["gpu1_used"]) == (5.0, 7.0)
    assert sample["ram_used"] > 0
    assert measured(MachineProbe(FakeNvml(driver=False))).keys() == {
        "cpu_percent",
        "gateway_memory",
        "ram_used",
    }
