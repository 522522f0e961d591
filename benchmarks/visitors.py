"""People who click through the app without a browser: over its websocket, as a browser would.

A visitor speaks Streamlit's own messages. It follows links and the sidebar, chooses in boxes, and
asks again by itself for the parts of a page that are kept up to date, as often as the page says.
"""

import asyncio
import random
import re
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from html import unescape
from typing import Any
from urllib.parse import urlsplit

from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ClientState_pb2 import ClientState
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.proto.WidgetStates_pb2 import WidgetState
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

SIDEBAR = {"": 4, "usage": 4, "credits": 2, "insights": 2, "invoices": 1, "budgets": 1}
"""How often which page is taken from the sidebar, by its path."""

WAYS = {"link": 6, "sidebar": 3, "box": 3}
"""How often a click is on a link of the page, in the sidebar, or in a box."""

BOXES = ("Account", "Month")
"""Labels of the boxes in which visitors choose."""

PATIENCE = 120.0
"""Seconds after which a click without an answer is an error."""

LONGEST_THOUGHT = 10.0
"""The longest time between two clicks, in means."""

_LINK = re.compile("<a [^>]*>")
_HREF = re.compile(' href="([^"]*)"')
_FAILED = "This page cannot be shown"


@dataclass(frozen=True)
class Click:
    """One click: on which page it ended, and the seconds until that was drawn."""

    page: str
    seconds: float


@dataclass
class Tally:
    """What happened to one visitor or to several."""

    clicks: list[Click] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    renewals: int = 0
    received_bytes: int = 0

    def add(self, other: "Tally") -> None:
        """Count what happened to another one as well."""
        self.clicks += other.clicks
        self.errors += other.errors
        self.renewals += other.renewals
        self.received_bytes += other.received_bytes


@dataclass
class _Box:
    """A select box that the page shows."""

    id: str
    options: Sequence[str]


class Visitor:
    """One session. ``seed`` decides every click, so two runs do the same."""

    def __init__(self, connection: ClientConnection, seed: int) -> None:
        """Speak over an open ``connection``."""
        self.tally = Tally()
        self._connection = connection
        self._random = random.Random(seed)
        self._path = ""
        self._query = ""
        self._page_hash = ""
        self._hashes: dict[str, str] = {}
        self._states: dict[str, str] = {}
        self._boxes: dict[str, _Box] = {}
        self._texts: list[str] = []
        self._run: str | None = None
        self._is_whole_run = False
        self._timers: dict[str, asyncio.Task[None]] = {}
        self._drawn = asyncio.Event()

    async def open(self, path: str = "", query: str = "") -> None:
        """Open a page and wait until it is drawn."""
        self._path, self._query = path, query
        await self._click(page_name=path)

    async def click_somewhere(self) -> None:
        """Click on something that the page shows, and wait until what it leads to is drawn."""
        (way,) = self._random.choices(list(WAYS), list(WAYS.values()))
        links, boxes = self._links(), [label for label in BOXES if label in self._boxes]
        if way == "box" and boxes:
            box = self._boxes[self._random.choice(boxes)]
            self._states[box.id] = self._random.choice(box.options)
            await self._click(page_script_hash=self._page_hash)
        elif way == "link" and links:
            self._path, self._query = self._random.choice(links)
            await self._click(page_script_hash=self._hashes[self._path], is_history_navigation=True)
        else:
            shown = [path for path in SIDEBAR if path in self._hashes]
            (self._path,) = self._random.choices(shown, [SIDEBAR[path] for path in shown])
            self._query = ""
            await self._click(page_script_hash=self._hashes[self._path])

    async def think(self, seconds: float) -> None:
        """Look at the page for some time, ``seconds`` on average, most often less."""
        thought = self._random.expovariate(1 / seconds) if seconds else 0.0
        await asyncio.sleep(min(thought, LONGEST_THOUGHT * seconds))

    async def listen(self) -> None:
        """Take in what the server sends until the connection is closed."""
        try:
            async for data in self._connection:
                self.tally.received_bytes += len(data)
                message = ForwardMsg()
                message.ParseFromString(data)
                self._take(message)
        finally:
            self._stop_timers()

    async def _click(self, **state: Any) -> None:
        self._drawn.clear()
        self._is_whole_run = False
        started = time.perf_counter()
        await self._ask(**state)
        try:
            await asyncio.wait_for(self._drawn.wait(), PATIENCE)
        except TimeoutError:
            self.tally.errors.append(f"/{self._path}?{self._query}: no answer in {PATIENCE:g} s")
            return
        self.tally.clicks.append(Click(self._path, time.perf_counter() - started))

    async def _ask(self, **state: Any) -> None:
        """Have the page or a part of it drawn."""
        asked = ClientState(query_string=self._query, **state)
        asked.context_info.timezone = "UTC"
        asked.context_info.locale = "en-US"
        asked.context_info.color_scheme = "light"
        asked.widget_states.widgets.extend(
            WidgetState(id=widget, string_value=value) for widget, value in self._states.items()
        )
        await self._connection.send(BackMsg(rerun_script=asked).SerializeToString())

    def _take(self, message: ForwardMsg) -> None:
        kind = message.WhichOneof("type")
        if kind == "new_session":
            self._begin(message)
        elif kind == "script_finished":
            self._end(message)
        elif kind == "navigation":
            self._hashes = {
                page.url_pathname if not page.is_default else "": page.page_script_hash
                for page in message.navigation.app_pages
            }
            self._page_hash = message.navigation.page_script_hash
        elif kind == "page_info_changed":
            self._query = message.page_info_changed.query_string
        elif kind == "auto_rerun":
            self._keep_up_to_date(message.auto_rerun.fragment_id, message.auto_rerun.interval)
        elif kind == "delta" and message.delta.HasField("new_element"):
            self._element(message.delta.new_element)
        elif kind in ("session_event", "page_not_found"):
            self._fail(str(message).strip())

    def _begin(self, message: ForwardMsg) -> None:
        run = message.metadata.run
        self._run = run.script_run_id
        if run.fragment_ids:
            return
        self._is_whole_run = True
        self._page_hash = message.new_session.page_script_hash
        self._stop_timers()
        self._boxes.clear()
        self._texts.clear()

    def _end(self, message: ForwardMsg) -> None:
        if message.script_finished == ForwardMsg.FINISHED_FRAGMENT_RUN_SUCCESSFULLY:
            self.tally.renewals += 1
        elif message.script_finished == ForwardMsg.FINISHED_WITH_COMPILE_ERROR:
            self._fail("the script cannot be compiled")
        elif (
            message.script_finished == ForwardMsg.FINISHED_SUCCESSFULLY
            and self._is_whole_run
            and message.metadata.run.script_run_id == self._run
        ):
            shown = {box.id for box in self._boxes.values()}
            self._states = {id: value for id, value in self._states.items() if id in shown}
            self._drawn.set()

    def _element(self, element: Any) -> None:
        kind = element.WhichOneof("type")
        if kind == "exception":
            self._fail(f"{element.exception.type}: {element.exception.message}")
        elif kind == "html":
            if _FAILED in element.html.body:
                self._fail(_FAILED)
            self._texts.append(element.html.body)
        elif kind == "selectbox":
            box = element.selectbox
            self._boxes[box.label] = _Box(box.id, list(box.options))
            if box.set_value or box.id not in self._states:
                self._states[box.id] = box.raw_value

    def _fail(self, text: str) -> None:
        self.tally.errors.append(f"/{self._path}?{self._query}: {text[:500]}")

    def _links(self) -> list[tuple[str, str]]:
        """Path and query of every link of the page that leads to another of the app's pages."""
        return links_of(self._texts, self._hashes, self._path)

    def _keep_up_to_date(self, fragment: str, seconds: float) -> None:
        async def again() -> None:
            while True:
                await asyncio.sleep(seconds)
                await self._ask(
                    page_script_hash=self._page_hash, fragment_id=fragment, is_auto_rerun=True
                )

        if fragment in self._timers:
            self._timers.pop(fragment).cancel()
        self._timers[fragment] = asyncio.create_task(again())

    def _stop_timers(self) -> None:
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()


def links_of(texts: Sequence[str], pages: Collection[str], here: str) -> list[tuple[str, str]]:
    """(path, query) of each link in the markup of the page ``here`` that leads to one of ``pages``.

    Only links that the app follows by itself count: others leave it or fetch a file.
    """
    found = []
    for text in texts:
        for opening in _LINK.findall(text):
            if (href := _HREF.search(opening)) is None or "mh-to" not in opening:
                continue
            address = urlsplit(unescape(href[1]))
            path = here if address.query and not address.path else address.path.strip("./")
            if not address.netloc and path in pages:
                found.append((path, address.query))
    return found


async def visit(address: str, seed: int, seconds: float, think: float, delay: float = 0.0) -> Tally:
    """Open the app after ``delay`` and click through it for so many seconds.

    ``address`` is that of the server; ``think`` is the mean time between two clicks.
    """
    await asyncio.sleep(delay)
    stream = f"{address.replace('http', 'ws', 1)}/_stcore/stream"
    until = time.monotonic() + seconds
    async with connect(stream, subprotocols=["streamlit"], max_size=None) as connection:  # type: ignore[list-item]
        visitor = Visitor(connection, seed)
        listening = asyncio.create_task(visitor.listen())
        try:
            await visitor.open()
            while time.monotonic() < until and not listening.done():
                await visitor.think(think)
                await visitor.click_somewhere()
        except ConnectionClosed as error:
            visitor.tally.errors.append(f"disconnected: {error}")
        else:
            if listening.done():
                visitor.tally.errors.append(f"disconnected: {listening.exception()}")
        listening.cancel()
    return visitor.tally


async def visit_together(address: str, people: int, seconds: float, think: float) -> Tally:
    """So many people at once, the first clicks of whom are spread over the first thoughts."""
    delays = [think * number / people for number in range(people)]
    whole = Tally()
    for tally in await asyncio.gather(
        *(
            visit(address, seed, seconds - delay, think, delay)
            for seed, delay in enumerate(delays, start=1)
        )
    ):
        whole.add(tally)
    return whole
