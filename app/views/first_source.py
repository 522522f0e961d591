"""First source: step by step from an empty house to the first own usage, for the staff."""

from datetime import UTC, datetime
from functools import partial

import streamlit as st

from app import context
from app.first_source import Found, State, Step, steps
from app.gate import Gate
from app.markup import Html, badge, code, link, notice, tag
from app.views.parts import card, live_line, or_whole_page, watch, write

_BADGES: dict[State, tuple[str, str]] = {
    "done": ("done", "good"),
    "next": ("next", "accent"),
    "later": ("to come", "quiet"),
    "trouble": ("needs you", "warn"),
}
LOOK_SECONDS = 5


def draw() -> None:
    """Draw the page."""
    gate = context.open_gate()
    gate.require_staff("first source")
    write(tag("h1", "First source"))
    draw_steps(gate)
    watch(gate.publication)


def draw_steps(gate: Gate) -> None:
    """Draw the steps, and draw them anew as they are done."""

    @st.fragment(run_every=LOOK_SECONDS)
    def look() -> None:
        with or_whole_page():
            found = context.first_source(gate)
        write(live_line(datetime.now(UTC)))
        _remarks(found)
        for number, step in enumerate(steps(found), 1):
            with card(f"step-{number}", fills=False):
                _step(number, step)

    look()


def _remarks(found: Found) -> None:
    if found.is_published:
        write(
            notice(
                "good",
                "Your own usage is published.",
                link("./", "Look at it"),
                "Another source comes in by the same steps.",
            )
        )
    elif found.loads.sample_loads:
        write(
            notice(
                "quiet",
                "This house holds sample usage, which stays in it.",
                "Begin with real usage in a house of its own:",
                tag("code", "METERHOUSE_HOME=/data/meterhouse meterhouse up --no-sample"),
            )
        )
    else:
        write(
            notice(
                "quiet",
                "There is no usage here yet.",
                "To look around first, fill the house with a sample:",
                tag("code", "meterhouse sample && meterhouse load && meterhouse refresh"),
            )
        )


def _step(number: int, step: Step) -> None:
    write(_head(number, step), tag("p", step.told, class_="mh-soft mh-step"))
    if step.state == "done" or not step.commands:
        return
    show = partial(write, code("\n".join(step.commands)))
    if step.state == "later":
        with st.expander("How"):
            show()
    else:
        show()


def _head(number: int, step: Step) -> Html:
    return tag(
        "div",
        tag("h3", f"{number}. {step.title}"),
        badge(*_BADGES[step.state]),
        class_="mh-heading",
    )


if __name__ == "__main__":
    draw()
