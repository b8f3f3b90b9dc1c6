"""server/tls.py: pairs of files that can be used, and what is said of those that cannot."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from paths import ROOT

from server.tls import Certificates, read_pair
from utils.config.settings import TlsTable
from utils.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

FOLDER = ROOT / "tests" / "support" / "certificates"


def pair(cert: str = "one.crt", key: str = "one.key") -> TlsTable:
    return TlsTable(cert=str(FOLDER / cert), key=str(FOLDER / key))


@pytest.mark.parametrize(
    ("tls", "fault"),
    [
        (pair("none.crt"), "server.tls.cert: .*none.crt: no such file"),
        (pair(key="none.key"), "server.tls.key: .*none.key: no such file"),
        (pair(key="other.key"), "server.tls: .*other.key is not the key of .*one.crt"),
        (pair(key="locked.key"), "server.tls: .* its unencrypted key in PEM"),
        (pair("one.key"), "server.tls: .* are not a certificate"),
    ],
)
def test_a_pair_that_cannot_be_used_is_told(tls: TlsTable, fault: str) -> None:
    with pytest.raises(ConfigError, match=fault) as raised:
        read_pair(tls)
    assert len(raised.value.faults) == 1


def test_without_tls_there_is_nothing_to_show(caplog: pytest.LogCaptureFixture) -> None:
    none = Certificates(None)
    assert (none.context, none.scheme, none.read(None)) == (None, "http", None)
    assert none.read(pair()) is None
    assert "only by a restart" in caplog.text
    some = Certificates(pair())
    assert some.scheme == "https"
    assert some.read(None) is None


def test_a_file_that_only_others_may_read_is_told(tmp_path: Path) -> None:
    # A folder cannot be read as a file, not even by root.
    with pytest.raises(ConfigError, match="is a directory"):
        read_pair(TlsTable(cert=str(tmp_path), key=str(FOLDER / "one.key")))
