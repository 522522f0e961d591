"""How a mail looks: one letter as text, and as HTML with bars that mail programs show. Pure."""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from html import escape
from typing import Literal

BAR_PIXELS = 60
_COLOURS = {"bad": "#b3261e", "good": "#1b7f4b", "plain": "#1c1c1c"}
_SOFT = "color:#5f6368"


@dataclass(frozen=True)
class Letter:
    """What a mail says. ``figures`` are (label, value), ``lists`` (heading, lines).

    ``days`` are drawn as bars; those before ``marked_from`` are pale.
    """

    title: str
    tone: Literal["bad", "good", "plain"]
    figures: Sequence[tuple[str, str]]
    link: str
    link_text: str
    days: Sequence[tuple[date, Decimal]] = ()
    marked_from: date | None = None
    lists: Sequence[tuple[str, Sequence[str]]] = ()
    foot: str = ""


def as_text(letter: Letter) -> str:
    """The letter as plain text."""
    lines = [letter.title, "", *(f"{label}: {value}" for label, value in letter.figures), ""]
    for heading, items in letter.lists:
        lines += [f"{heading}:", *(f"  {one_line(item)}" for item in items), ""]
    lines += [f"{letter.link_text}: {letter.link}", ""]
    return "\n".join([*lines, letter.foot, ""] if letter.foot else lines)


def as_html(letter: Letter) -> str:
    """The same as HTML without anything from outside; every text in it is escaped."""
    figures = "".join(
        f"<tr><td style='padding:3px 18px 3px 0;{_SOFT}'>{escape(label)}</td>"
        f"<td style='padding:3px 0'><b>{escape(value)}</b></td></tr>"
        for label, value in letter.figures
    )
    lists = "".join(
        f"<p style='margin:18px 0 4px;{_SOFT}'>{escape(heading)}</p>"
        "<ul style='margin:0;padding-left:20px'>"
        + "".join(f"<li>{escape(one_line(item))}</li>" for item in items)
        + "</ul>"
        for heading, items in letter.lists
    )
    foot = f"<p style='margin:18px 0 0;font-size:13px;{_SOFT}'>{escape(letter.foot)}</p>"
    return (
        "<!doctype html><html><head><meta charset='utf-8'>"
        "<meta name='viewport' content='width=device-width'></head>"
        "<body style='margin:0;padding:24px;background:#f5f6fa;color:#1c1c1c;"
        "font:15px/1.5 -apple-system,Segoe UI,Helvetica,Arial,sans-serif'>"
        "<div style='max-width:560px;margin:0 auto;padding:24px 28px;background:#ffffff;"
        "border-radius:10px'>"
        f"<h1 style='margin:0 0 14px;font-size:18px;line-height:1.35;"
        f"color:{_COLOURS[letter.tone]}'>{escape(letter.title)}</h1>"
        f"<table cellpadding='0' cellspacing='0'>{figures}</table>"
        f"{_bars(letter.days, letter.marked_from)}{lists}"
        f"<p style='margin:22px 0 0'><a href='{escape(letter.link)}' style='color:#4a43d6'>"
        f"{escape(letter.link_text)}</a></p>{foot if letter.foot else ''}</div></body></html>"
    )


def one_line(text: str) -> str:
    """A text as it can stand in a subject: names of a log may hold line breaks, headers may not."""
    kept = (c if unicodedata.category(c)[0] not in "CZ" else " " for c in text)
    return " ".join("".join(kept).split())[:400]


def shown(amount: Decimal | None) -> str:
    """An amount with at most two decimals."""
    return "unknown" if amount is None else f"{amount:,.2f}".removesuffix(".00")


def _bars(days: Sequence[tuple[date, Decimal]], marked_from: date | None) -> str:
    highest = max((amount for _, amount in days), default=Decimal(0))
    if highest <= 0:
        return ""
    cells = "".join(
        f"<td valign='bottom' title='{day}: {shown(amount)}' style='padding:0 1px'>"
        f"<div style='width:10px;height:{max(int(BAR_PIXELS * amount / highest), 1)}px;"
        f"background:{'#c9c9f2' if marked_from and day < marked_from else '#5b54e8'}'>"
        "</div></td>"
        for day, amount in days
    )
    first, last = days[0][0], days[-1][0]
    return (
        f"<table cellpadding='0' cellspacing='0' height='{BAR_PIXELS}'"
        f" style='margin:18px 0 2px'><tr>{cells}</tr></table>"
        f"<p style='margin:0;font-size:12px;{_SOFT}'>{first} to {last}, a bar a day</p>"
    )
