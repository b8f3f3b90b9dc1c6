"""The units in deploy/; systemd's own opinion of them is asked by deploy/verify.sh, see .ci/run."""

from __future__ import annotations

import plistlib
import subprocess
from typing import TYPE_CHECKING

import pytest
from paths import ROOT

import main
from utils.config.settings import ServerSettings

if TYPE_CHECKING:
    from pathlib import Path

DEPLOY = ROOT / "deploy"
SLOWEST_END = ServerSettings().shutdown_timeout + ServerSettings().engine_stop_timeout
KINDS = ("system", "user")


def service(kind: str) -> dict[str, str]:
    """The keys of the unit's [Service]; each stands there once."""
    text = (DEPLOY / kind / "llm-gateway.service").read_text()
    lines = text.split("[Service]")[1].split("[Install]")[0].splitlines()
    pairs = [line.partition("=") for line in lines if line and not line.startswith("#")]
    keys = {key: value for key, _, value in pairs}
    assert len(keys) == len(pairs)
    return keys


@pytest.mark.parametrize("kind", KINDS)
def test_a_unit_leaves_time_to_end_and_leaves_the_end_to_the_gateway(kind: str) -> None:
    unit = service(kind)
    assert float(unit["TimeoutStopSec"]) > SLOWEST_END
    assert unit["KillMode"] == "mixed"
    assert unit["ExecReload"] == "kill -HUP $MAINPID"
    assert unit["OOMPolicy"] == "continue"
    # A faulty configuration is not tried again, an address in use is.
    assert unit["Restart"] == "on-failure"
    assert unit["RestartPreventExitStatus"] == str(main.BAD_CONFIG)
    assert main.CANNOT_LISTEN not in {0, main.BAD_CONFIG}
    assert int(unit["LimitNOFILE"]) >= 65535
    assert unit["NoNewPrivileges"] == "yes"


@pytest.mark.parametrize("kind", KINDS)
def test_a_unit_does_not_shut_engines_out_from_what_they_need(kind: str) -> None:
    breaks = {"MemoryDenyWriteExecute", "PrivateDevices", "ProtectClock", "PrivateUsers"}
    breaks |= {"PrivateNetwork", "IPAddressDeny", "DeviceAllow", "DevicePolicy"}
    assert not breaks & service(kind).keys()


def test_the_system_unit_gives_the_gateway_a_place_to_write() -> None:
    unit = service("system")
    assert unit["ProtectSystem"] == "strict"
    assert unit["StateDirectory"] == "llm-gateway"
    assert "XDG_STATE_HOME=%S " in unit["Environment"]


def test_the_job_of_launchd_becomes_the_gateway_of_its_user(tmp_path: Path) -> None:
    job = plistlib.loads((DEPLOY / "llm-gateway.plist").read_bytes())
    assert job["Label"] == "llm-gateway"
    assert job["ExitTimeOut"] > SLOWEST_END
    assert job["SoftResourceLimits"] == {"NumberOfFiles": 65535}
    assert job["KeepAlive"] == {"SuccessfulExit": False}
    home = tmp_path / "a home"
    (home / ".local" / "bin").mkdir(parents=True)
    (home / "Library" / "Logs").mkdir(parents=True)
    command = home / ".local" / "bin" / "llm-gateway"
    command.write_text('#!/bin/sh\nprintf "%s|" "$$" "$@"\n')
    command.chmod(0o755)
    process = subprocess.Popen(job["ProgramArguments"], env={"HOME": str(home)})
    assert process.wait() == 0
    said = (home / "Library" / "Logs" / "llm-gateway.log").read_text()
    config = home / ".config" / "llm-gateway" / "llm-gateway.cfg.lua"
    assert said == f"{process.pid}|-c|{config}|--watch|"
