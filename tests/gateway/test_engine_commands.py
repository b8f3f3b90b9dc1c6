"""What happens beside engines: a preload, and commands when one is ready or has ended."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from gateway import fake_model, fake_variant, running_gateway, until

from engine.scheduling.lifecycle import State

if TYPE_CHECKING:
    from pathlib import Path

    from fake_engine import Journal


def writing(file: Path) -> tuple[str, ...]:
    """Return a command that adds what it is told to the file."""
    line = 'echo "$LLM_GATEWAY_EVENT $LLM_GATEWAY_VARIANT $LLM_GATEWAY_MODEL" >> "$0"'
    return "/bin/sh", "-c", line, str(file)


async def test_engines_start_with_the_gateway_and_tell_of_themselves(
    journal: Journal, tmp_path: Path
) -> None:
    told = tmp_path / "told"
    told.touch()
    plain = fake_variant(journal)
    variant = dataclasses.replace(plain, on_ready=writing(told), on_stop=writing(told))
    async with running_gateway(journal, fake_model(variant), preload=("m",)) as gateway:
        await gateway.until_state(State.READY)
        await until(lambda: told.read_text() == "on_ready m@256 m\n")
        page = (await gateway.request("GET", "/upstream")).body.decode()
        assert '<a href="/upstream/m/">m</a><td>text<td>ready' in page
    # The command for the end of the gateway's engines is waited for.
    assert told.read_text() == "on_ready m@256 m\non_stop m@256 m\n"


async def test_a_command_that_fails_harms_nothing(journal: Journal, tmp_path: Path) -> None:
    broken = ("/bin/sh", "-c", "echo no; exit 3")
    variant = dataclasses.replace(
        fake_variant(journal), on_ready=broken, on_stop=(str(tmp_path / "none"),)
    )
    hidden = fake_model(fake_variant(journal, model="h"), unlisted=True)
    shown = fake_model(variant, metadata={"family": "q"})
    async with running_gateway(journal, shown, hidden) as gateway:
        assert (await gateway.chat(model="m")).status == 200
        said = b""
        while b"on_ready of m@256: /bin/sh ended with status 3 | no" not in said:
            said = (await gateway.request("GET", "/logs")).body
        (entry,) = (await gateway.request("GET", "/v1/models")).json["data"]
        assert (entry["id"], entry["metadata"]) == ("m", {"family": "q"})
        assert (await gateway.chat(model="h")).status == 200
