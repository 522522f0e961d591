"""No page has a serious finding of axe-core, in light and dark."""

import pytest

pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")

from app.main import PATHS
from tests.e2e import axe
from tests.e2e.browser import DESKTOP, PHONE, Visit
from tests.e2e.house import ADMIN

PAGES = {
    "": "/?account=acme&month=2026-11",
    "usage": "/usage?account=acme&from=2026-11-01&to=2026-11-24",
    "credits": "/credits?account=acme",
    "invoices": "/invoices?account=acme",
    "insights": "/insights?account=acme",
    "budgets": "/budgets?account=acme",
    "accounts": "/accounts",
    "data-health": "/data-health",
    "first-source": "/first-source",
    "closing": "/closing",
    "members": "/members?account=acme",
    "audit-log": "/audit-log",
}
"""By its path, an address at which a page has something to show."""

EMPTY = ["/?account=idle", "/usage?account=idle", "/credits?account=idle", "/invoices?account=idle"]
DOCUMENT = "/invoices?account=acme&invoice=INV-2027-000001&line=2"


@pytest.fixture(scope="session")
def script(tmp_path_factory: pytest.TempPathFactory) -> str:
    try:
        return axe.fetched(tmp_path_factory.mktemp("axe"))
    except axe.Missing as error:
        pytest.skip(str(error))


def test_every_page_is_checked() -> None:
    assert set(PATHS) == PAGES.keys()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("address", [*PAGES.values(), *EMPTY, DOCUMENT])
def test_a_page_has_no_serious_finding(server, browser, script, address, scheme) -> None:
    seen = Visit(browser, scheme=scheme, size=DESKTOP).open(server + address)
    try:
        assert [str(found) for found in axe.findings(seen.page, script)] == []
    finally:
        seen.page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_way_in_and_the_band_of_the_staff_have_none(house, browser, script, scheme) -> None:
    seen = Visit(browser, scheme=scheme).open(house.url)
    seen.page.get_by_role("button", name="Sign in").wait_for()
    assert [str(found) for found in axe.findings(seen.page, script)] == []
    seen.page.locator(".st-key-way-in button").click()
    seen.page.locator(f'[id="{ADMIN}"]').click()
    seen.page.wait_for_selector("[data-testid=stSidebarNavLink]")
    seen.open(f"{house.url}/credits?account=acme")
    seen.page.locator(".mh-staff").wait_for()
    assert [str(found) for found in axe.findings(seen.page, script)] == []
    seen.page.close()


@pytest.mark.parametrize("address", PAGES.values())
def test_the_phone_has_none_either(server, browser, script, address) -> None:
    seen = Visit(browser, size=PHONE).open(server + address)
    try:
        assert [str(found) for found in axe.findings(seen.page, script)] == []
    finally:
        seen.page.close()
