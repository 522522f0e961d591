"""The Usage page in a real browser: links, the back button, a second window, exports."""

import csv
import zipfile
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from urllib.parse import parse_qs, urlsplit
from xml.etree import ElementTree

import pyarrow.parquet
import pytest

from app import formats
from warehouse.publication import reading_published

pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")

from tests.e2e.browser import DESKTOP, PHONE, Visit

PAGES = {
    "the log": "/usage?account=acme",
    "groups": "/usage?account=acme&group=agent,day",
    "filters": "/usage?account=acme&agent=translator&status=error&tag=team:blue",
    "nothing": "/usage?account=acme&q=nothing-like-this",
    "hostile": "/usage?account=mallory",
}


@pytest.fixture
def visit(browser):
    visits: list[Visit] = []

    def opened(**options) -> Visit:
        visits.append(Visit(browser, **options))
        return visits[-1]

    yield opened
    for each in visits:
        each.page.close()


@pytest.fixture
def ask(lake):
    connection, _ = reading_published(lake)
    yield lambda sql: connection.execute(sql).fetchall()
    connection.close()


def parameters(visit: Visit) -> dict[str, list[str]]:
    """The parameters of the browser's address."""
    return parse_qs(urlsplit(visit.page.url).query)


def bar_of(day: str) -> str:
    """The bar of a day in the overview's trend."""
    return f'.st-key-card-trend .mark-rect path[aria-label*="Day: {day}"]'


def total(visit: Visit, label: str = "Operations") -> str:
    """A total above the table."""
    return visit.page.locator(".mh-stat", has_text=label).locator(".mh-stat-value").inner_text()


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize(
    ("scheme", "size"), [("light", DESKTOP), ("dark", DESKTOP), ("light", PHONE)]
)
def test_the_page_is_drawn_whole_and_asks_nobody_outside(server, visit, page, scheme, size):
    seen = visit(scheme=scheme, size=size).open(server + PAGES[page])
    assert seen.outside_requests() == []
    assert seen.errors == []
    assert seen.page.locator('[data-testid="stException"]').count() == 0
    assert not seen.is_wider_than_the_screen()
    cut = seen.page.evaluate(
        "[...document.querySelectorAll('.mh-scroll')]"
        ".filter(table => table.scrollWidth > table.clientWidth + 1).length"
    )
    assert cut == 0, "no table is cut"


def test_filters_go_into_an_address_that_shows_the_same_in_a_new_window(server, visit, ask):
    seen = visit().open(f"{server}/usage?account=acme")
    page = seen.page
    page.locator(".st-key-usage-range input").first.click()
    page.get_by_role("option", name="Custom days").click()
    for field, day in (("start", "20261103"), ("end", "20261112")):
        page.locator(f"[data-range-field={field}] [data-type=year]").click()
        page.keyboard.type(day, delay=60)
    page.keyboard.press("Escape")
    page.wait_for_url("**from=2026-11-03&to=2026-11-13*")
    page.get_by_role("button", name="Filters").click()
    page.get_by_role("combobox", name="Agents").click()
    page.get_by_role("option", name="sql-analyst").click()
    page.wait_for_url("**agent=sql-analyst*")
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Language models").click()
    page.wait_for_url("**category=llm*")
    page.get_by_role("combobox", name="Models").click()
    page.get_by_role("option", name="GPT 5.2").click()
    page.wait_for_url("**model=gpt-5.2*")
    page.keyboard.press("Escape")
    seen.settle()
    assert parameters(seen) == {
        "account": ["acme"],
        "from": ["2026-11-03"],
        "to": ["2026-11-13"],
        "agent": ["sql-analyst"],
        "category": ["llm"],
        "model": ["gpt-5.2"],
    }
    ((events, credits),) = ask(
        "select count(*), sum(credits) from rpt_usage_event where account_id = 'acme'"
        " and usage_date between '2026-11-03' and '2026-11-12' and agent_id = 'sql-analyst'"
        " and category = 'llm' and model = 'gpt-5.2'"
    )
    other = visit().open(page.url)
    for each in (seen, other):
        assert total(each) == formats.number(events)
        assert total(each, "Credits") == formats.credits(credits)
    tables = [each.page.locator(".mh-table tbody").inner_text() for each in (seen, other)]
    assert tables[0] == tables[1]


def test_links_run_the_page_without_loading_it_anew_and_back_returns(server, visit):
    seen = visit().open(f"{server}/usage?account=acme&range=7d")
    page = seen.page
    page.evaluate("window.isTheSame = true")
    page.get_by_role("link", name="Agent", exact=True).click()
    page.locator(".mh-share").first.wait_for()
    assert parameters(seen)["group"] == ["agent"]
    page.get_by_role("link", name="translator").click()
    page.get_by_role("link", name="Remove agent translator").wait_for()
    page.locator("a.mh-time").first.click()
    page.get_by_text("Where it comes from").wait_for()
    assert "event" in parameters(seen)
    page.go_back()
    page.get_by_role("link", name="Remove agent translator").wait_for()
    page.go_back()
    page.locator(".mh-share").first.wait_for()
    page.go_back()
    page.locator("a.mh-time").first.wait_for()
    assert "group" not in parameters(seen)
    assert page.evaluate("window.isTheSame"), "the app was never loaded anew"
    assert seen.errors == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_what_opens_over_the_page_has_the_pages_colours(server, visit, scheme):
    seen = visit(scheme=scheme).open(f"{server}/usage?account=acme&range=7d")
    seen.page.get_by_role("button", name="Export").click()
    body = seen.page.get_by_test_id("stPopoverBody")
    body.wait_for()
    assert body.evaluate("body => getComputedStyle(body).colorScheme") in ("normal", scheme)
    ink = "element => getComputedStyle(element).getPropertyValue('color')"
    text = body.get_by_text("as filtered").evaluate(ink)
    assert (int(text.removeprefix("rgb(").split(",")[0]) > 128) == (scheme == "dark")
    assert seen.page.evaluate("document.documentElement.style.colorScheme") == scheme


def test_a_link_opens_in_a_window_of_its_own(server, visit):
    seen = visit().open(f"{server}/usage?account=acme&range=7d")
    href = seen.page.get_by_role("link", name="Day", exact=True).evaluate("link => link.href")
    other = visit().open(href)
    other.page.locator(".mh-share").first.wait_for()


def test_a_bar_of_the_chart_leads_to_its_day(server, visit):
    seen = visit().open(f"{server}/usage?account=acme&range=7d")
    bars = seen.page.locator('[data-testid="stVegaLiteChart"] .mark-rect path')
    bars.nth(6).wait_for()
    assert bars.count() == 7
    bars.nth(3).click()
    seen.page.wait_for_url("**from=2026-11-20&to=2026-11-21*")
    seen.page.get_by_text("Credits an hour").wait_for()


def test_a_bar_of_the_overview_leads_to_its_day_and_back_again(server, visit):
    seen = visit().open(f"{server}/?account=acme&month=2026-11")
    seen.page.locator(bar_of("10 Nov 2026")).first.click()
    seen.page.wait_for_url("**/usage?account=acme&from=2026-11-10&to=2026-11-11*")
    seen.page.get_by_text("Credits an hour").wait_for()
    seen.page.go_back()
    seen.page.get_by_text("Credits used in November").wait_for()
    seen.settle()
    assert "/usage" not in seen.page.url


def test_the_bar_of_a_spike_shows_its_cause_in_place(server, visit):
    seen = visit().open(f"{server}/?account=acme&month=2026-11")
    seen.page.locator(bar_of("6 Nov 2026")).first.click()
    trend = seen.page.locator(".st-key-card-trend")
    trend.get_by_role("heading", name="6 Nov 2026 · ").wait_for()
    trend.get_by_role("link", name="Insights").click()
    seen.page.wait_for_url("**/insights?account=acme&incident=2026-11-06*")


def test_every_figure_of_the_overview_leads_to_the_usage_behind_it(server, visit, ask):
    seen = visit().open(f"{server}/?account=acme&month=2026-11")
    page = seen.page
    hrefs = page.evaluate("[...document.querySelectorAll('a.mh-to')].map(a => a.href)")
    asked = [parse_qs(urlsplit(href).query) for href in hrefs]
    assert {urlsplit(href).path for href in hrefs} == {"/usage", "/insights", "/credits"}
    month = {"account": ["acme"], "from": ["2026-11-01"], "to": ["2026-12-01"]}
    for more in (
        {},
        {"group": ["day"]},
        {"group": ["model"]},
        {"status": ["error", "cancelled"]},
        {"category": ["llm"]},
        {"model": ["gpt-5.2"]},
        {"agent": ["research-agent"]},
    ):
        assert month | more in asked, more
    page.get_by_role("link", name="Documents").click()
    page.wait_for_url("**/usage?**category=document*")
    page.get_by_role("link", name="Remove category Documents").wait_for()
    ((credits,),) = ask(
        "select credits from rpt_overview_category where account_id = 'acme'"
        " and month = '2026-11-01' and category = 'document'"
    )
    seen.settle()
    assert total(seen, "Credits") == formats.credits(credits)
    page.go_back()
    page.get_by_text("Credits used in November").wait_for()


def test_a_spike_of_the_overview_leads_to_its_cause_and_on_to_its_usage(server, visit):
    seen = visit().open(f"{server}/?account=acme&month=2026-11")
    seen.page.get_by_role("link", name="17 Nov 2026").click()
    seen.page.wait_for_url("**/insights?account=acme&incident=2026-11-17*")
    seen.page.get_by_role("link", name="The usage behind it", exact=True).click()
    seen.page.wait_for_url("**from=2026-11-17&to=2026-11-18*")


def test_an_address_with_thousands_of_parameters_is_cut_and_says_so(server, visit):
    agents = "&".join(f"agent=a{number}" for number in range(4_000))
    seen = visit().open(f"{server}/usage?account=acme&range=7d&{agents}")
    seen.page.get_by_text("The address was too long").wait_for()
    assert parameters(seen) == {"account": ["acme"], "range": ["7d"]}


EXPORTED = (
    "/usage?account=acme&from=2026-11-03&to=2026-11-13&agent=sql-analyst&agent=translator"
    "&category=llm&model=gpt-5.2"
)
WANTED = """
select source, event_id, account_id, agent_id, category, model, status, execution_ms, credits,
    total_tokens, tags, occurred_at
from rpt_usage_event
where account_id = 'acme' and usage_date >= '2026-11-03' and usage_date < '2026-11-13'
    and agent_id in ('sql-analyst', 'translator') and category = 'llm' and model = 'gpt-5.2'
order by source, event_id
"""
NAMES = (
    *("source", "event_id", "account_id", "agent_id", "category", "model", "status"),
    *("execution_ms", "credits", "total_tokens", "tags", "occurred_at"),
)


@pytest.mark.parametrize("output", ["CSV", "Parquet", "Excel"])
def test_an_export_holds_exactly_the_rows_of_the_marts(server, visit, ask, tmp_path, output):
    seen = visit().open(server + EXPORTED)
    page = seen.page
    page.get_by_role("button", name="Export").click()
    page.get_by_role("radio", name=output).click()
    page.get_by_role("button", name="Make the file").click()
    with page.expect_download() as waiting:
        page.get_by_role("link", name=f"Download {output}").click()
    file = tmp_path / waiting.value.suggested_filename
    waiting.value.save_as(file)
    assert file.name.startswith("usage_acme_2026-11-03_to_2026-11-12")
    wanted = [tuple(plain(value) for value in row) for row in ask(WANTED)]
    read = {"CSV": csv_rows, "Parquet": parquet_rows, "Excel": excel_rows}[output]
    found = sorted(
        (tuple(plain(row[name]) for name in NAMES) for row in read(file)),
        key=lambda row: row[:2],
    )
    assert len(found) > 20
    assert found == wanted
    page.get_by_text("The file was fetched").wait_for()


def plain(value: object) -> str:
    """A value of any format as one text."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.replace(tzinfo=None).isoformat(" ")
    if isinstance(value, date):
        return value.isoformat()
    text = str(value)
    try:
        number = Decimal(text)
    except ArithmeticError:
        return text
    return format(number.normalize(), "f")


def csv_rows(file: Path) -> list[dict[str, object]]:
    with file.open(newline="", encoding="utf-8-sig") as lines:
        rows = list(csv.DictReader(lines))
    return [row | {"occurred_at": datetime.fromisoformat(row["occurred_at"])} for row in rows]


def parquet_rows(file: Path) -> list[dict[str, object]]:
    return pyarrow.parquet.read_table(file).to_pylist()


def excel_rows(file: Path) -> list[dict[str, object]]:
    """The rows of a workbook's first sheet; times are numbers of days there."""
    space = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
    with zipfile.ZipFile(file) as workbook:
        sheet = ElementTree.fromstring(workbook.read("xl/worksheets/sheet1.xml"))
    rows = [
        ["".join(cell.itertext()) for cell in row.iter(f"{space}c")]
        for row in sheet.iter(f"{space}row")
    ]
    found = [dict(zip(rows[0], row, strict=True)) for row in rows[1:]]
    for row in found:
        days = timedelta(days=float(row["occurred_at"]))
        moment = datetime(1899, 12, 30) + days + timedelta(milliseconds=500)
        row["occurred_at"] = moment.replace(microsecond=0)
    return found
