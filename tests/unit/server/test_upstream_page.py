"""server/upstream_page.py: the list of engines."""

from __future__ import annotations

from server.upstream_page import upstream_page


def test_each_model_leads_to_its_engine() -> None:
    page = upstream_page(
        [
            {"id": "org/a:b", "type": "text", "state": "ready"},
            {"id": '<b>"', "type": None, "state": "stopped"},
        ]
    ).decode()
    assert '<td><a href="/upstream/org/a%3Ab/">org/a:b</a><td>text<td>ready' in page
    assert '<td><a href="/upstream/%3Cb%3E%22/">&lt;b&gt;&quot;</a><td><td>stopped' in page
