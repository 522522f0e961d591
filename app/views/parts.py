"""Pieces of layout that the pages share."""

from collections.abc import Sequence

import streamlit as st

from app.context import shared_reader
from app.gate import Gate
from app.markup import Child, Html, empty, join
from warehouse.publication import Publication

WATCH_SECONDS = 15


def card(key: str) -> st.delta_generator.DeltaGenerator:
    """A bordered card that fills its row; ``key`` names it for the style sheet."""
    return st.container(border=True, height="stretch", key=f"card-{key}")


def row(key: str, *weights: float) -> Sequence[st.delta_generator.DeltaGenerator]:
    """Cards side by side, as wide as their weights say; one below the other where it is narrow."""
    with st.container(key=f"row-{key}"):
        return st.columns(list(weights), gap="small")


def write(*parts: Child) -> None:
    """Put markup on the page."""
    st.html(join(parts))


def nothing_published(gate: Gate) -> Html:
    """What to do before the first publication."""
    if gate.has_raw():
        return empty(
            "Nothing is published yet",
            "Usage was loaded, but no refresh has built, checked and published it.",
            commands=("meterhouse refresh",),
        )
    return empty(
        "Nothing is published yet",
        "There is no usage in this house yet. Load a log or make a sample, then refresh:",
        commands=(
            "meterhouse sample",
            "meterhouse load --source meterhouse usage.ndjson",
            "meterhouse refresh",
        ),
    )


def watch(publication: Publication | None) -> None:
    """Show the page anew by itself once something newer is published."""

    @st.fragment(run_every=WATCH_SECONDS)
    def look() -> None:
        if shared_reader().publication() != publication:
            st.rerun()

    look()
