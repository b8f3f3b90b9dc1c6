"""models/downloads/{hub,fetch,pull}.py against a hub over TCP, in good and in bad weather."""

from __future__ import annotations

import asyncio
import errno
import os
import random
import shutil
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from fake_hub import TOKEN, FakeHub, Repo, fake_hub, sha256
from gguf_files import llama
from model_stores import PROJECTOR

from models.discovery.scan import scan
from models.discovery.stores import HUB, Store
from models.downloads import fetch
from models.downloads.account import HubAccount
from models.downloads.hub import Hub
from models.downloads.layout import RepoFolder
from models.downloads.progress import Progress
from models.downloads.pull import Pulled, pull
from models.downloads.reference import wanted
from models.head_cache import HeadCache
from utils.errors import (
    DiskFull,
    DownloadCorrupt,
    GatewayError,
    HubAccessNotGranted,
    HubAnsweredWrong,
    HubNotFound,
    HubOffline,
    HubTokenMissing,
    HubUnavailable,
    StorageFull,
)
from utils.file_lock import FileLock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

REPO = "org/model-GGUF"
FILE = "model-Q4_K_M.gguf"
BIG = random.Random(1).randbytes(3_300_000)


class World:
    """A hub, a cache, and what the pulls waited for."""

    def __init__(self, hub: FakeHub, cache: Path) -> None:
        self.hub, self.cache = hub, cache
        self.waits: list[float] = []
        self.folder = RepoFolder(cache, REPO)

    @asynccontextmanager
    async def client(self, token: str = "", **more: Any) -> AsyncIterator[Hub]:
        account = HubAccount(str(self.cache), self.hub.url, token, more.pop("offline", False))

        async def wait(seconds: float) -> None:
            self.waits.append(seconds)
            await asyncio.sleep(0)

        async with Hub(account, **{"wait": wait, **more}) as client:
            yield client

    async def pull(self, text: str = REPO, file: str = "", **more: Any) -> Pulled:
        reserve = more.pop("reserve", 0)
        progress = more.pop("progress", None) or Progress()
        async with self.client(**more) as client:
            return await pull(client, wanted(text, file), progress, reserve=reserve)

    async def refused(self, kind: type[GatewayError], text: str = REPO, **more: Any) -> str:
        with pytest.raises(kind) as caught:
            await self.pull(text, **more)
        return caught.value.message

    def left(self) -> list[str]:
        """The files of the repository that are no links, but for the content's names."""
        found = [p for p in self.folder.path.rglob("*") if p.is_file() and not p.is_symlink()]
        return sorted(p.name[-11:] if p.parent.name == "blobs" else p.name for p in found)

    def has(self, number: int) -> bool:
        """Return whether so many bytes are on the disk."""
        return self.part.exists() and self.part.stat().st_size >= number

    @property
    def part(self) -> Path:
        return self.folder.part(sha256(self.hub.repos[REPO].files[FILE]))


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with fake_hub() as hub:
        hub.put(REPO, FILE, BIG)
        yield World(hub, tmp_path / "hub")


# -- good weather ----------------------------------------------------------------------


async def test_a_model_is_in_the_layout_of_the_hub(world: World) -> None:
    progress = Progress()
    done = await world.pull(progress=progress)
    commit, digest = world.hub.repos[REPO].commit, sha256(BIG)
    link = world.cache / "models--org--model-GGUF" / "snapshots" / commit / FILE
    assert done.paths == (link,)
    assert link.readlink() == Path(f"../../blobs/{digest}")
    assert link.read_bytes() == BIG
    assert (world.folder.path / "refs" / "main").read_text() == commit
    assert sorted(p.name for p in world.folder.blobs.iterdir()) == [digest]
    assert (world.cache / "CACHEDIR.TAG").read_bytes().startswith(b"Signature: ")
    assert (progress.done, progress.total, progress.percent) == (len(BIG), len(BIG), 100)
    # A second pull asks what there is, and fetches nothing.
    before = len(world.hub.ranges())
    assert (await world.pull()).paths == (link,)
    assert len(world.hub.ranges()) == before


async def test_parts_and_the_projector_come_along_and_are_found_as_one_model(world: World) -> None:
    name = "big-Q8_0-0000{}-of-00002.gguf"
    repo = "org/big"
    world.hub.put(repo, f"Q8_0/{name.format(2)}", llama(1, general__name="b"))
    world.hub.put(repo, f"Q8_0/{name.format(1)}", llama(1, general__name="a"))
    world.hub.put(repo, "mmproj-F16.gguf", PROJECTOR)
    world.hub.put(repo, "mmproj-BF16.gguf", PROJECTOR + b"better")
    world.hub.repos[repo].small["README.md"] = b"# big"
    world.hub.page = 2
    done = await world.pull(f"{repo}:q8_0")
    assert [path.name for path in done.paths] == [
        name.format(1),
        name.format(2),
        "mmproj-BF16.gguf",
    ]
    (entry,) = scan([Store(HUB, str(world.cache))], HeadCache()).entries
    assert entry.name == "org/big:Q8_0"
    assert entry.projector.endswith("mmproj-BF16.gguf")


async def test_a_small_file_is_verified_by_the_name_that_git_gives_it(world: World) -> None:
    world.hub.repos["org/tiny"] = Repo(small={"tiny.gguf": b"GGUF tiny"})
    (path,) = (await world.pull("org/tiny")).paths
    assert path.read_bytes() == b"GGUF tiny"


async def test_the_token_goes_to_the_hub_alone(world: World) -> None:
    world.hub.repos[REPO].gated = "token"
    await world.pull(token=TOKEN)
    sent = {
        host: {h.get("Authorization") for o, *_, h in world.hub.asked if o == host}
        for host in ("hub", "files")
    }
    assert sent == {"hub": {f"Bearer {TOKEN}"}, "files": {None}}


async def test_a_netrc_is_not_read_and_a_proxy_is_used(
    world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login me password secret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    await world.pull(token=TOKEN)
    assert not [h for *_, h in world.hub.asked if "Basic" in h.get("Authorization", "")]
    monkeypatch.setenv("http_proxy", world.hub.url)
    monkeypatch.setenv("no_proxy", "")
    async with world.client() as client:
        client.account = HubAccount(str(world.cache), "http://hub.invalid")
        commit, files = await client.files(REPO, "main")
    assert (commit, len(files)) == (world.hub.repos[REPO].commit, 1)


async def test_an_update_uses_what_is_equal(world: World) -> None:
    await world.pull()
    before = len(world.hub.ranges())
    world.hub.put(REPO, "other-Q8_0.gguf", b"GGUF other")
    done = await world.pull()
    assert len(world.hub.ranges()) == before
    assert done.paths[0].read_bytes() == BIG
    assert (world.folder.path / "refs" / "main").read_text() == done.commit
    assert len(list((world.folder.path / "snapshots").iterdir())) == 2


# -- breaks ------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["reset", "close"])
async def test_a_broken_line_is_continued_where_it_broke(world: World, how: str) -> None:
    for number in (1_000_000, 2_000_000):
        world.hub.fault(how, 1_200_000, until=lambda n=number: world.has(n))
    done = await world.pull()
    assert done.paths[0].read_bytes() == BIG
    first, second, third = world.hub.ranges()
    assert first == ""
    assert 0 < int(second[6:-1]) < int(third[6:-1])
    assert world.hub.asked[-1][3]["If-Range"] == f'"{sha256(BIG)[:32]}"'
    # Each try brought something, so nobody had to wait.
    assert world.waits == []


async def test_a_pull_that_is_stopped_goes_on_in_the_next_run(world: World) -> None:
    world.hub.fault("hold", 2_000_000)
    progress = Progress()
    run = asyncio.create_task(world.pull(progress=progress))
    await world.hub.holding.wait()
    while progress.done < 1_000_000:
        await asyncio.sleep(0.002)
    assert world.has(1_000_000)
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    had = world.part.stat().st_size
    assert 1_000_000 <= had <= 2_000_000
    assert not (world.folder.path / "snapshots").exists()
    done = await world.pull()
    assert done.paths[0].read_bytes() == BIG
    assert world.hub.ranges()[-1] == f"bytes={had}-"
    assert world.hub.asked[-1][3]["If-Range"] == f'"{sha256(BIG)[:32]}"'
    assert [p.name for p in world.folder.blobs.iterdir()] == [sha256(BIG)]


@pytest.mark.parametrize("etags", [True, False])
async def test_a_part_with_wrong_bytes_is_found_out_and_fetched_anew(
    world: World, etags: bool
) -> None:
    world.hub.etags = etags
    world.part.parent.mkdir(parents=True)
    world.part.write_bytes(bytes(1_000_000))
    assert (await world.pull()).paths[0].read_bytes() == BIG
    assert world.hub.ranges() == ["bytes=1000000-", ""]


async def test_a_part_that_is_too_long_is_fetched_anew(world: World) -> None:
    world.part.parent.mkdir(parents=True)
    world.part.write_bytes(BIG + b"more")
    assert (await world.pull()).paths[0].read_bytes() == BIG


async def test_a_server_without_ranges_sends_the_whole_file(world: World) -> None:
    world.hub.fault("reset", 2_000_000, until=lambda: world.has(1_000_000))
    world.hub.fault("ignore range", times=9)
    assert (await world.pull()).paths[0].read_bytes() == BIG


async def test_a_repository_that_changed_between_two_runs_is_fetched_as_it_is_now(
    world: World,
) -> None:
    world.hub.fault("reset", 2_000_000, until=lambda: world.has(1_000_000))
    world.hub.fault("status", 503, times=99, file=FILE)
    await world.refused(HubUnavailable)
    old = world.part
    assert old.exists()
    world.hub.faults.clear()
    new = BIG[::-1]
    world.hub.put(REPO, FILE, new)
    assert (await world.pull()).paths[0].read_bytes() == new
    # The part of the other content was not touched.
    assert old.exists()


@pytest.mark.parametrize("status", [429, 503, 500, 408])
async def test_a_refusal_that_passes_is_waited_for(world: World, status: int) -> None:
    for name in ("revision", FILE):
        world.hub.fault("status", status, file=name, headers={"Retry-After": "7"})
    assert (await world.pull()).paths[0].read_bytes() == BIG
    assert world.waits == [7.0, 7.0]


async def test_a_hub_that_stays_away_is_told_with_its_reason(world: World) -> None:
    world.hub.fault("status", 429, times=99, headers={"Retry-After": "9999"})
    said = await world.refused(HubUnavailable)
    assert said == f"{REPO} could not be fetched: the server answered 429."
    assert world.waits == [60.0] * 4
    async with world.client() as client:
        client.account = HubAccount(str(world.cache), "http://127.0.0.1:1")
        with pytest.raises(HubUnavailable, match="Cannot connect"):
            await client.files(REPO, "main")


async def test_a_server_that_falls_silent_is_left(world: World) -> None:
    world.hub.fault("stall", 2_000_000)
    assert (await world.pull(silence=0.2)).paths[0].read_bytes() == BIG
    assert len(world.hub.ranges()) == 2


# -- wrong content --------------------------------------------------------------------------


async def test_a_wrong_content_is_fetched_once_more(world: World) -> None:
    world.hub.fault("corrupt")
    assert (await world.pull()).paths[0].read_bytes() == BIG
    assert world.hub.ranges() == ["", ""]


async def test_a_content_that_stays_wrong_gets_no_name(world: World) -> None:
    world.hub.fault("corrupt", times=2)
    said = await world.refused(DownloadCorrupt)
    assert "its sha256 is " in said
    assert world.left() == []
    assert not (world.folder.path / "snapshots").exists()
    assert not (world.folder.path / "refs").exists()


@pytest.mark.parametrize(("what", "number"), [("page", 0), ("short", 10)])
async def test_what_has_another_size_is_not_the_file(world: World, what: str, number: int) -> None:
    world.hub.fault(what, number, times=99)
    said = await world.refused(HubUnavailable)
    assert f"bytes were answered for a file of {len(BIG)}" in said
    assert world.left() in ([], [".incomplete"])
    world.hub.faults.clear()
    assert (await world.pull()).paths[0].read_bytes() == BIG


@pytest.mark.parametrize(
    "path", ["../../evil.gguf", "/etc/evil.gguf", "a\\..\\evil.gguf", "C:x.gguf"]
)
async def test_a_path_that_leaves_its_folder_is_refused_before_the_first_byte(
    world: World, path: str
) -> None:
    world.hub.put("org/evil", path, b"GGUF evil")
    said = await world.refused(HubAnsweredWrong, "org/evil")
    assert "names a file that cannot be stored" in said
    assert world.hub.ranges() == []


# -- refusals -----------------------------------------------------------------------------


async def test_refusals_are_told_apart(world: World) -> None:
    hub = world.hub
    hub.repos[REPO].gated = "token"
    said = await world.refused(HubTokenMissing)
    assert f"it needs a token in HF_TOKEN: see {hub.url}/{REPO}." in said
    assert "ask for it at" in await world.refused(HubAccessNotGranted, token="hf_other")
    hub.repos[REPO].gated = "denied"
    await world.refused(HubAccessNotGranted, token=TOKEN)
    said = await world.refused(HubNotFound, "org/nothing")
    assert "or it is private and HF_TOKEN is not set" in said
    assert "private" not in await world.refused(HubNotFound, "org/nothing", token=TOKEN)
    hub.repos["org/secret"] = Repo({"m.gguf": b"GGUF m"}, private=True)
    await world.refused(HubNotFound, "org/secret")
    await world.pull("org/secret", token=TOKEN)
    said = await world.refused(HubNotFound, f"{REPO}:Q2_K")
    assert said == f"{REPO} has no model for the tag Q2_K; it has Q4_K_M."
    await world.refused(HubNotFound, file="other.gguf")
    hub.repos["org/text"] = Repo(small={"README.md": b"# none"})
    assert "it has no GGUF file at all" in await world.refused(HubNotFound, "org/text")
    hub.put("org/cut", "m-Q8_0-00001-of-00003.gguf", b"GGUF 1")
    assert "1 of 3 parts are there" in await world.refused(HubNotFound, "org/cut")


async def test_offline_nothing_is_asked(world: World) -> None:
    await world.refused(HubOffline, offline=True)
    assert world.hub.asked == []


# -- the disk ------------------------------------------------------------------------------


async def test_a_disk_without_room_is_refused_before_the_first_byte(world: World) -> None:
    said = await world.refused(DiskFull, reserve=1 << 60)
    assert "Nothing was fetched." in said
    assert world.hub.ranges() == []


async def test_a_disk_that_fills_up_keeps_what_was_fetched(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = 1_500_000
    really = os.write

    def write(file: int, data: memoryview) -> int:
        nonlocal room
        if not str(Path(f"/proc/self/fd/{file}").readlink()).endswith(".incomplete"):
            return really(file, data)
        if not room:
            raise OSError(errno.ENOSPC, "No space left on device")
        written = really(file, data[:room])
        room -= written
        return written

    monkeypatch.setattr(os, "write", write)
    said = await world.refused(DiskFull)
    assert said.startswith("The disk is full: ")
    assert world.part.stat().st_size == 1_500_000
    monkeypatch.undo()
    assert (await world.pull()).paths[0].read_bytes() == BIG
    assert world.hub.ranges()[-1] == "bytes=1500000-"


async def test_a_disk_that_others_fill_ends_a_download_before_it_is_full(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch, "_LOOK", 1 << 20)
    world.hub.fault("hold", 2_000_000)
    with monkeypatch.context() as patch:
        sizes = iter([10_000_000, 1_000_000])
        patch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=next(sizes)))
        said = await world.refused(DiskFull, reserve=500_000)
    assert said.endswith(" What was fetched stays.")
    had = world.part.stat().st_size
    assert 1 << 20 <= had <= 2_000_000
    world.hub.go_on.set()
    assert (await world.pull()).paths[0].read_bytes() == BIG
    assert world.hub.ranges()[-1] == f"bytes={had}-"


async def test_a_cache_that_cannot_be_written_is_told(world: World) -> None:
    world.cache.write_text("no folder")
    said = await world.refused(StorageFull)
    assert "cannot be written" in said


async def test_without_links_the_file_has_its_name_all_the_same(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr(Path, "symlink_to", refuse)
    done = await world.pull()
    assert not done.paths[0].is_symlink()
    assert done.paths[0].read_bytes() == BIG
    monkeypatch.setattr(os, "link", refuse)
    world.hub.put(REPO, FILE, BIG[::-1])
    done = await world.pull()
    assert done.paths[0].read_bytes() == BIG[::-1]
    # The content has moved to its name, and is not fetched again.
    before = len(world.hub.ranges())
    await world.pull()
    assert len(world.hub.ranges()) == before


# -- two at once ----------------------------------------------------------------------------


async def test_two_at_once_fetch_a_file_once(world: World) -> None:
    one, other = await asyncio.gather(world.pull(), world.pull())
    assert one.paths == other.paths
    assert world.hub.ranges() == [""]
    assert one.paths[0].read_bytes() == BIG


async def test_a_part_of_another_program_is_waited_for(world: World) -> None:
    lock = FileLock(world.folder.lock(sha256(BIG)))
    world.folder.lock(sha256(BIG)).parent.mkdir(parents=True)
    assert lock.acquire()
    run = asyncio.create_task(world.pull())
    while len(world.waits) < 3:
        await asyncio.sleep(0.002)
    assert not world.part.exists()
    lock.release()
    assert (await run).paths[0].read_bytes() == BIG


async def test_the_loop_is_free_while_a_file_is_hashed_and_written(world: World) -> None:
    world.hub.put(REPO, FILE, BIG * 10)
    run = asyncio.create_task(world.pull())
    turns = 0
    while not run.done():
        turns += 1
        await asyncio.sleep(0)
    assert (await run).paths[0].stat().st_size == 10 * len(BIG)
    assert turns > 30
