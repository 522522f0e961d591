"""People who click anywhere meet no error: over the websocket, as the bench of the pages does."""

import asyncio

from benchmarks.visitors import visit_together


def test_people_who_click_through_all_pages_meet_no_error(server: str) -> None:
    found = asyncio.run(visit_together(server, people=3, seconds=4, think=0.1))
    assert found.errors == []
    assert len(found.clicks) >= 6
    assert len({click.page for click in found.clicks}) >= 2
