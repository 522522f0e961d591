"""What a run of a page works with: settings, the gate, and figures cached by snapshot."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import streamlit as st
from starlette.requests import Request

from app import address, formats, sign_in
from app.first_source import Found
from app.gate import Account, Gate
from app.lake import LakeReader
from app.queries.accounts import (
    Line,
    Standing,
    Watched,
    gather_standings,
    gather_watched,
    lines_of,
)
from app.queries.closing import Closing, gather_closing
from app.queries.credits import (
    BalanceDay,
    LedgerFilter,
    LedgerPage,
    gather_days,
    gather_ledger,
)
from app.queries.data_health import DataHealth, gather_data_health
from app.queries.first_source import gather_first_source
from app.queries.insights_advice import (
    Advice,
    AdviceEvents,
    Week,
    gather_advice,
    gather_advice_events,
    gather_weeks,
)
from app.queries.insights_incidents import gather_incidents
from app.queries.insights_projection import Outlook, gather_outlook
from app.queries.overview import (
    Freshness,
    Overview,
    Pending,
    gather_freshness,
    gather_overview,
    gather_pending,
)
from app.queries.usage import (
    EventDetail,
    EventPage,
    Facets,
    Groups,
    Names,
    PendingEvents,
    Totals,
    UsageSummary,
    gather_event,
    gather_facets,
    gather_groups,
    gather_names,
    gather_page,
    gather_pending_events,
    gather_summary,
    gather_tags,
)
from app.query_times import time_store
from app.usage_address import EventKey, UsageView
from app.users import NotSignedIn, User
from billing import audit, invitations
from billing.incidents import Incident
from billing.invoices.explain import Explained
from billing.position import CreditPosition
from billing.store import Store, open_store, store_exists
from warehouse.errors import MeterhouseError
from warehouse.publication import Publication
from warehouse.settings import Settings, load_settings
from warehouse.usage.selection import Dimension, Selection

WATCHED_SECONDS = 60
"""The same for what the list of accounts knows of budgets, invoices and rejected rows."""

HEAD_SECONDS = 5
"""How long figures read at the head are shown again before they are read anew."""

Key = tuple[str, Publication | None, bool]
"""Settings, publication, and whether the staff asks, who is told more."""

LIVE_SECONDS = 0.8
"""The same for balances: sessions that look at one account at the same time share an answer."""


def shared_reader() -> LakeReader:
    """The connections that all sessions share, for the settings of this process."""
    settings = load_settings()
    return _reader(settings.model_dump_json(), settings)


_LOOKED_AT = "looked-at"


def open_gate(user: User | None = None) -> Gate:
    """The gate at the publication of this moment, for ``user`` or else for who opened the page.

    A page outlives its run: parts of it are drawn anew, and its buttons hand files out. So a gate
    of who opened it asks by itself who that is now. Raises NotSignedIn where that is nobody.
    """
    settings = load_settings()
    reader = shared_reader()
    renew = None
    if user is None:
        user = visiting(settings).user
        if user is None:
            raise NotSignedIn
        if settings.has_sign_in:
            renew = _renewing(settings)
    has_store = store_exists(settings)
    store = (lambda: shared_store(settings)) if has_store else None
    return Gate(reader, reader.publication(), store, user, renew)


def _renewing(settings: Settings) -> Callable[[], User | None]:
    look = sign_in.looking(settings, shared_store(settings))
    return lambda: look().user


def visiting(settings: Settings) -> sign_in.Visitor:
    """Who opened the page that runs now, with the roles of this moment."""
    store = shared_store(settings) if settings.has_sign_in else None
    found = sign_in.visitor(settings, store)
    if store is not None and found.user is not None and _accept(store, found.user):
        return sign_in.visitor(settings, store)
    return found


def _accept(store: Store, user: User) -> bool:
    """Accept what the user is invited to; whether that was anything."""
    accepted = invitations.accept(store, user.name)
    for each in accepted:
        audit.record(
            store,
            user.name,
            "member.accept",
            account_id=each.account_id,
            details={"role": each.role, "invited_by": each.recorded_by},
            origin=user.origin,
        )
    return bool(accepted)


def log_missed(account_id: str) -> None:
    """Log that the page's address asked for an account that the user does not see."""
    gate = open_gate()
    if not gate.user.sees(account_id):
        gate.log("account.enter", "refused", account_id)


def looks_as_staff(account_id: str) -> bool:
    """Whether who opened the page looks at a customer's account; the log tells when that begins.

    That is who signed in as an admin of the platform and has no role of their own in the account.
    Another account, and :func:`leave_account`, end it.
    """
    settings = load_settings()
    user = visiting(settings).user if settings.has_sign_in else None
    is_staff = user is not None and user.is_staff and account_id not in user.roles
    if st.session_state.get(_LOOKED_AT) != (account_id if is_staff else None):
        _log_leaving()
        if is_staff:
            st.session_state[_LOOKED_AT] = account_id
            open_gate(user).log("account.look", "allowed", account_id)
    return is_staff


def leave_account() -> None:
    """Have the staff look at no account any more; the log tells it."""
    _log_leaving()
    if load_settings().has_sign_in:
        address.forget("account")


def must_choose() -> bool:
    """Whether who opened the page chooses an account first: the staff is shown none unasked.

    The one user without sign-in has nobody to answer to.
    """
    settings = load_settings()
    if not settings.has_sign_in or address.is_chosen("account"):
        return False
    user = visiting(settings).user
    return user is not None and user.is_staff


def _log_leaving() -> None:
    account_id = st.session_state.pop(_LOOKED_AT, None)
    if account_id is not None:
        open_gate().log("account.leave", "allowed", account_id)


def gate_of(request: Request) -> Gate:
    """The gate for who sent a request to one of our routes. Raises NotSignedIn for nobody."""
    settings = load_settings()
    store = shared_store(settings) if settings.has_sign_in else None
    user = sign_in.user_of_request(request, settings, store)
    if user is None:
        raise NotSignedIn
    return open_gate(user)


def shared_store(settings: Settings) -> Store:
    """The operational store that all sessions share; raises MeterhouseError out of reach."""
    return _store(settings.model_dump_json(), settings)


def accounts(gate: Gate) -> list[Account]:
    """The accounts to choose from: those published, then those that were only declared so far."""
    seen = gate.user.accounts
    published = _accounts(_key(gate), seen, gate) if gate.publication else []
    known = {account.account_id for account in published}
    declared = _declared_accounts(_key(gate), seen, gate)
    return [*published, *(each for each in declared if each.account_id not in known)]


def locale(gate: Gate, account_id: str) -> formats.Locale:
    """How the account's figures and dates are written, at most :data:`HEAD_SECONDS` old."""
    return _locale(_key(gate, account_id), account_id, gate)


def overview(gate: Gate, account_id: str, month: date) -> Overview:
    """The overview of an account and month; raises UnknownAccount."""
    return _overview(_key(gate, account_id), account_id, month, gate)


def freshness(gate: Gate) -> Freshness:
    """Up to when the published figures reach."""
    return _freshness(_key(gate), gate)


def pending(gate: Gate, account_id: str) -> Pending:
    """What of an account is not settled yet, at most :data:`HEAD_SECONDS` old."""
    return _pending(_key(gate, account_id), account_id, gate)


def data_health(gate: Gate, today: date) -> DataHealth:
    """The figures of Data health, at most :data:`HEAD_SECONDS` old. For the staff."""
    gate.require_staff("data health")
    return _data_health(_key(gate), today, gate)


def first_source(gate: Gate) -> Found:
    """How far the house is on the way to its own usage, at most :data:`HEAD_SECONDS` old."""
    gate.require_staff("first source")
    return _first_source(_key(gate), gate)


def today(gate: Gate, account: Account) -> date:
    """The account's day at the time that the published figures reach."""
    as_of = freshness(gate).as_of
    if as_of is None:
        return account.last_usage_date or date.min
    return formats.utc(as_of).astimezone(ZoneInfo(account.time_zone)).date()


def facets(gate: Gate, account: Account) -> Facets:
    """What the account's usage has to filter by, over all its days."""
    first, last = account.first_usage_date, account.last_usage_date
    if first is None or last is None:
        return Facets((), (), (), ())
    return _facets(
        _key(gate, account.account_id), account.account_id, first, last + timedelta(days=1), gate
    )


def tags(gate: Gate, account_id: str, first: date, until: date) -> list[tuple[str, str]]:
    """The tags of a period, the most used keys first."""
    return _tags(_key(gate, account_id), account_id, first, until, gate)


def names(gate: Gate) -> Names:
    """What categories and models are called."""
    return _names(_key(gate), gate)


def usage_summary(
    gate: Gate, account_id: str, selection: Selection, previous: Selection
) -> UsageSummary:
    """Totals and chart of a selection, compared with a previous one."""
    return _usage_summary(_key(gate, account_id), account_id, selection, previous, gate)


def usage_page(gate: Gate, account_id: str, view: UsageView, summary: UsageSummary) -> EventPage:
    """The page of events that a view asks for."""
    view = replace(view, range=None, group=(), event=None)
    return _usage_page(_key(gate, account_id), account_id, view, summary, gate)


def usage_groups(
    gate: Gate, account_id: str, selection: Selection, by: Sequence[Dimension], totals: Totals
) -> Groups:
    """A selection by one or two dimensions."""
    return _usage_groups(_key(gate, account_id), account_id, selection, tuple(by), totals, gate)


def usage_event(gate: Gate, account_id: str, key: EventKey) -> EventDetail | None:
    """One event, or None where the account has no such event."""
    return _usage_event(_key(gate, account_id), account_id, key, gate)


def usage_pending(gate: Gate, account_id: str, selection: Selection) -> PendingEvents:
    """What of a selection is not settled yet, at most :data:`HEAD_SECONDS` old."""
    return _usage_pending(_key(gate, account_id), account_id, selection, gate)


def position(gate: Gate, account_id: str) -> CreditPosition | None:
    """The credits of this moment, at most :data:`LIVE_SECONDS` old; None if nobody declared it."""
    return _position(_key(gate, account_id), account_id, gate)


def forget_position(gate: Gate, account_id: str) -> None:
    """Have :func:`position` look again, because a purchase was just made."""
    _position.clear(_key(gate, account_id), account_id, gate)


def credit_days(gate: Gate, account_id: str) -> list[BalanceDay]:
    """The account's balance day by day."""
    return _credit_days(_key(gate, account_id), account_id, gate)


def credit_ledger(gate: Gate, account_id: str, chosen: LedgerFilter, page: int) -> LedgerPage:
    """A page of the account's ledger."""
    return _credit_ledger(_key(gate, account_id), account_id, chosen, page, gate)


def outlook(gate: Gate, account_id: str) -> Outlook:
    """What the account's month is heading for, and how past projections fared."""
    return _outlook(_key(gate, account_id), account_id, gate)


def incidents(gate: Gate, account_id: str, first: date, last: date) -> list[Incident]:
    """The account's incidents with a day in a span, both ends included."""
    return _incidents(_key(gate, account_id), account_id, first, last, gate)


def advice(gate: Gate, account_id: str) -> tuple[Advice, ...]:
    """The advice to an account, what saves most first."""
    return _advice(_key(gate, account_id), account_id, gate)


def advice_weeks(gate: Gate, account_id: str) -> Mapping[int, tuple[Week, ...]]:
    """What accepted advice has saved a week, by the decision."""
    return _advice_weeks(_key(gate, account_id), account_id, gate)


def advice_events(gate: Gate, account_id: str, chosen: Advice, page: int) -> AdviceEvents:
    """A page of the events of an advice."""
    return _advice_events(_key(gate, account_id), account_id, chosen, page, gate)


def explained(gate: Gate, account_id: str, number: str, line: int) -> Explained:
    """What a line of one of the account's invoices is made from; raises MeterhouseError."""
    return _explained(_key(gate, account_id), account_id, number, line, gate)


def account_lines(gate: Gate) -> tuple[tuple[Line, ...], Watched]:
    """Every account with its flags, and what those rest on that is known now. For the staff."""
    gate.require_staff("accounts")
    return _account_lines(_key(gate), gate)


def closing(gate: Gate, month: date) -> Closing:
    """How the closing of a month stands, at most :data:`HEAD_SECONDS` old; MeterhouseError."""
    gate.require_staff("closing")
    return _closing(_key(gate), month, gate)


def _key(gate: Gate, account_id: str | None = None) -> Key:
    """What settled figures depend on: which lake, what is published there, and for whom they are.

    Raises UnknownAccount unless the user may see the account: what is cached was gathered for
    somebody, and the gate is not asked again.
    """
    if account_id is not None:
        gate.require(account_id)
    return str(gate.settings.model_dump_json()), gate.publication, gate.user.is_staff


@st.cache_resource(max_entries=2, show_spinner=False, on_release=lambda reader: reader.close())
def _reader(key: str, _settings: Settings) -> LakeReader:
    return LakeReader(_settings)


@st.cache_data(max_entries=200, ttl="1h", show_spinner=False)
def _accounts(key: Key, seen: frozenset[str] | None, _gate: Gate) -> list[Account]:
    return _gate.accounts()


@st.cache_data(max_entries=200, ttl=HEAD_SECONDS, show_spinner=False)
def _declared_accounts(key: Key, seen: frozenset[str] | None, _gate: Gate) -> list[Account]:
    return sorted(_gate.declared_accounts(), key=lambda each: (each.name.lower(), each.account_id))


@st.cache_data(max_entries=2000, ttl=HEAD_SECONDS, show_spinner=False)
def _locale(key: Key, account_id: str, _gate: Gate) -> formats.Locale:
    try:
        return _gate.enter(account_id).locale()
    except MeterhouseError:  # no store to ask, or none within reach: what needs it says so
        return formats.ENGLISH


@st.cache_data(max_entries=2000, ttl=LIVE_SECONDS, show_spinner=False)
def _position(key: Key, account_id: str, _gate: Gate) -> CreditPosition | None:
    # A gate of now: the page's own may be older than what was published since it was drawn.
    try:
        return open_gate(_gate.user).enter(account_id).position(datetime.now(UTC))
    except MeterhouseError:
        return None


@st.cache_data(max_entries=500, ttl="1h", show_spinner=False)
def _credit_days(key: Key, account_id: str, _gate: Gate) -> list[BalanceDay]:
    return gather_days(_gate.enter(account_id))


@st.cache_data(max_entries=500, ttl="1h", show_spinner=False)
def _credit_ledger(
    key: Key,
    account_id: str,
    chosen: LedgerFilter,
    page: int,
    _gate: Gate,
) -> LedgerPage:
    return gather_ledger(_gate.enter(account_id), chosen, page)


@st.cache_data(max_entries=500, ttl="1h", show_spinner=False)
def _outlook(key: Key, account_id: str, _gate: Gate) -> Outlook:
    return gather_outlook(_gate.enter(account_id))


@st.cache_data(max_entries=500, ttl="1h", show_spinner=False)
def _incidents(key: Key, account_id: str, first: date, last: date, _gate: Gate) -> list[Incident]:
    return gather_incidents(_gate.enter(account_id), first, last)


@st.cache_data(max_entries=500, ttl="1h", show_spinner=False)
def _overview(key: Key, account_id: str, month: date, _gate: Gate) -> Overview:
    return gather_overview(_gate.enter(account_id), month)


@st.cache_data(max_entries=4, ttl="1h", show_spinner=False)
def _freshness(key: Key, _gate: Gate) -> Freshness:
    return gather_freshness(_gate)


@st.cache_data(max_entries=500, ttl=HEAD_SECONDS, show_spinner=False)
def _pending(key: Key, account_id: str, _gate: Gate) -> Pending:
    publication = _gate.publication
    return gather_pending(_gate.enter(account_id), publication.raw_load_id if publication else 0)


@st.cache_data(max_entries=4, ttl=HEAD_SECONDS, show_spinner=False)
def _data_health(key: Key, today: date, _gate: Gate) -> DataHealth:
    return gather_data_health(_gate, today)


@st.cache_data(max_entries=4, ttl=HEAD_SECONDS, show_spinner=False)
def _first_source(key: Key, _gate: Gate) -> Found:
    return gather_first_source(open_gate(_gate.user))


@st.cache_resource(max_entries=2, show_spinner=False, on_release=lambda store: store.close())
def _store(key: str, _settings: Settings) -> Store:
    store = open_store(_settings)
    time_store(store.engine)
    return store


@st.cache_data(max_entries=200, ttl="1h", show_spinner=False)
def _facets(key: Key, account_id: str, first: date, until: date, _gate: Gate) -> Facets:
    return gather_facets(_gate.enter(account_id), first, until)


@st.cache_data(max_entries=200, ttl="1h", show_spinner=False)
def _tags(
    key: Key, account_id: str, first: date, until: date, _gate: Gate
) -> list[tuple[str, str]]:
    found = gather_tags(_gate.enter(account_id), first, until)
    return [(name, value) for name, values in found.items() for value, _ in values]


@st.cache_data(max_entries=4, ttl="1h", show_spinner=False)
def _names(key: Key, _gate: Gate) -> Names:
    return gather_names(_gate)


@st.cache_data(max_entries=500, ttl="1h", show_spinner=False)
def _usage_summary(
    key: Key,
    account_id: str,
    selection: Selection,
    previous: Selection,
    _gate: Gate,
) -> UsageSummary:
    return gather_summary(_gate.enter(account_id), selection, previous)


@st.cache_data(max_entries=500, ttl="1h", show_spinner=False)
def _usage_page(
    key: Key,
    account_id: str,
    view: UsageView,
    _summary: UsageSummary,
    _gate: Gate,
) -> EventPage:
    return gather_page(
        _gate.enter(account_id),
        _summary,
        sort=view.sort,
        is_descending=view.is_descending,
        number=view.page,
    )


@st.cache_data(max_entries=500, ttl="1h", show_spinner=False)
def _usage_groups(
    key: Key,
    account_id: str,
    selection: Selection,
    by: tuple[Dimension, ...],
    _totals: Totals,
    _gate: Gate,
) -> Groups:
    return gather_groups(_gate.enter(account_id), selection, _totals, by)


@st.cache_data(max_entries=500, ttl="1h", show_spinner=False)
def _usage_event(key: Key, account_id: str, event: EventKey, _gate: Gate) -> EventDetail | None:
    return gather_event(_gate.enter(account_id), event.source, event.event_id, event.day)


@st.cache_data(max_entries=500, ttl=HEAD_SECONDS, show_spinner=False)
def _usage_pending(key: Key, account_id: str, selection: Selection, _gate: Gate) -> PendingEvents:
    publication = _gate.publication
    return gather_pending_events(
        _gate.enter(account_id), selection, publication.raw_load_id if publication else 0
    )


@st.cache_data(max_entries=500, ttl="1h", show_spinner=False)
def _advice(key: Key, account_id: str, _gate: Gate) -> tuple[Advice, ...]:
    return gather_advice(_gate.enter(account_id))


@st.cache_data(max_entries=500, ttl="1h", show_spinner=False)
def _advice_weeks(key: Key, account_id: str, _gate: Gate) -> Mapping[int, tuple[Week, ...]]:
    return gather_weeks(_gate.enter(account_id))


@st.cache_data(max_entries=500, ttl="1h", show_spinner=False)
def _advice_events(
    key: Key, account_id: str, chosen: Advice, page: int, _gate: Gate
) -> AdviceEvents:
    return gather_advice_events(_gate.enter(account_id), chosen, page)


@st.cache_resource(max_entries=4, ttl="1h", show_spinner="Reading the operations …")
def _explained(key: Key, account_id: str, number: str, line: int, _gate: Gate) -> Explained:
    # Shared, not copied: a line may have very many operations, and all of it is frozen.
    return _gate.enter(account_id).explained(number, line)


@st.cache_resource(max_entries=2, ttl="1h", show_spinner="Reading the accounts …")
def _standings(key: Key, _gate: Gate) -> tuple[Standing, ...]:
    # Shared, not copied: there may be very many accounts, and all of it is frozen.
    return gather_standings(_gate)


@st.cache_resource(max_entries=2, ttl=WATCHED_SECONDS, show_spinner=False)
def _account_lines(key: Key, _gate: Gate) -> tuple[tuple[Line, ...], Watched]:
    watched = gather_watched(_gate, datetime.now(UTC))
    return lines_of(_standings(key, _gate), watched), watched


@st.cache_data(max_entries=8, ttl=HEAD_SECONDS, show_spinner="Trying the close …")
def _closing(key: Key, month: date, _gate: Gate) -> Closing:
    return gather_closing(_gate, month, datetime.now(UTC))
