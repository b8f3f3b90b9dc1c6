"""server/admin/params.py: the fields of an admin request."""

from __future__ import annotations

import pytest

from server.admin.params import params_in
from utils.errors import BadRequest


def test_what_is_known_is_read() -> None:
    order = params_in(b'{"model": "m", "variant": 8192, "force": true}')
    assert (order.text("model", "a model"), order.variant(), order.flag("force")) == (
        "m",
        8192,
        True,
    )
    order.end()


def test_what_may_be_left_out_has_a_default() -> None:
    for body in (b"", b"{}", b'{"variant": null}'):
        order = params_in(body)
        assert (order.variant(), order.flag("force")) == (None, False)
        order.end()


@pytest.mark.parametrize("body", [b"{", b"[]", b'"x"', b"7", b"null", b"\xff"])
def test_what_is_no_object_is_refused(body: bytes) -> None:
    with pytest.raises(BadRequest, match="The body"):
        params_in(body)


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (b"{}", "model"),
        (b'{"model": ""}', "model"),
        (b'{"model": ["m"]}', "model"),
        (b'{"model": "m", "variant": [8192]}', "variant"),
        (b'{"model": "m", "variant": true}', "variant"),
        (b'{"model": "m", "force": 1}', "force"),
        (b'{"model": "m", "varient": 8192}', "varient"),
    ],
)
def test_a_fault_names_its_field(body: bytes, param: str) -> None:
    order = params_in(body)

    def read() -> None:
        order.text("model", "a model")
        order.variant()
        order.flag("force")
        order.end()

    with pytest.raises(BadRequest) as caught:
        read()
    assert caught.value.param == param
    assert param in caught.value.message
