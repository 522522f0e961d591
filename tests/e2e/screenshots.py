"""Takes the pictures of the README from a running app.

``python -m tests.e2e.screenshots http://127.0.0.1:8501 docs/images [ACCOUNT [MONTH]]`` writes
overview-light.png, overview-dark.png, overview-phone.png, data-health-light.png and
data-health-dark.png. Without an account the page's own choice is shown.
"""

import sys
from pathlib import Path
from urllib.parse import urlencode

from tests.e2e.browser import Scheme, Visit, started_browser

LARGEST_BYTES = 400 * 1024
SHOTS: tuple[tuple[str, str, Scheme, tuple[int, int]], ...] = (
    ("overview-light", "/", "light", (1440, 1240)),
    ("overview-dark", "/", "dark", (1440, 1240)),
    ("overview-phone", "/", "light", (390, 1500)),
    ("data-health-light", "/data-health", "light", (1440, 1240)),
    ("data-health-dark", "/data-health", "dark", (1440, 1240)),
)


def take(url: str, folder: Path, account: str | None = None, month: str | None = None) -> None:
    """Write every picture into ``folder``. Raises ValueError when one is too large for a README."""
    folder.mkdir(parents=True, exist_ok=True)
    chosen = urlencode({k: v for k, v in (("account", account), ("month", month)) if v})
    with started_browser() as browser:
        for name, path, scheme, size in SHOTS:
            address = f"{path}?{chosen}" if path == "/" and chosen else path
            visit = Visit(browser, scheme=scheme, size=size).open(url.rstrip("/") + address)
            file = folder / f"{name}.png"
            visit.page.screenshot(path=file)
            visit.page.close()
            if file.stat().st_size > LARGEST_BYTES:
                raise ValueError(f"{file} has {file.stat().st_size:,} bytes")
            print(file)


if __name__ == "__main__":
    take(sys.argv[1], Path(sys.argv[2]), *sys.argv[3:5])
