"""Names, colours and assets that the pages share.

The palettes of Streamlit itself are in ``.streamlit/config.toml``, the look of our own markup in
``static/app.css``; charts take their colours from here.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

STATIC = Path(__file__).resolve().parent / "static"
LOGO = STATIC / "logo.svg"
ICON = STATIC / "icon.png"
STYLES = STATIC / "app.css"
LINKS = STATIC / "links.js"


@dataclass(frozen=True)
class Palette:
    """The colours of a chart on a light or a dark page."""

    accent: str
    faded: str
    spike: str
    good: str
    usual: str
    text: str
    grid: str
    surface: str


LIGHT = Palette(
    accent="#5b54e8",
    faded="#c9c9f2",
    spike="#f08a5d",
    good="#2f9e6e",
    usual="#8a8fa6",
    text="#646a80",
    grid="#eceef4",
    surface="#ffffff",
)
DARK = Palette(
    accent="#8485f7",
    faded="#3c3f6b",
    spike="#f2a27a",
    good="#5ecb9b",
    usual="#8f94aa",
    text="#9499ae",
    grid="#232735",
    surface="#101219",
)


def palette(kind: str | None) -> Palette:
    """The palette for Streamlit's theme ``kind``; light where it is not known yet."""
    return DARK if kind == "dark" else LIGHT


CATEGORY_COLOURS: Mapping[str, str] = MappingProxyType(
    {
        name: f"var(--mh-{name})"
        for name in ("llm", "sql", "text", "document", "image", "video", "sound", "music")
    }
)
"""One colour a category, whatever its rank; ``app.css`` gives each in light and dark."""


def category_colour(category: str) -> str:
    """A category's colour as CSS; neutral for one that is new here."""
    return CATEGORY_COLOURS.get(category, "var(--mh-quiet)")


def links_script() -> str:
    """The script that follows links between our pages without loading the app anew."""
    return f"<script>{LINKS.read_text(encoding='utf-8')}</script>"


def brand_style(platform_name: str) -> str:
    """A rule that writes the platform's name beside the logo, as text in the page's own type."""
    return (
        "<style>[data-testid='stSidebarHeader'] > :first-child::after"
        f'{{content:"{_css_text(platform_name)}"}}</style>'
    )


def _css_text(text: str) -> str:
    """A text inside a CSS string: everything but letters and digits as its code point."""
    return "".join(letter if letter.isalnum() else f"\\{ord(letter):x} " for letter in text)
