"""Try a route without a gateway: as if nothing were loaded, and no small model could be asked."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from models.routing.decide import Decision, decide
from models.routing.pick import Seen
from server.admin.route_order import read_order, tried

if TYPE_CHECKING:
    from models.routing.asked import Asked
    from server.configuration import Configuration


class _Nothing:
    """No engine runs; see ``Running`` in models/routing/pick.py."""

    def seen(self, model: str) -> Seen:
        """Return that nothing runs of the model."""
        del model
        return Seen()


def decided_offline(body: bytes, configuration: Configuration, profile: str) -> dict[str, Any]:
    """Return what ``POST /admin/route`` would answer to ``body``; raise its GatewayError.

    A route whose small model would be asked gets its default label.
    """

    async def of(name: str | None, asked: Asked, hour: int | None) -> Decision:
        now = time.localtime().tm_hour if hour is None else hour
        asked = asked._replace(hour=now, profile=profile)
        labels: dict[str, str] = {}
        while True:
            found = decide(configuration.book, _Nothing(), name, asked, labels)
            if isinstance(found, Decision):
                return found
            labels[found.route] = found.classify.default

    return asyncio.run(tried(read_order(body), configuration.catalog, of, "offline"))
