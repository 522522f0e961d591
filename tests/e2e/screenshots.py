"""Takes the pictures of the README from a running app, and on request more to look at.

``python -m tests.e2e.screenshots http://127.0.0.1:8501 docs/images [ACCOUNT [MONTH]]`` writes
a picture of each page in light and dark, of those for customers for a phone too. Without an
account the page's own choice is shown. With ``--all`` first, also what is opened, grouped, empty or
left for.
"""

import sys
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

from tests.e2e.browser import Scheme, Visit, started_browser

LARGEST_BYTES = 480 * 1024
DESK, TALL, LONG, LOW = (1440, 1240), (1440, 1400), (1440, 1730), (1440, 880)
PHONE = (390, 1500)


@dataclass(frozen=True)
class Shot:
    """A picture: its name, the page, more of its address, and what to press before.

    ``leaves`` says that pressing it leads away from the app's pages.
    """

    name: str
    page: str
    scheme: Scheme = "light"
    size: tuple[int, int] = DESK
    more: str = ""
    press: str | None = None
    leaves: bool = False


SHOTS = (
    Shot("overview-light", "/"),
    Shot("overview-dark", "/", "dark"),
    Shot("overview-phone", "/", size=PHONE),
    Shot("usage-light", "/usage"),
    Shot("usage-dark", "/usage", "dark"),
    Shot("usage-phone", "/usage", size=PHONE),
    Shot("credits-light", "/credits", size=TALL),
    Shot("credits-dark", "/credits", "dark", TALL),
    Shot("credits-phone", "/credits", size=PHONE),
    Shot("insights-light", "/insights", size=LONG),
    Shot("insights-dark", "/insights", "dark", LONG),
    Shot("insights-phone", "/insights", size=PHONE),
    Shot("budgets-light", "/budgets", size=LONG),
    Shot("budgets-dark", "/budgets", "dark", LONG),
    Shot("budgets-phone", "/budgets", size=PHONE),
    Shot("invoices-light", "/invoices", size=LOW),
    Shot("invoices-dark", "/invoices", "dark", LOW),
    Shot("invoices-phone", "/invoices", size=PHONE),
    Shot("accounts-light", "/accounts"),
    Shot("accounts-dark", "/accounts", "dark"),
    Shot("accounts-phone", "/accounts", size=PHONE),
    Shot("closing-light", "/closing"),
    Shot("closing-dark", "/closing", "dark"),
    Shot("data-health-light", "/data-health"),
    Shot("data-health-dark", "/data-health", "dark"),
)
CHECKOUT = tuple(
    Shot(f"checkout-{scheme}", "/credits", scheme, press="text=Buy >> nth=-1", leaves=True)
    for scheme in ("light", "dark")
)
STAFF = tuple(
    Shot(f"{page}-{name}", f"/{page}", scheme, size)
    for page in ("members", "audit-log", "first-source")
    for name, scheme, size in (
        ("light", "light", DESK),
        ("dark", "dark", DESK),
        ("phone", "light", PHONE),
    )
)
"""Pages of which the README shows no picture."""
MORE = tuple(
    Shot(f"{name}-{scheme}", "/usage", scheme, more=more, press=press)
    for name, more, press in (
        ("usage-grouped", "group=agent,model", None),
        ("usage-days", "range=30d&group=day", None),
        ("usage-event", "", "a.mh-time"),
        ("usage-empty", "q=nothing-like-this", None),
        ("usage-filters", "status=error&range=7d", "[data-testid=stPopover] >> text=Filters"),
        ("usage-views", "range=7d", "[data-testid=stPopover] >> text=Views"),
        ("usage-export", "range=7d", "[data-testid=stPopover] >> text=Export"),
    )
    for scheme in ("light", "dark")
)


def take(url: str, folder: Path, account: str | None, month: str | None, shots: tuple[Shot, ...]):
    """Write pictures into ``folder``. Raises ValueError when one is too large for a README."""
    folder.mkdir(parents=True, exist_ok=True)
    with started_browser() as browser:
        for shot in shots:
            asked = {"account": account, "month": month if shot.page == "/" else None}
            chosen = urlencode({key: value for key, value in asked.items() if value})
            query = "&".join(part for part in (chosen, shot.more) if part)
            visit = Visit(browser, scheme=shot.scheme, size=shot.size)
            visit.open(f"{url.rstrip('/')}{shot.page}?{query}")
            if shot.press:
                visit.page.locator(shot.press).first.click()
                visit.page.wait_for_timeout(1_000)
                if shot.leaves:
                    visit.page.wait_for_url("**/checkout/**")
                else:
                    visit.settle()
            file = folder / f"{shot.name}.png"
            visit.page.screenshot(path=file)
            visit.page.close()
            if file.stat().st_size > LARGEST_BYTES:
                raise ValueError(f"{file} has {file.stat().st_size:,} bytes")
            print(file)


if __name__ == "__main__":
    given = [argument for argument in sys.argv[1:] if argument != "--all"]
    wanted = SHOTS + STAFF + MORE + CHECKOUT if "--all" in sys.argv else SHOTS
    take(given[0], Path(given[1]), *[*given[2:4], None, None][:2], wanted)
