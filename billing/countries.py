"""ISO 3166-1: the two-letter codes of countries, as the time zone database lists them."""

from functools import cache
from importlib.resources import files


@cache
def known_countries() -> dict[str, str]:
    """English names by code, such as ``DE``."""
    table = files("tzdata.zoneinfo").joinpath("iso3166.tab").read_text("utf-8")
    lines = (line for line in table.splitlines() if line and line[0] != "#")
    return {code: name for code, _, name in (line.partition("\t") for line in lines)}
