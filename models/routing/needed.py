"""``RouteNeeded``: a request that is for no certain model yet."""

from __future__ import annotations

from typing import TYPE_CHECKING

from utils.errors import BadRequest

if TYPE_CHECKING:
    from models.requests.endpoints import Endpoint
    from models.requests.fields import Json


class RouteNeeded(BadRequest):
    """The request names the route ``name``, or no model (None), so the models must be compared.

    Or it names a model that has a ``fallback``.

    ``request`` is what the client sent to ``endpoint``, decoded and unchanged. Where the models
    cannot be compared, it is told as it is.
    """

    def __init__(self, endpoint: Endpoint, request: Json, name: str | None) -> None:
        what = "names no model" if name is None else f"names '{name}', which stands for several"
        super().__init__(f"This request {what}; here it must name a model.", param="model")
        self.endpoint = endpoint
        self.request = request
        self.name = name
