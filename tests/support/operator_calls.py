"""What an operator asks of a gateway beside a browser: links to the admin page, and orders."""

from __future__ import annotations

import json
import urllib.request
from typing import TYPE_CHECKING, Any

from real_engines import ADMIN

if TYPE_CHECKING:
    from real_engines import Gateway


def admin_link(served: Gateway) -> str:
    """Return a link to the admin page that is good once."""
    return str(operated(served, "/admin/links", {})["url"])


def operated(served: Gateway, path: str, body: Any, headers: Any = ADMIN) -> Any:
    """Return the answer to a POST of an operator, or of who has these headers."""
    request = urllib.request.Request(f"{served.url}{path}", json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)
