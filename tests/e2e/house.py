"""An app whose people sign in at a real OIDC provider on loopback, and how they do so."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx

from billing.gateways import gateway_for
from billing.members import set_member
from billing.packages import list_offers
from billing.purchases import start_purchase
from billing.store import Store, open_store
from tests.oidc_server import OidcServer, free_port, running_oidc
from tests.signing_in import sign_in
from warehouse.settings import Settings

PEOPLE = {
    "vera@acme.example": "viewer",
    "bill@acme.example": "billing",
    "anna@acme.example": "admin",
}
ADMIN, STRANGER, UNVERIFIED = "root@meter.example", "nobody@x.example", "fake@acme.example"


@dataclass
class House:
    """A running app with its provider and store, and a checkout that tokyo has begun."""

    url: str
    provider: OidcServer
    settings: Settings
    store: Store
    purchase: str
    checkout: str

    @property
    def secret(self) -> str:
        return self.provider.variables("")["METERHOUSE_OIDC_COOKIE_SECRET"]

    def as_(self, email: str) -> AbstractContextManager[httpx.Client]:
        """Somebody who signed in, over HTTP."""
        return sign_in(self.url, self.secret, email)


@contextmanager
def open_house(
    settings: Settings, serving: Callable[..., AbstractContextManager[str]]
) -> Iterator[House]:
    """A house over a home whose accounts are declared; ``serving`` starts its app."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with open_store(settings) as store, running_oidc() as provider:
        for email, role in PEOPLE.items():
            set_member(store, "acme", email.title(), role)
            provider.add(email)
        set_member(store, "acme", UNVERIFIED, "admin")
        provider.add(ADMIN)
        provider.add(STRANGER)
        provider.add(UNVERIFIED, verified=False)
        paying = Settings(home=settings.home, payments="demo", app_url=url)
        gateway = gateway_for(paying)
        offer = list_offers(store, "JPY")[0]
        checkout = start_purchase(
            store, gateway, "tokyo", offer.offer_id, "key-of-tokyo", f"{url}/checkout/return"
        )
        purchase = gateway.retrieve_session(checkout.rsplit("/", 1)[1]).purchase_id
        variables = provider.variables(f"{url}/oauth2callback") | {
            "METERHOUSE_PAYMENTS": "demo",
            "METERHOUSE_APP_URL": url,
            "METERHOUSE_PLATFORM_ADMINS": ADMIN.upper(),
            "METERHOUSE_API_TOKEN": "the-token-of-the-platform",
        }
        with serving(settings, port, **variables):
            yield House(url, provider, settings, store, purchase, checkout)


def enter(browser: Any, house: House, email: str, path: str = "/") -> Any:
    """A page of somebody who signed in; the cookies are had over HTTP, as a browser has them."""
    from tests.e2e.browser import Visit

    visit = Visit(browser)
    with house.as_(email) as client:
        visit.page.context.add_cookies(
            [
                {"name": cookie.name, "value": cookie.value or "", "url": house.url}
                for cookie in client.cookies.jar
                if cookie.domain.startswith(urlsplit(house.url).hostname or "")
            ]
        )
    return visit.open(house.url + path)


def enter_by_clicks(browser: Any, house: House, email: str, path: str = "/") -> Any:
    """The same, by the button of the app and the one of the provider."""
    from tests.e2e.browser import Visit

    visit = Visit(browser)
    visit.page.goto(house.url + path)
    visit.page.get_by_role("button", name="Sign in").click()
    visit.page.locator(f'[id="{email}"]').click()
    visit.page.wait_for_url(f"{house.url}/**")
    visit.page.wait_for_selector("[data-testid=stSidebarNavLink]")
    visit.settle()
    return visit
