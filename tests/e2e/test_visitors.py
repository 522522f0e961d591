"""People who click anywhere meet no error: over the websocket, as the bench of the pages does."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

from benchmarks.visitors import visit_together


def test_people_who_click_through_all_pages_meet_no_error(server: str) -> None:
    together = visit_together(server, people=3, seconds=4, think=0.1)
    with ThreadPoolExecutor(1) as beside:  # the browser of other tests has a loop in this thread
        found = beside.submit(asyncio.run, together).result()
    assert found.errors == []
    assert len(found.clicks) >= 6
    assert len({click.page for click in found.clicks}) >= 2
