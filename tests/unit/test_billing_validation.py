"""What an account's fields may hold, and what the error says where they may not."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing import validation
from billing.currencies import MINOR_DIGITS, SUCCESSORS
from warehouse.errors import MeterhouseError


@pytest.mark.parametrize("text", ["acme", "a", "9", "Acme-Corp_1.eu:x@y/z+q=~", "a" * 128])
def test_an_id_as_logs_name_accounts_is_taken_as_it_is(text: str) -> None:
    assert validation.account_id(text) == text


@pytest.mark.parametrize(
    "text",
    ["", " acme", "acme ", "a b", "-a", "=1+1", "@sum", "a\nb", "é", "a" * 129, "a'b", "a\x00"],
)
def test_an_id_that_could_do_harm_elsewhere_is_refused(text: str) -> None:
    with pytest.raises(MeterhouseError, match="cannot be an account id"):
        validation.account_id(text)


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "Asia/Kolkata", "Pacific/Chatham"])
def test_a_zone_that_python_and_the_engine_know_is_taken(zone: str) -> None:
    assert validation.time_zone(zone) == zone


@pytest.mark.parametrize(
    ("typo", "meant"),
    [
        ("Europe/Belin", "Europe/Berlin"),
        ("europe/berlin", "Europe/Berlin"),
        ("Berlin", "Europe/Berlin"),
        ("new york", "America/New_York"),
        ("Asia/Calcuta", "Asia/Calcutta"),
        ("Asia/Tokio", "Asia/Tokyo"),
    ],
)
def test_a_misspelt_zone_is_refused_with_the_one_that_was_meant(typo: str, meant: str) -> None:
    with pytest.raises(MeterhouseError, match=f"did you mean {meant}"):
        validation.time_zone(typo)


@pytest.mark.parametrize("text", ["", "Mars/Olympus", "../etc/passwd", "localtime", "+02:00"])
def test_what_is_no_zone_is_refused(text: str) -> None:
    with pytest.raises(MeterhouseError, match="is no IANA time zone"):
        validation.time_zone(text)


def test_a_zone_that_only_one_of_python_and_the_engine_knows_is_unknown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from billing import zones

    monkeypatch.setattr(zones.zoneinfo, "available_timezones", lambda: {"UTC", "Only/Here"})
    assert zones.known_zones.__wrapped__() == {"UTC"}


def test_a_currency_may_be_written_small() -> None:
    assert validation.currency(" eur ") == "EUR"


@pytest.mark.parametrize("text", ["", "EURO", "XXX", "XTS", "XAU", "BTC", "US", "U$D"])
def test_what_is_no_currency_one_can_pay_in_is_refused(text: str) -> None:
    with pytest.raises(MeterhouseError, match="is no ISO 4217 currency"):
        validation.currency(text)


def test_a_withdrawn_currency_is_refused_with_its_successor() -> None:
    with pytest.raises(MeterhouseError, match="BGN was withdrawn; use EUR"):
        validation.currency("BGN")
    assert not SUCCESSORS.keys() & MINOR_DIGITS.keys()
    assert set(SUCCESSORS.values()) <= MINOR_DIGITS.keys()


def test_every_currency_code_has_three_capitals_and_known_minor_digits() -> None:
    assert all(len(code) == 3 and code.isalpha() and code.isupper() for code in MINOR_DIGITS)
    assert (MINOR_DIGITS["EUR"], MINOR_DIGITS["JPY"], MINOR_DIGITS["KWD"]) == (2, 0, 3)


@pytest.mark.parametrize(
    "text",
    [
        "billing@customer.example",
        "a+b@x.co",
        "o'neil@sub.domain.example",
        "x@xn--bcher-kva.example",
    ],
)
def test_an_ordinary_address_is_taken(text: str) -> None:
    assert validation.email(text) == text


def test_an_addresss_domain_is_written_small_and_an_empty_address_is_none() -> None:
    assert validation.email(" Ann@EXAMPLE.com ") == "Ann@example.com"
    assert validation.email("") is None
    assert validation.email(None) is None


@pytest.mark.parametrize(
    "text",
    [
        "nobody",
        "@x.example",
        "a@",
        "a@localhost",
        "a b@x.example",
        "a@x..example",
        "a..b@x.example",
        ".a@x.example",
        "a@-x.example",
        "a@x.example, b@x.example",
        "Ann <a@x.example>",
        "a@@x.example",
        "a@bücher.example",
        "a" * 65 + "@x.example",
        "a@" + "x" * 250 + ".example",
    ],
)
def test_what_is_not_one_plain_address_is_refused(text: str) -> None:
    with pytest.raises(MeterhouseError, match="is no e-mail address"):
        validation.email(text)


@given(
    st.text(max_size=10),
    st.sampled_from(["\n", "\r", "\r\n", "\x00", "\u2028", "\u0085", "\x1b", "\u202e"]),
    st.text(max_size=10),
)
def test_nothing_with_a_line_break_or_control_character_is_ever_stored(
    before: str, control: str, after: str
) -> None:
    for check in (validation.email, validation.account_name, validation.account_id):
        with pytest.raises(MeterhouseError):
            check(f"a{before}{control}{after}@x.example")


@given(st.text(max_size=60))
def test_an_accepted_address_can_stand_in_a_mail_header(text: str) -> None:
    try:
        address = validation.email(text)
    except MeterhouseError:
        return
    assert address is None or (address.isascii() and not set(address) & set(' \r\n,;<>"()'))


def test_a_name_is_trimmed_and_normalised() -> None:
    assert validation.account_name("  Cafe\u0301 GmbH ") == "Café GmbH"
    assert validation.account_name("株式会社 東京 🚀") == "株式会社 東京 🚀"


@pytest.mark.parametrize("text", ["", "   ", "x" * 201])
def test_a_name_must_have_1_to_200_characters(text: str) -> None:
    with pytest.raises(MeterhouseError, match="1 to 200 characters"):
        validation.account_name(text)


def test_a_plan_may_be_written_with_hyphens_and_a_wrong_one_names_the_choice() -> None:
    assert validation.plan("Prepaid-With-Overage") == "prepaid_with_overage"
    with pytest.raises(MeterhouseError, match=r"did you mean postpaid\?.*prepaid_with_overage"):
        validation.plan("post-paid")


@pytest.mark.parametrize(
    ("day", "nearest"),
    [
        (date(2026, 3, 2), "the nearest is 2026-03-01"),
        (date(2026, 3, 31), "the nearest is 2026-04-01"),
        (date(2026, 12, 20), "the nearest is 2027-01-01"),
    ],
)
def test_a_day_within_a_month_is_refused_with_the_nearest_start_of_one(
    day: date, nearest: str
) -> None:
    with pytest.raises(MeterhouseError, match=nearest):
        validation.month_start(day)


@given(st.dates(date(1970, 1, 1), date(2199, 11, 30)))
def test_the_next_month_starts_after_the_day_and_within_31_days(day: date) -> None:
    following = validation.next_month(day)
    assert following.day == 1
    assert 1 <= (following - day).days <= 31


def test_a_month_is_read_with_and_without_its_first_day() -> None:
    assert validation.parse_month("2026-03") == validation.parse_month("2026-03-01")
    for text in ("2026-13", "March", "2026-3", "26-03", "", "2026-02-30"):
        with pytest.raises(MeterhouseError, match="is no month"):
            validation.parse_month(text)
    with pytest.raises(MeterhouseError, match="out of range"):
        validation.parse_month("1969-12")
