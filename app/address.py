"""What is chosen on a page stands in its address, so that a link shows the same to another.

The address holds ids (``?account=acme&month=2026-11``), not the labels that a bound widget would
write there: an id outlives a rename.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import date

import streamlit as st

from app import formats


def choose(
    key: str, label: str, options: Sequence[str], describe: Callable[[str], str]
) -> tuple[str, str | None]:
    """A select box whose choice follows the address, and what the address asked for in vain.

    The first of ``options`` is the default. The address counts when it was changed from outside
    (a link, the browser's back button); otherwise the box does. Call :func:`write` with what all
    boxes of the page chose.
    """
    asked = st.query_params.get(key)
    written = st.session_state.get(_written(key))
    missed = None
    if asked is not None and asked != written:
        if asked in options:
            st.session_state[key] = asked
        else:
            missed = formats.clip(asked, 40)
    elif key not in st.session_state and written in options:
        st.session_state[key] = written
    # Set anew in every run: what stands there may come from the same box of another page, whose
    # value Streamlit would not hand on.
    here = st.session_state.get(key)
    st.session_state[key] = here if here in options else options[0]
    chosen = st.selectbox(
        label,
        options,
        format_func=describe,
        key=key,
        required=True,
        filter_mode="contains",
        label_visibility="collapsed",
    )
    return str(chosen), missed


def is_chosen(key: str) -> bool:
    """Whether the address, or a page before, says what the box ``key`` holds."""
    return key in st.query_params or _written(key) in st.session_state


def forget(key: str) -> None:
    """Have the box ``key`` hold nothing that was chosen before."""
    for name in (key, _written(key)):
        st.session_state.pop(name, None)


def read() -> dict[str, list[str]]:
    """Every parameter of the address with all its values."""
    return {key: st.query_params.get_all(key) for key in st.query_params}


def write(choices: Mapping[str, str | Sequence[str]]) -> None:
    """Put the choices into the address, once for all of them."""
    for key, value in choices.items():
        st.session_state[_written(key)] = value
    values = {k: [v] if isinstance(v, str) else list(v) for k, v in choices.items()}
    if read() != values:
        st.query_params.from_dict(values)


def month_id(month: date) -> str:
    """``2026-11``."""
    return f"{month:%Y-%m}"


def _written(key: str) -> str:
    return f"address:{key}"
