"""Who issues invoices, whom they name, and at which rate they are taxed. All dated, none edited."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import sqlalchemy as sa

from billing import validation
from billing.countries import known_countries
from billing.grants import require_account
from billing.invoice_schema import billing_profile, issuer, tax_rate
from billing.invoices.charges import Tax
from billing.invoices.document import check_logo
from billing.store import Store, current_user
from warehouse.errors import MeterhouseError

MAIN_ISSUER = "main"

LANGUAGES = ("en", "de")

TREATMENTS = {"standard": "S", "reverse_charge": "AE", "export": "G"}
"""How an account is taxed, and the category of UNTDID 5305 that says so."""

LONGEST_LOGO = 200_000
"""Characters of a logo's SVG."""

_TAX_ID = re.compile(r"[A-Z]{2}[A-Z0-9]{2,13}")
_COLOUR = re.compile(r"#[0-9a-fA-F]{6}")
_PREFIX = re.compile(r"[A-Za-z0-9][A-Za-z0-9/-]{0,15}")
_IBAN = re.compile(r"[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}")


@dataclass(frozen=True)
class Issuer:
    """Who issues invoices and how they look. ``logo`` is an SVG image; texts are plain."""

    issuer_id: str
    name: str
    street: str
    postcode: str
    city: str
    country: str
    tax_id: str
    email: str
    time_zone: str = "UTC"
    register: str = ""
    iban: str = ""
    payment_days: int = 14
    accent: str = "#1f4e8c"
    footer: str = ""
    logo: str = ""
    invoice_prefix: str = "INV"
    note_prefix: str = "CN"


@dataclass(frozen=True)
class Profile:
    """Whom an account's invoices name from a month on, and how they are taxed."""

    account_id: str
    effective_from: date
    name: str
    street: str
    postcode: str
    city: str
    country: str
    tax_id: str | None
    tax_treatment: str
    language: str
    buyer_reference: str | None
    issuer_id: str = MAIN_ISSUER


@dataclass(frozen=True)
class TaxRate:
    """The standard rate of a country from a month on, in percent."""

    country: str
    percent: Decimal
    effective_from: date


def set_issuer(
    store: Store,
    changes: Mapping[str, Any],
    *,
    issuer_id: str = MAIN_ISSUER,
    actor: str | None = None,
    now: datetime | None = None,
) -> Issuer:
    """Record an issuer anew, with ``changes`` of what it was; invoices issued already stay.

    Raises MeterhouseError for a field that cannot be used or is missing at first.
    """
    before = find_issuer(store, issuer_id)
    values = {**(asdict(before) if before else {}), **changes, "issuer_id": issuer_id}
    missing = [
        field
        for field in ("name", "street", "postcode", "city", "country", "tax_id", "email")
        if not values.get(field)
    ]
    if missing:
        raise MeterhouseError(
            f"the issuer has no {', '.join(missing)}; give it with "
            + " ".join(f"--{field.replace('_', '-')}" for field in missing)
        )
    made = _valid_issuer(Issuer(**values))
    with store.writing() as connection:
        connection.execute(
            sa.insert(issuer),
            {
                "issuer_id": issuer_id,
                "settings": asdict(made),
                "recorded_at": now or datetime.now(UTC),
                "recorded_by": actor or current_user(),
            },
        )
    return made


def find_issuer(store: Store, issuer_id: str = MAIN_ISSUER) -> Issuer | None:
    """The issuer as it is now, or None where none was set up."""
    query = (
        sa.select(issuer.c.settings)
        .where(issuer.c.issuer_id == issuer_id)
        .order_by(issuer.c.issuer_row_id.desc())
        .limit(1)
    )
    with store.reading() as connection:
        found = connection.scalar(query)
    return Issuer(**found) if found else None


def set_profile(
    store: Store,
    account_id: str,
    changes: Mapping[str, str | None],
    *,
    effective_from: date = validation.BEGINNING,
    actor: str | None = None,
    now: datetime | None = None,
) -> Profile:
    """Record whom an account's invoices name from a month on, with ``changes`` of what it was.

    Raises MeterhouseError for an unknown account, a field that cannot be used or is missing, and
    for reverse charge without a tax id.
    """
    start = validation.month_start(effective_from)
    before = profile_at(list_profiles(store, account_id), start)
    values: dict[str, Any] = {
        "name": "", "street": "", "postcode": "", "city": "", "country": "", "tax_id": None,
        "tax_treatment": "standard", "language": "en", "buyer_reference": None,
        **(asdict(before) if before else {}), **changes,
        "account_id": account_id, "effective_from": start,
    }  # fmt: skip
    made = _valid_profile(Profile(**values))
    with store.writing() as connection:
        require_account(connection, account_id)
        connection.execute(
            sa.insert(billing_profile),
            {
                **asdict(made),
                "recorded_at": now or datetime.now(UTC),
                "recorded_by": actor or current_user(),
            },
        )
    return made


def list_profiles(store: Store, account_id: str | None = None) -> list[Profile]:
    """Profiles in the order in which they were recorded, of one account or of all."""
    query = sa.select(billing_profile).order_by(billing_profile.c.profile_id)
    if account_id is not None:
        query = query.where(billing_profile.c.account_id == account_id)
    fields = Profile.__dataclass_fields__
    with store.reading() as connection:
        return [
            Profile(**{name: getattr(row, name) for name in fields})
            for row in connection.execute(query)
        ]


def profile_at(profiles: Iterable[Profile], month: date) -> Profile | None:
    """The profile that holds in a month: of the latest start the one recorded last."""
    best: Profile | None = None
    for profile in profiles:
        if profile.effective_from <= month and (
            best is None or profile.effective_from >= best.effective_from
        ):
            best = profile
    return best


def add_tax_rate(
    store: Store,
    country: str,
    percent: str,
    effective_from: date,
    *,
    actor: str | None = None,
    now: datetime | None = None,
) -> TaxRate:
    """Record a country's standard rate from a month on.

    Raises MeterhouseError for a country, a rate or a start that cannot be.
    """
    rate = validation.exact_decimal(percent, "a tax rate", decimals=4)
    if not 0 <= rate < 100:
        raise MeterhouseError(f"a tax rate is 0 to below 100 percent, not {percent}")
    made = TaxRate(_country(country), rate, validation.month_start(effective_from))
    with store.writing() as connection:
        connection.execute(
            sa.insert(tax_rate),
            {
                **asdict(made),
                "recorded_at": now or datetime.now(UTC),
                "recorded_by": actor or current_user(),
            },
        )
    return made


def list_tax_rates(store: Store) -> list[TaxRate]:
    """Rates in the order in which they were recorded."""
    query = sa.select(tax_rate).order_by(tax_rate.c.tax_rate_id)
    with store.reading() as connection:
        return [
            TaxRate(row.country, row.percent, row.effective_from)
            for row in connection.execute(query)
        ]


def tax_at(
    profile: Profile, issuer_country: str, rates: Iterable[TaxRate], month: date
) -> Tax | None:
    """How a month is taxed; None where the issuer's country has no rate recorded for it.

    The place of supply is the issuer's country unless the treatment says otherwise.
    """
    category = TREATMENTS[profile.tax_treatment]
    if category != "S":
        return Tax(category, Decimal(0))
    best: TaxRate | None = None
    for rate in rates:
        if rate.country != issuer_country or rate.effective_from > month:
            continue
        if best is None or rate.effective_from >= best.effective_from:
            best = rate
    return Tax("S" if best.percent else "Z", best.percent) if best else None


def _valid_issuer(made: Issuer) -> Issuer:
    if not _COLOUR.fullmatch(made.accent):
        raise MeterhouseError(f"{made.accent!a} is no colour; write for example #1f4e8c")
    for prefix in (made.invoice_prefix, made.note_prefix):
        if not _PREFIX.fullmatch(prefix):
            raise MeterhouseError(f"{prefix!a} is no prefix of numbers; write for example INV")
    if made.invoice_prefix == made.note_prefix:
        raise MeterhouseError("invoices and credit notes need prefixes of their own")
    iban = made.iban.replace(" ", "").upper()
    if iban and not _IBAN.fullmatch(iban):
        raise MeterhouseError(f"{made.iban!a} is no IBAN")
    if not 0 <= made.payment_days <= 365:
        raise MeterhouseError(f"payment is due within 0 to 365 days, not {made.payment_days}")
    if made.logo and (len(made.logo) > LONGEST_LOGO or "<svg" not in made.logo):
        raise MeterhouseError(f"a logo is an SVG image of at most {LONGEST_LOGO:,} characters")
    if made.logo:
        check_logo(made.logo)
    email = validation.email(made.email)
    assert email is not None
    return replace(
        made,
        name=validation.line("issuer's name", made.name, 300),
        street=validation.line("street", made.street, 300),
        postcode=validation.line("postcode", made.postcode, 20),
        city=validation.line("city", made.city, 100),
        country=_country(made.country),
        tax_id=_tax_id(made.tax_id),
        email=email,
        time_zone=validation.time_zone(made.time_zone),
        register=_optional("register entry", made.register, 200),
        footer=_optional("footer", made.footer, 500),
        iban=iban,
    )


def _valid_profile(made: Profile) -> Profile:
    if made.tax_treatment not in TREATMENTS:
        raise MeterhouseError(
            f"{made.tax_treatment!a} is no way of taxing; choose one of {', '.join(TREATMENTS)}"
        )
    if made.language not in LANGUAGES:
        raise MeterhouseError(
            f"there are no invoices in {made.language!a}; choose one of {', '.join(LANGUAGES)}"
        )
    if made.tax_treatment == "reverse_charge" and not made.tax_id:
        raise MeterhouseError("reverse charge needs the customer's tax id; give --tax-id")
    return replace(
        made,
        name=validation.line("name", made.name, 300),
        street=validation.line("street", made.street, 300),
        postcode=validation.line("postcode", made.postcode, 20),
        city=validation.line("city", made.city, 100),
        country=_country(made.country),
        tax_id=_tax_id(made.tax_id) if made.tax_id else None,
        buyer_reference=_optional("buyer's reference", made.buyer_reference or "", 100) or None,
    )


def _optional(what: str, text: str, longest: int) -> str:
    return validation.line(what, text, longest) if text.strip() else ""


def _country(text: str) -> str:
    code = text.strip().upper()
    if code not in known_countries():
        raise MeterhouseError(f"{text!a} is no country; write its two letters, such as DE")
    return code


def _tax_id(text: str) -> str:
    found = re.sub(r"[\s.-]", "", text).upper()
    if not _TAX_ID.fullmatch(found):
        raise MeterhouseError(
            f"{text!a} is no tax id; write it with its country, such as DE123456789"
        )
    return found
