"""What a run of a page works with: settings, the gate, and figures cached by snapshot."""

from datetime import date

import streamlit as st

from app.gate import Account, Gate
from app.lake import LakeReader
from app.queries.data_health import DataHealth, gather_data_health
from app.queries.overview import (
    Freshness,
    Overview,
    Pending,
    gather_freshness,
    gather_overview,
    gather_pending,
)
from warehouse.publication import Publication
from warehouse.settings import Settings, load_settings

HEAD_SECONDS = 5
"""How long figures read at the head are shown again before they are read anew."""


def shared_reader() -> LakeReader:
    """The connections that all sessions share, for the settings of this process."""
    settings = load_settings()
    return _reader(settings.model_dump_json(), settings)


def open_gate() -> Gate:
    """The gate at the publication of this moment."""
    reader = shared_reader()
    return Gate(reader, reader.publication())


def accounts(gate: Gate) -> list[Account]:
    """The accounts to choose from."""
    return _accounts(_key(gate), gate)


def overview(gate: Gate, account_id: str, month: date) -> Overview:
    """The overview of an account and month; raises UnknownAccount."""
    return _overview(_key(gate), account_id, month, gate)


def freshness(gate: Gate) -> Freshness:
    """Up to when the published figures reach."""
    return _freshness(_key(gate), gate)


def pending(gate: Gate, account_id: str) -> Pending:
    """What of an account is not settled yet, at most :data:`HEAD_SECONDS` old."""
    return _pending(_key(gate), account_id, gate)


def data_health(gate: Gate, today: date) -> DataHealth:
    """The figures of Data health, at most :data:`HEAD_SECONDS` old."""
    return _data_health(_key(gate), today, gate)


def _key(gate: Gate) -> tuple[str, Publication | None]:
    """What settled figures depend on: which lake, and what is published there."""
    return str(gate.settings.model_dump_json()), gate.publication


@st.cache_resource(max_entries=2, show_spinner=False, on_release=lambda reader: reader.close())
def _reader(key: str, _settings: Settings) -> LakeReader:
    return LakeReader(_settings)


@st.cache_data(max_entries=4, ttl="1h", show_spinner=False)
def _accounts(key: tuple[str, Publication | None], _gate: Gate) -> list[Account]:
    return _gate.accounts()


@st.cache_data(max_entries=500, ttl="1h", show_spinner=False)
def _overview(
    key: tuple[str, Publication | None], account_id: str, month: date, _gate: Gate
) -> Overview:
    return gather_overview(_gate.enter(account_id), month)


@st.cache_data(max_entries=4, ttl="1h", show_spinner=False)
def _freshness(key: tuple[str, Publication | None], _gate: Gate) -> Freshness:
    return gather_freshness(_gate)


@st.cache_data(max_entries=500, ttl=HEAD_SECONDS, show_spinner=False)
def _pending(key: tuple[str, Publication | None], account_id: str, _gate: Gate) -> Pending:
    publication = _gate.publication
    return gather_pending(_gate.enter(account_id), publication.raw_load_id if publication else 0)


@st.cache_data(max_entries=4, ttl=HEAD_SECONDS, show_spinner=False)
def _data_health(key: tuple[str, Publication | None], today: date, _gate: Gate) -> DataHealth:
    return gather_data_health(_gate, today)
