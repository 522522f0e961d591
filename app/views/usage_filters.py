"""The Usage page's row of controls and the chips of what is filtered.

The address is what counts. Where it was changed from outside (a link, the back button) the
controls follow it; where a control was changed, the view that comes back differs from the one
that went in, and the page writes it into the address.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import streamlit as st

from app import context, formats
from app.gate import Account, Gate
from app.markup import Chip, Html, chips, tag
from app.queries.usage import Facets, Names
from app.usage_address import (
    RANGE_LABELS,
    RATING_LABELS,
    STATUS_LABELS,
    Range,
    UsageView,
    clean_text,
    link,
    parse_tag,
)
from app.views.parts import write

CUSTOM = "custom"
OPTIONS_SHOWN = 2_000
"""Values that a list offers; what an address asks for beyond them is offered too."""

_KEYS = ("range", "text", "agents", "categories", "models", "statuses", "ratings", "tags")


def draw_filters(
    gate: Gate,
    account: Account,
    view: UsageView,
    today: date,
    *,
    beside: Callable[[UsageView], None],
) -> UsageView:
    """Draw the row of controls; the view as they have it now. ``beside`` draws the row's end."""
    facets, names = context.facets(gate, account), context.names(gate)
    _follow(account, view)
    with st.container(key="usage-filters", horizontal=True, vertical_alignment="center"):
        view = _choose_days(view, today)
        view = _choose_text(view)
        with st.popover("Filters", icon=":material/filter_list:", key="usage-filter"):
            view = _choose_values(gate, account, view, facets, names)
        beside(view)
    st.session_state["usage-followed"] = _followed(account, view)
    return view


def filter_chips(account: Account, view: UsageView, names: Names) -> Html | None:
    """What is filtered, each with a link that takes it off; None where nothing is."""
    chosen = view.selection
    items: list[Chip] = []

    def add(label: str, value: str, **filters: Any) -> None:
        items.append(Chip(label, value, link(account.account_id, view.narrowed(**filters))))

    if chosen.text:
        add("Text", formats.clip(chosen.text, 40), text="")
    for label, field, describe in (
        ("Agent", "agents", str),
        ("Category", "categories", lambda key: category_label(names, key)),
        ("Model", "models", lambda key: model_label(names, key)),
        ("Status", "statuses", lambda key: STATUS_LABELS.get(key, key)),
        ("Credits", "ratings", lambda key: RATING_LABELS.get(key, key)),
        ("Hour", "hours", formats.hours),
        ("Tag", "tags", lambda pair: f"{pair[0]} = {pair[1]}"),
    ):
        values = getattr(chosen, field)
        for value in values:
            rest = tuple(other for other in values if other != value)
            add(label, formats.clip(describe(value), 40), **{field: rest})
    if not items:
        return None
    return chips(items, link(account.account_id, view.cleared()))


def category_label(names: Names, category: str) -> str:
    """What a category is called."""
    return names.categories[category].label if category in names.categories else category


def model_label(names: Names, model: str) -> str:
    """What a model is called; the log's own name where it is not known."""
    if model == NO_MODEL:
        return "No model"
    return (names.models[model].model_name or model) if model in names.models else model


NO_MODEL = "(none)"
"""How the marts name the usage that names no model."""


def _followed(account: Account, view: UsageView) -> Any:
    return account.account_id, view.selection, view.range


def _follow(account: Account, view: UsageView) -> None:
    """Set the controls to the address where it changed since they were drawn, or they are new."""
    are_new = any(f"usage-{key}" not in st.session_state for key in _KEYS)
    if st.session_state.get("usage-followed") == _followed(account, view) and not are_new:
        return
    chosen = view.selection
    state = st.session_state
    state["usage-range"] = view.range.value if view.range is not None else CUSTOM
    state["usage-days"] = (chosen.first, chosen.until - timedelta(days=1))
    state["usage-text"] = chosen.text
    state["usage-agents"] = list(chosen.agents)
    state["usage-categories"] = list(chosen.categories)
    state["usage-models"] = list(chosen.models)
    state["usage-statuses"] = list(chosen.statuses)
    state["usage-ratings"] = list(chosen.ratings)
    state["usage-tags"] = [f"{key}={value}" for key, value in chosen.tags]


def _choose_days(view: UsageView, today: date) -> UsageView:
    options = [*(each.value for each in Range), CUSTOM]
    picked = st.selectbox(
        "Days",
        options,
        format_func=lambda value: "Custom days" if value == CUSTOM else RANGE_LABELS[Range(value)],
        key="usage-range",
        required=True,
        label_visibility="collapsed",
        width=158,
    )
    if picked != CUSTOM:
        chosen = Range(str(picked))
        return view if view.range is chosen else view.in_range(chosen, today)
    if "usage-days" not in st.session_state:
        st.session_state["usage-days"] = (
            view.selection.first,
            view.selection.until - timedelta(days=1),
        )
    days = st.date_input(
        "First and last day",
        key="usage-days",
        min_value=date(1970, 1, 1),
        max_value=date(2199, 12, 31),
        format=formats.in_use().typed_day,
        label_visibility="collapsed",
        width=264,
    )
    if not isinstance(days, tuple) or len(days) != 2:
        return view if view.range is None else replace(view, range=None)
    first, until = days[0], days[1] + timedelta(days=1)
    if (first, until) == (view.selection.first, view.selection.until):
        return replace(view, range=None)
    return view.in_days(first, until)


def _choose_text(view: UsageView) -> UsageView:
    text = st.text_input(
        "Text to look for",
        key="usage-text",
        placeholder="Search ids, agents, models, sessions, tags",
        icon=":material/search:",
        max_chars=200,
        label_visibility="collapsed",
        width="stretch",
    )
    return _narrowed(view, text=clean_text(text or ""))


def _choose_values(
    gate: Gate, account: Account, view: UsageView, facets: Facets, names: Names
) -> UsageView:
    chosen = view.selection
    agents = st.multiselect(
        "Agents",
        _options(chosen.agents, [option.value for option in facets.agents]),
        key="usage-agents",
        placeholder="All agents",
        filter_mode="contains",
        select_all=False,
    )
    models = st.multiselect(
        "Models",
        _options(chosen.models, [option.value for option in facets.models]),
        format_func=lambda model: model_label(names, model),
        key="usage-models",
        placeholder="All models",
        filter_mode="contains",
        select_all=False,
    )
    used = [option.value for option in facets.categories]
    categories = st.pills(
        "Categories",
        _options(chosen.categories, [key for key in names.categories if key in used]),
        selection_mode="multi",
        format_func=lambda category: formats.plain(category_label(names, category)),
        key="usage-categories",
    )
    statuses = st.pills(
        "Status",
        list(STATUS_LABELS),
        selection_mode="multi",
        format_func=lambda status: STATUS_LABELS[status],
        key="usage-statuses",
    )
    ratings = st.pills(
        "Where the credits come from",
        list(RATING_LABELS),
        selection_mode="multi",
        format_func=lambda rating: RATING_LABELS[rating],
        key="usage-ratings",
    )
    tags = _choose_tags(gate, account, view)
    return _narrowed(
        view,
        agents=tuple(agents),
        models=tuple(models),
        categories=tuple(categories),
        statuses=tuple(statuses),
        ratings=tuple(ratings),
        tags=tags,
    )


def _choose_tags(gate: Gate, account: Account, view: UsageView) -> tuple[tuple[str, str], ...]:
    """Tags of the period to choose from; another can be typed as ``key=value``."""
    chosen = view.selection
    offered = context.tags(gate, account.account_id, chosen.first, chosen.until)
    texts = st.multiselect(
        "Tags",
        _options(
            tuple(f"{key}={value}" for key, value in chosen.tags),
            [f"{key}={value}" for key, value in offered],
        ),
        key="usage-tags",
        placeholder="Any tags; write one as key=value",
        accept_new_options=True,
        filter_mode="contains",
        select_all=False,
    )
    by_text = {f"{key}={value}": (key, value) for key, value in (*offered, *chosen.tags)}
    found: dict[tuple[str, str], None] = {}
    for text in texts:
        pair = by_text.get(text) or parse_tag(text.strip())
        if pair is None:
            write(
                tag(
                    "p", f"“{formats.clip(text, 40)}” is no tag; write key=value.", class_="mh-soft"
                )
            )
        else:
            found[pair] = None
    return tuple(found)


def _narrowed(view: UsageView, **filters: Any) -> UsageView:
    """The view with these filters; the same view where they are what it has."""
    if all(getattr(view.selection, name) == value for name, value in filters.items()):
        return view
    return view.narrowed(**filters)


def _options(chosen: tuple[str, ...], offered: list[str]) -> list[str]:
    """What a list offers: the most used values, and in any case those that are chosen."""
    return list(dict.fromkeys([*offered[:OPTIONS_SHOWN], *chosen]))
