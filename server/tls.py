"""``server.tls``: the certificate that the gateway shows, which a reload may replace."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

from utils.errors import ConfigError
from utils.logger import get_logger

if TYPE_CHECKING:
    from utils.config.settings import TlsTable

_log = get_logger("tls")


class Certificates:
    """Gives each new connection the certificate that was read last.

    ``context`` is for listening sockets; None if the gateway began without ``server.tls``. The
    connections that exist keep their certificate.
    """

    def __init__(self, tls: TlsTable | None) -> None:
        self.context: ssl.SSLContext | None = None
        if tls is not None:
            self._current = read_pair(tls)
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.sni_callback = self._choose

    @property
    def scheme(self) -> str:
        """``https``, or ``http`` without TLS."""
        return "http" if self.context is None else "https"

    def read(self, tls: TlsTable | None) -> ssl.SSLContext | None:
        """Return what ``use`` takes; raise ConfigError if the files are no pair. Blocks.

        None if TLS was turned on or off, which needs a restart.
        """
        if (tls is None) is not (self.context is None):
            _log.warning("server.tls is turned on or off only by a restart")
            return None
        return None if tls is None else read_pair(tls)

    def use(self, context: ssl.SSLContext | None) -> None:
        """Show this certificate from now on; None: the same as before."""
        if context is not None:
            self._current = context

    def _choose(
        self, connection: ssl.SSLSocket | ssl.SSLObject, _name: str | None, _context: ssl.SSLContext
    ) -> None:
        """Called for each handshake, whether or not the client names a host."""
        connection.context = self._current


def read_pair(tls: TlsTable) -> ssl.SSLContext:
    """Return a context with this certificate and key; raise ConfigError if they are no pair."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_alpn_protocols(["http/1.1"])
    for name, path in (("cert", tls.cert), ("key", tls.key)):
        try:
            with open(path, "rb"):  # noqa: PTH123 - only to see whether it can be
                pass
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise _unusable(f"server.tls.{name}: {path}: {reason}") from None
    try:
        # Without a password here, OpenSSL would ask for it on the terminal.
        context.load_cert_chain(tls.cert, tls.key, password="")
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise _unusable(f"server.tls: {tls.key} is not the key of {tls.cert}") from None
        reason = error.reason or str(error)
        what = f"{tls.cert} and {tls.key} are not a certificate and its unencrypted key in PEM"
        raise _unusable(f"server.tls: {what} ({reason})") from None
    return context


def _unusable(fault: str) -> ConfigError:
    return ConfigError(f"The certificate cannot be used.\n{fault}", (fault,))
