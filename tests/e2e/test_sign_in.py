"""Signing in through a real OIDC provider: each role, the unknown, the unverified, out again."""

import sys
import time

import httpx
import pytest
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

from app.asgi import ROUTES
from app.gate import RENEW_SECONDS
from app.views.balance import REFRESH_SECONDS
from app.views.parts import WATCH_SECONDS
from billing import audit
from billing.gateways import gateway_for
from billing.members import remove_member, set_member
from billing.packages import list_offers
from billing.purchases import start_purchase
from tests.e2e.browser import Visit
from tests.e2e.conftest import running
from tests.e2e.house import ADMIN, PEOPLE, STRANGER, UNVERIFIED, House, enter, enter_by_clicks
from tests.oidc_server import free_port
from warehouse.settings import Settings

OPEN = {"/healthz": 200, "/readyz": 200, "/metrics": 200, "/webhooks/{gateway}": 400}
"""What answers without a session: no row of it is of an account, or it is signed by itself."""


def cases(house: House) -> dict[tuple[str, str], tuple[str, set[int]]]:
    """Of each route and method: an address with tokyo's ids, and what acme's people may get."""
    checkout = house.checkout.removeprefix(house.url)
    return {
        ("/healthz", "GET"): ("/healthz", {200}),
        ("/readyz", "GET"): ("/readyz", {200}),
        ("/metrics", "GET"): ("/metrics", {200}),
        ("/exports/{account_id:path}/{ticket}", "GET"): ("/exports/tokyo/ticket", {404}),
        ("/webhooks/{gateway}", "POST"): ("/webhooks/demo", {400}),
        ("/checkout/return", "GET"): (f"/checkout/return?purchase={house.purchase}", {404}),
        ("/demo/checkout/{session}", "GET"): (checkout, {404}),
        ("/demo/checkout/{session}", "POST"): (checkout, {404}),
        ("/receipts/{purchase}", "GET"): (f"/receipts/{house.purchase}", {404}),
        ("/v1/accounts/{account_id:path}/balance", "GET"): ("/v1/accounts/tokyo/balance", {401}),
        ("/v1/accounts/{account_id:path}/balance", "POST"): ("/v1/accounts/tokyo/balance", {401}),
    }


def test_no_route_tells_a_customer_of_another_account(house: House) -> None:
    tried = cases(house)
    routes = {
        (route.path, method)
        for route in ROUTES
        for method in (route.methods or set()) - {"HEAD", "PUT", "PATCH", "DELETE"}
    }
    assert set(tried) == routes, "a route without a case: say what a customer may get from it"
    for email in (*PEOPLE, STRANGER, UNVERIFIED):
        with house.as_(email) as client:
            for (_, method), (address, expected) in tried.items():
                answer = client.request(method, house.url + address)
                allowed = expected | ({401} if email == UNVERIFIED else set())
                assert answer.status_code in allowed, (email, address, answer.text)
                for secret in ("Tokyo Translators", "JPY", "honyaku"):
                    assert secret not in answer.text, (email, address)


def test_who_has_not_signed_in_gets_nothing_from_any_route(house: House) -> None:
    forged = {"_streamlit_user": '{"is_logged_in": true, "email": "anna@acme.example"}'}
    for cookies in ({}, forged):
        with httpx.Client(cookies=cookies) as client:
            for (path, method), (address, _) in cases(house).items():
                answer = client.request(method, house.url + address)
                known = OPEN.get(path, 401)
                assert answer.status_code == known, (address, answer.text)


def test_a_wrong_client_is_nobody(house: House) -> None:
    house.provider.people["vera@acme.example"]["aud"] = "another client"
    try:
        with house.as_("vera@acme.example") as client:
            assert "_streamlit_user" not in client.cookies
            address = f"{house.url}/receipts/{house.purchase}"
            assert client.get(address).status_code == 401
    finally:
        del house.provider.people["vera@acme.example"]["aud"]


def test_documents_are_for_the_billing_role_and_each_is_logged(house: House) -> None:
    offer = list_offers(house.store, "EUR")[0]
    paying = Settings(home=house.settings.home, payments="demo", app_url=house.url)
    gateway = gateway_for(paying)
    back = f"{house.url}/checkout/return"
    page = start_purchase(house.store, gateway, "acme", offer.offer_id, "key-of-acme", back)
    session = page.rsplit("/", 1)[1]
    bought = gateway.retrieve_session(session).purchase_id
    with house.as_("vera@acme.example") as viewer, house.as_("bill@acme.example") as billing:
        assert viewer.get(page).status_code == 403
        assert billing.get(page).status_code == 200
        form = {"action": "pay", "token": gateway.token(session)}
        assert viewer.post(page, data=form).status_code == 403
        assert billing.post(page, data=form).status_code == 303
        answer = billing.get(f"{back}?purchase={bought}")
        assert (answer.status_code, "account=acme" in answer.headers["location"]) == (303, True)
        receipt = f"{house.url}/receipts/{bought}"
        assert viewer.get(receipt).status_code == 403
        assert "Receipt" in billing.get(receipt).text
    found = audit.list_events(house.store, audit.AuditFilter(action="receipt.read"))
    assert [(event.actor, event.outcome, event.account_id) for event in found] == [
        ("bill@acme.example", "allowed", "acme"),
        ("vera@acme.example", "refused", "acme"),
    ]
    assert {event.details["purchase"] for event in found} == {bought}


def test_a_member_who_was_removed_is_out_at_once(house: House) -> None:
    set_member(house.store, "acme", "gone@acme.example", "billing")
    house.provider.add("gone@acme.example")
    with house.as_("gone@acme.example") as client:
        address = f"{house.url}/exports/acme/ticket"
        assert "Make the export again" in client.get(address).text
        remove_member(house.store, "acme", "gone@acme.example")
        assert client.get(address).text == "This link leads to no export.\n"


def links_of(page) -> list[str]:
    page.wait_for_selector("[data-testid=stSidebarNavLink]")
    return page.locator("[data-testid=stSidebarNavLink]").all_inner_texts()


def test_signing_in_by_browser_shows_each_role_what_it_may_do(house: House, browser) -> None:
    viewer = enter(browser, house, "vera@acme.example", "/credits?account=tokyo")
    viewer.settle()
    assert not any("Data health" in name for name in links_of(viewer.page))
    viewer.open(f"{house.url}/credits?account=tokyo")
    viewer.page.get_by_text("There is no account “tokyo”").wait_for()
    assert "Tokyo Translators" not in viewer.page.content()
    assert viewer.page.get_by_role("button", name="Buy").count() == 0
    billing = enter(browser, house, "bill@acme.example")
    billing.open(f"{house.url}/credits")
    assert billing.page.get_by_role("button", name="Buy").count() > 0
    admin = enter(browser, house, ADMIN)
    assert any("Data health" in name for name in links_of(admin.page))
    for visit in (viewer, billing, admin):
        assert visit.outside_requests() == []
        visit.page.close()


def test_signing_in_leads_back_to_the_address_that_was_asked_for(house: House, browser) -> None:
    visit = enter_by_clicks(browser, house, "anna@acme.example", "/credits?account=acme&history=30")
    visit.page.wait_for_url(f"{house.url}/credits?account=acme&history=30")
    visit.settle()
    assert visit.page.locator("h1").inner_text() == "Credits"
    visit.page.close()


def test_the_staff_sees_all_accounts_and_is_told_whose_it_looks_at(house: House, browser) -> None:
    admin = enter(browser, house, ADMIN)
    admin.page.get_by_role("heading", name="Accounts", level=1).wait_for()
    admin.settle()
    admin.page.get_by_role("link", name="Acme Robotics", exact=True).click()
    banner = admin.page.locator(".mh-staff")
    banner.wait_for()
    assert "You are looking at Acme Robotics as staff" in banner.inner_text()
    admin.settle()
    admin.page.locator("[data-testid=stMain]").evaluate("main => main.scrollTo(0, 600)")
    assert banner.is_visible()
    banner.get_by_role("link").click()
    admin.page.get_by_role("heading", name="Accounts", level=1).wait_for()
    admin.settle()
    assert banner.count() == 0
    admin.page.close()
    looks = [
        (event.action, event.account_id)
        for event in audit.list_events(house.store, audit.AuditFilter(actor=ADMIN))
        if event.action in ("account.look", "account.leave")
    ]
    assert looks[:2] == [("account.leave", "acme"), ("account.look", "acme")]


def test_the_unknown_and_the_unverified_are_told_what_to_do(house: House, browser) -> None:
    for email, said in (
        (STRANGER, "You are a member of no account yet"),
        (UNVERIFIED, "This address is not verified"),
    ):
        visit = enter(browser, house, email)
        visit.page.get_by_text(said).wait_for()
        assert "Acme" not in visit.page.content().replace("acme.example", "")
        visit.open(f"{house.url}/data-health")
        visit.page.get_by_text(said).wait_for()
        visit.page.close()


def test_signing_out_ends_it_and_the_log_has_both(house: House, browser) -> None:
    visit = enter(browser, house, "anna@acme.example")
    visit.settle()
    visit.page.get_by_role("button", name="Sign out").click()
    visit.page.get_by_role("button", name="Sign in").wait_for()
    assert "logout" in house.provider.asked
    assert "Acme" not in visit.page.content()
    visit.page.close()
    found = audit.list_events(house.store, audit.AuditFilter(actor="anna@acme.example"))
    told = [event.action for event in found if event.action.startswith("sign-")]
    assert told[:2] == ["sign-out", "sign-in"], "the newest first; other tests sign in as well"


def test_a_copy_of_the_cookie_is_worth_nothing_after_signing_out(house: House, browser) -> None:
    set_member(house.store, "acme", "copied@acme.example", "billing")
    house.provider.add("copied@acme.example")
    visit = enter(browser, house, "copied@acme.example")
    visit.settle()
    copied = {each["name"]: each["value"] for each in visit.page.context.cookies()}
    address = f"{house.url}/exports/acme/ticket"
    assert httpx.get(address, cookies=copied).status_code == 404
    thief = Visit(browser)
    thief.page.context.add_cookies(visit.page.context.cookies())
    thief.open(f"{house.url}/credits")
    thief.page.get_by_role("heading", name="Credits", level=1).wait_for()
    visit.page.get_by_role("button", name="Sign out").click()
    visit.page.get_by_role("button", name="Sign in").wait_for()
    assert httpx.get(address, cookies=copied).status_code == 401
    thief.page.get_by_text("Your sign-in has ended").wait_for()
    assert "Acme" not in thief.page.content()
    for opened in (visit, thief):
        opened.page.close()


class Hold:
    """A page of a client that never asks again for the parts of it that look ``every`` so often."""

    def __init__(self, browser, house: House, email: str, every: set[float]) -> None:
        set_member(house.store, "acme", email, "billing")
        house.provider.add(email)
        self.visit = enter(browser, house, email)
        self.page = self.visit.page
        self._every, self._left_out = every, set[str]()
        self.page.route_web_socket("**/_stcore/stream", self._between)

    def _between(self, socket) -> None:
        server = socket.connect_to_server()

        def to_browser(message) -> None:
            told = ForwardMsg.FromString(message)
            if told.WhichOneof("type") == "auto_rerun" and told.auto_rerun.interval in self._every:
                self._left_out.add(told.auto_rerun.fragment_id)
            socket.send(message)

        def to_server(message) -> None:
            if BackMsg.FromString(message).rerun_script.fragment_id not in self._left_out:
                server.send(message)

        server.on_message(to_browser)
        socket.on_message(to_server)

    def sign_out_elsewhere(self, house: House) -> None:
        other = Visit(self.page.context.browser)
        other.page.context.add_cookies(self.page.context.cookies())
        other.open(house.url)
        other.page.get_by_role("button", name="Sign out").click()
        other.page.get_by_role("button", name="Sign in").wait_for()
        other.page.close()


def test_who_holds_a_page_open_without_asking_is_out_too(house: House, browser) -> None:
    looks, everything = {float(WATCH_SECONDS)}, {float(WATCH_SECONDS), float(REFRESH_SECONDS)}
    signs_out = Hold(browser, house, "held@acme.example", looks)
    fetches = Hold(browser, house, "fetching@acme.example", everything)
    removed = Hold(browser, house, "removed@acme.example", everything)
    signs_out.visit.open(f"{house.url}/credits")
    for fetching in (fetches, removed):
        fetching.visit.open(f"{house.url}/invoices?invoice=INV-2027-000001")
        with fetching.page.expect_download() as waiting:
            fetching.page.get_by_role("button", name="Download PDF").click()
        assert waiting.value.suggested_filename == "INV-2027-000001.pdf"
    assert all(hold._left_out for hold in (signs_out, fetches, removed))
    fetches.sign_out_elsewhere(house)
    signs_out.sign_out_elsewhere(house)
    remove_member(house.store, "acme", "removed@acme.example")
    time.sleep(RENEW_SECONDS)
    signs_out.page.get_by_text("Your sign-in has ended").wait_for()
    assert "Acme" not in signs_out.page.content()
    for fetching in (fetches, removed):
        downloads: list[object] = []
        fetching.page.on("download", lambda download, found=downloads: found.append(download))
        fetching.page.get_by_role("button", name="Download PDF").click()
        fetching.page.get_by_text("Failed to generate file for download").wait_for()
        assert downloads == []
    found = audit.list_events(house.store, audit.AuditFilter(action="invoice.read"))
    allowed = [event.actor for event in found if event.outcome == "allowed"]
    assert allowed.count("fetching@acme.example") == allowed.count("removed@acme.example") == 1
    for hold in (signs_out, fetches, removed):
        hold.page.close()


def test_who_signed_in_too_long_ago_does_so_again(house: House, browser) -> None:
    house.provider.add("late@acme.example")
    set_member(house.store, "acme", "late@acme.example", "viewer")
    person = house.provider.people["late@acme.example"]
    person["iat"] = int(time.time()) - 12 * 3600 - 60
    visit = enter(browser, house, "late@acme.example", "/credits")
    visit.page.get_by_text("Your sign-in has ended").wait_for()
    assert "Acme" not in visit.page.content()
    del person["iat"]
    visit.page.get_by_role("button", name="Sign in").click()
    visit.page.locator('[id="late@acme.example"]').click()
    visit.page.get_by_role("heading", name="Credits", level=1).wait_for()
    visit.page.close()


def test_who_is_invited_is_a_member_after_signing_in(house: House, browser) -> None:
    admin = enter(browser, house, ADMIN)
    admin.settle()
    admin.open(f"{house.url}/members?account=acme")
    admin.page.get_by_label("Address", exact=True).fill("New@Acme.example")
    admin.page.get_by_role("button", name="Invite").click()
    admin.page.get_by_text("waiting").wait_for()
    house.provider.add("new@acme.example")
    visit = enter(browser, house, "new@acme.example")
    visit.settle()
    assert "You are a member of no account yet" not in visit.page.content()
    admin.open(f"{house.url}/audit-log")
    for action in ("member.invite", "member.accept", "sign-in"):
        admin.page.get_by_text(action).first.wait_for()
    for opened in (admin, visit):
        opened.page.close()
    accepted = audit.list_events(house.store, audit.AuditFilter(action="member.accept"))
    assert [(event.actor, event.account_id) for event in accepted] == [("new@acme.example", "acme")]
    (invited,) = audit.list_events(house.store, audit.AuditFilter(action="member.invite"))
    assert invited.actor == ADMIN


@pytest.mark.parametrize("address", ["0.0.0.0", "::"])
def test_without_sign_in_it_does_not_start_beyond_loopback(house: House, address: str) -> None:
    command = [sys.executable, "-m", "streamlit", "run", "app/asgi.py", "--server.address", address]
    command += ["--server.port", str(free_port())]
    with running(house.settings, command) as process:
        said, _ = process.communicate(timeout=300)
        assert process.returncode != 0
    assert "METERHOUSE_ALLOW_REMOTE_WITHOUT_SIGN_IN" in said
    assert "Traceback" not in said
