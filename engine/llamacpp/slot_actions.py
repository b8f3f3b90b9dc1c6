"""Decide which actions on slots clients may use: ``POST /slots/<n>?action=…``. Pure.

A save by a client writes a file that the gateway neither counts nor removes. So clients can
neither save into the gateway's own folder nor restore from it. If the variant's arguments name a
folder (``--slot-save-path``), clients may use it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import parse_qs, unquote

if TYPE_CHECKING:
    from models.spec import VariantSpec

_SAVE_PATH = "--slot-save-path"
_SLOTS = "/slots/"
# The only action that touches no file.
_HARMLESS = ["erase"]


def refusal(variant: VariantSpec, method: str, path: str) -> str | None:
    """Return why a client's request must not reach the engine; None if it may.

    ``path`` is the engine's, with its query. llama-server reads the action from a form in the
    body, too, but from the query first.
    """
    plain, _, query = path.partition("?")
    # An engine may have a prefix before its paths, and decodes them.
    if method != "POST" or _SLOTS not in unquote(plain):
        return None
    if parse_qs(query).get("action") == _HARMLESS:
        return None
    if any(arg.partition("=")[0] == _SAVE_PATH for arg in variant.args):
        return None
    return (
        "Slots are saved and restored by the gateway alone. To save them yourself, name a folder"
        f" with {_SAVE_PATH} in the variant's args."
    )
