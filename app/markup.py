"""Building blocks of HTML. Texts are escaped where they enter; only :class:`Html` passes as is.

What comes from data can be hostile: it goes in as ``str`` and can never become markup. The
classes are styled in ``static/app.css``.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from html import escape

from warehouse.settings import Settings


class Html(str):
    """Markup that was built here and needs no escaping."""


Child = Html | str | int | None


def tag(name: str, *children: Child, **attributes: str | None) -> Html:
    """``<name attribute="…">children</name>``, everything escaped that is not Html.

    An attribute's trailing underscore is dropped (``class_``), other underscores become hyphens;
    attributes and children that are None are left out.
    """
    text = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(value)}"'
        for key, value in attributes.items()
        if value is not None
    )
    return Html(f"<{name}{text}>{join(children)}</{name}>")


def join(children: Iterable[Child]) -> Html:
    """Children one after the other."""
    return Html(
        "".join(
            child if isinstance(child, Html) else escape(str(child))
            for child in children
            if child is not None
        )
    )


def badge(text: str, kind: str = "quiet", title: str | None = None) -> Html:
    """A small label; ``kind`` is quiet, good, warn, bad or accent."""
    return tag("span", text, class_=f"mh-badge mh-{kind}", title=title)


def heading(text: str, *aside: Child) -> Html:
    """A card's title, with what stands beside it in small print."""
    return tag(
        "div",
        tag("h3", text),
        tag("span", *aside, class_="mh-aside") if aside else None,
        class_="mh-heading",
    )


def link(href: str, *children: Child, label: str | None = None, class_: str = "") -> Html:
    """A real link to a page of the app, followed without loading the app anew (links.js).

    ``href`` is relative: a page's name and its parameters, or parameters alone.
    """
    return tag("a", *children, href=href, class_=f"mh-to {class_}".strip(), aria_label=label)


def support(settings: Settings, text: str | None = None) -> Html:
    """A link to the platform's support, wherever the settings say that this is."""
    is_page = bool(settings.support_url)
    return tag(
        "a",
        text or ("Help" if is_page else settings.support_email),
        href=settings.support_link,
        target="_blank" if is_page else None,
        rel="noopener" if is_page else None,
        class_="mh-out",
    )


@dataclass(frozen=True)
class Column:
    """A table's column: its title, whether it holds figures, whether a phone leaves it out.

    ``href`` sorts the table by it; ``sorted_by`` says that it is: ``ascending``, ``descending``.
    """

    title: str
    is_figure: bool = False
    is_wide_only: bool = False
    help: str | None = None
    href: str | None = None
    sorted_by: str | None = None


@dataclass(frozen=True)
class Row:
    """A table's row that differs from the others: ``class_`` says how."""

    cells: Sequence[Child]
    class_: str | None = None


def table(columns: Sequence[Column], rows: Iterable[Sequence[Child] | Row]) -> Html:
    """A table whose cells are texts or Html, in the order of ``columns``."""
    classes = [
        " ".join(
            name
            for name, given in (("mh-figure", column.is_figure), ("mh-wide", column.is_wide_only))
            if given
        )
        or None
        for column in columns
    ]
    head = tag(
        "tr",
        *(
            tag(
                "th",
                _column_title(column),
                scope="col",
                class_=name,
                title=column.help,
                aria_sort=column.sorted_by,
            )
            for column, name in zip(columns, classes, strict=True)
        ),
    )
    given = (row if isinstance(row, Row) else Row(row) for row in rows)
    body = (
        tag(
            "tr",
            *(tag("td", cell, class_=name) for cell, name in zip(row.cells, classes, strict=True)),
            class_=row.class_,
        )
        for row in given
    )
    return tag(
        "div",
        tag("table", tag("thead", head), tag("tbody", *body), class_="mh-table"),
        class_="mh-scroll",
    )


def _column_title(column: Column) -> Child:
    if column.href is None:
        return column.title
    arrow = {"ascending": "↑", "descending": "↓"}.get(column.sorted_by or "")
    return link(
        column.href,
        column.title,
        tag("span", arrow, class_="mh-arrow", aria_hidden="true") if arrow else None,
        class_="mh-sort",
    )


def named(
    name: str, detail: str | None = None, title: str | None = None, href: str | None = None
) -> Html:
    """A name with a line of detail under it; a long one is cut, its whole text in the tooltip.

    ``href`` makes it a link, and the table's whole row leads there.
    """
    return tag(
        "div",
        tag("div", link(href, name, class_="mh-row-link") if href else name, class_="mh-name"),
        tag("div", detail, class_="mh-detail") if detail else None,
        title=title or name,
        class_="mh-named",
    )


def figure(text: str, detail: str | None = None) -> Html:
    """A figure with a line of detail under it."""
    return tag("div", text, tag("div", detail, class_="mh-detail") if detail else None)


def stat(
    label: str,
    value: str,
    *detail: Child,
    help: str | None = None,
    is_big: bool = False,
    href: str | None = None,
) -> Html:
    """A figure with its label above and details below; as large as its place allows, never cut.

    ``href`` leads to what is behind the figure.
    """
    return tag(
        "div",
        tag(
            "div",
            tag("span", label, class_="mh-stat-text"),
            tag("span", "?", class_="mh-help", title=help, role="note", aria_label=help)
            if help
            else None,
            class_="mh-stat-label",
        ),
        tag(
            "div",
            link(href, value, label=f"{label}: {value}. Show the usage behind it")
            if href
            else value,
            class_="mh-stat-value",
            style=f"--letters:{max(len(value), 4)}",
        ),
        *(
            item if isinstance(item, Html) else tag("div", item, class_="mh-foot")
            for item in detail
            if item is not None
        ),
        class_="mh-stat mh-stat-big" if is_big else "mh-stat",
    )


def meter(share: Decimal, of: Decimal, colour: str | None = None) -> Html:
    """A thin bar, full where ``share`` equals ``of``."""
    style = f"width:{_percent(share, of)}"
    if colour:
        style += f";background:{colour}"
    return tag("div", tag("i", style=style), class_="mh-meter")


@dataclass(frozen=True)
class Bar:
    """One horizontal bar: what it is, how long, what is written at its end, its colour.

    ``href`` leads to what is behind it.
    """

    label: str
    value: Decimal
    text: str
    colour: str
    title: str
    href: str | None = None


def bars(items: Sequence[Bar]) -> Html:
    """Horizontal bars on a common scale, labelled at their ends."""
    longest = max((item.value for item in items), default=Decimal(0))
    rows = (
        tag(
            "div",
            tag(
                "span",
                link(item.href, item.label, class_="mh-row-link") if item.href else item.label,
                class_="mh-bar-label",
            ),
            tag(
                "span",
                tag(
                    "i",
                    style=f"width:calc((100% - 8.6rem) * {_ratio(item.value, longest):.4f});"
                    f"background:{item.colour}",
                ),
                tag("b", item.text),
                class_="mh-bar-track",
            ),
            class_="mh-bar",
            title=item.title,
        )
        for item in items
    )
    return tag("div", *rows, class_="mh-bars")


def sparkline(values: Sequence[Decimal], label: str) -> Html:
    """A small line over ``values`` from left to right, from zero at its foot; needs two values.

    Drawn as two clipped boxes, because Streamlit takes vector graphics out of markup.
    """
    if len(values) < 2:
        return Html("")
    top = max(*values, Decimal("1e-9"))
    points = [
        (100 * index / (len(values) - 1), 92 - 86 * _ratio(value, top))
        for index, value in enumerate(values)
    ]
    line = _polygon(points)
    below = _polygon([(x, y + 8) for x, y in reversed(points)])
    return tag(
        "div",
        tag("i", style=f"clip-path:polygon({line},100% 100%,0% 100%)"),
        tag("i", style=f"clip-path:polygon({line},{below})"),
        class_="mh-spark",
        role="img",
        aria_label=label,
    )


def _polygon(points: Iterable[tuple[float, float]]) -> str:
    return ",".join(f"{x:.1f}% {y:.1f}%" for x, y in points)


def columns_of_days(values: Sequence[int | None], titles: Sequence[str]) -> Html:
    """A strip of small columns, one a day; None marks a missing day, 0 one before or after."""
    top = max((value for value in values if value), default=1)
    cells = (
        tag("i", class_="mh-gap" if value is None else "mh-none", title=title)
        if not value
        else tag("i", style=f"height:{max(6, round(100 * value / top))}%", title=title)
        for value, title in zip(values, titles, strict=True)
    )
    return tag("div", *cells, class_="mh-days")


def empty(title: str, *lines: Child, commands: Sequence[str] = ()) -> Html:
    """What stands where there is nothing to show, and what to do about it."""
    return tag(
        "div",
        tag("h3", title),
        *(tag("p", line) for line in lines if line is not None),
        tag("pre", "\n".join(commands)) if commands else None,
        class_="mh-empty",
    )


def notice(kind: str, title: str, *lines: Child) -> Html:
    """A framed remark; ``kind`` is warn, bad, good or quiet."""
    return tag(
        "div",
        tag("strong", title),
        *(tag("span", line) for line in lines),
        class_=f"mh-notice mh-notice-{kind}",
        role="note",
    )


@dataclass(frozen=True)
class Choice:
    """One of several links side by side, of which one may be the present one."""

    label: str
    href: str
    is_chosen: bool = False


def choices(label: str, items: Sequence[Choice]) -> Html:
    """Links side by side under a common label; the chosen one is marked, for ears too."""
    return tag(
        "nav",
        tag("span", label, class_="mh-choices-label", aria_hidden="true"),
        *(
            tag(
                "a",
                item.label,
                href=item.href,
                class_="mh-to mh-choice",
                aria_current="true" if item.is_chosen else None,
            )
            for item in items
        ),
        class_="mh-choices",
        aria_label=label,
    )


@dataclass(frozen=True)
class Chip:
    """A filter that is active and the link that takes it off."""

    label: str
    value: str
    href: str


def chips(items: Sequence[Chip], clear: str, shown: int = 12) -> Html:
    """The active filters, each with its way off, and one for all of them."""
    more = len(items) - shown
    return tag(
        "div",
        *(
            link(
                item.href,
                tag("span", f"{item.label} "),
                tag("b", item.value),
                tag("i", "×", aria_hidden="true"),
                label=f"Remove {item.label.lower()} {item.value}",
                class_="mh-chip",
            )
            for item in items[:shown]
        ),
        tag("span", f"and {more} more", class_="mh-soft") if more > 0 else None,
        link(clear, "Clear all", class_="mh-clear"),
        class_="mh-chips",
    )


def fields(items: Iterable[tuple[str, Child]]) -> Html:
    """Names and what they hold, one a line."""
    return tag(
        "dl",
        *(tag("div", tag("dt", name), tag("dd", value)) for name, value in items),
        class_="mh-fields",
    )


def code(text: str) -> Html:
    """A block of text as it is."""
    return tag("pre", text, class_="mh-code")


def with_code(text: str) -> Html:
    """A sentence whose parts between backticks are set as code."""
    parts = text.split("`")
    return join(tag("code", part) if index % 2 else part for index, part in enumerate(parts))


def _ratio(value: Decimal, of: Decimal) -> float:
    return float(min(Decimal(1), max(Decimal(0), value / of))) if of else 0.0


def _percent(value: Decimal, of: Decimal) -> str:
    return f"{100 * _ratio(value, of):.1f}%"
