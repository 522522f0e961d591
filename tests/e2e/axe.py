"""axe-core, the checker of accessibility: from the npm registry, checked by its hash."""

import hashlib
import shutil
import subprocess
import tarfile
from base64 import b64encode
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Page

VERSION = "4.14.1"
INTEGRITY = (
    "FHfa+lmNjQZfJz1q8wKqIDwC6DExcHt/pkjNQb09a3NPjCKg2rhu5qb2S4r76ASyFNNtuFooJpZe37OgudVGtQ=="
)
"""SHA-512 of the package, as the registry tells it."""

SERIOUS = ("serious", "critical")


class Missing(Exception):
    """The package cannot be had on this machine."""


@dataclass(frozen=True)
class Finding:
    """A rule that a page breaks, how bad that is, and where: HTML and what is wrong with it."""

    rule: str
    impact: str
    places: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.rule} ({self.impact}): " + "; ".join(self.places)


def fetched(folder: Path) -> str:
    """The script, which brings ``axe`` into a page. Raises Missing without npm or its registry."""
    npm = shutil.which("npm")
    if npm is None:
        raise Missing("npm is not installed, which fetches axe-core")
    done = subprocess.run(
        [npm, "pack", f"axe-core@{VERSION}", "--silent"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    package = folder / f"axe-core-{VERSION}.tgz"
    if not package.exists():
        raise Missing(f"npm cannot fetch axe-core: {done.stderr.strip()[-200:]}")
    digest = b64encode(hashlib.sha512(package.read_bytes()).digest()).decode()
    if digest != INTEGRITY:
        raise AssertionError(f"axe-core {VERSION} is another than expected: sha512-{digest}")
    with tarfile.open(package) as archive:
        script = archive.extractfile("package/axe.min.js")
        assert script is not None
        return script.read().decode()


def findings(page: Page, script: str) -> list[Finding]:
    """What axe finds on a page with all its rules, the serious ones only."""
    page.evaluate(script)
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [
        Finding(
            each["id"],
            each["impact"],
            tuple(
                f"{node['html'][:200]} {' '.join((node.get('failureSummary') or '').split())[:300]}"
                for node in each["nodes"]
            ),
        )
        for each in found["violations"]
        if each["impact"] in SERIOUS
    ]
