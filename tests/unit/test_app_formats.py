"""How figures, dates and texts are written."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from app import formats


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (Decimal(0), "0"),
        (Decimal("0.000000001"), "< 0.0001"),
        (Decimal("0.0132"), "0.0132"),
        (Decimal("0.125"), "0.13"),
        (Decimal("1234.5"), "1,234.50"),
        (Decimal("99999.995"), "100,000.00"),
        (Decimal("1234567.4"), "1,234,567"),
        (Decimal("-3.2"), "−3.20"),
    ],
)
def test_credits_have_the_decimals_a_reader_needs_and_never_a_false_zero(value, text):
    assert formats.credits(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (Decimal(0), "$0.00"),
        (Decimal("0.00001"), "< $0.0001"),
        (Decimal("0.0123"), "$0.0123"),
        (Decimal("1936.612"), "$1,936.61"),
    ],
)
def test_dollars_have_cents_and_small_amounts_more(value, text):
    assert formats.usd(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (Decimal(0), "0.0\u202f%"),
        (Decimal("0.274"), "27.4\u202f%"),
        (Decimal("0.0001"), "< 0.1\u202f%"),
        (Decimal(1), "100.0\u202f%"),
    ],
)
def test_a_share_is_a_percentage_and_a_tiny_one_is_not_zero(value, text):
    assert formats.share(value) == text


@pytest.mark.parametrize(
    ("now", "before", "text"),
    [
        (Decimal("114.4"), Decimal(100), "+14.4\u202f%"),
        (Decimal("96.8"), Decimal(100), "−3.2\u202f%"),
        (Decimal("100.01"), Decimal(100), "0.0\u202f%"),
        (Decimal(1200), Decimal(100), "12×"),
        (Decimal(5), Decimal(0), None),
        (Decimal(5), None, None),
    ],
)
def test_a_change_says_its_sign_and_is_left_out_without_anything_to_compare(now, before, text):
    assert formats.change(now, before) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (9999, "9,999"),
        (33_140, "33.1\u202fK"),
        (195_161_301, "195.2\u202fM"),
        (1_400_000_000, "1.4\u202fB"),
    ],
)
def test_large_counts_are_shortened(value, text):
    assert formats.compact(value) == text


def test_dates_never_carry_a_time():
    assert formats.day(date(2026, 11, 3)) == "3 Nov 2026"
    assert formats.month(date(2026, 11, 1)) == "November 2026"
    assert formats.days(date(2026, 11, 1), date(2026, 11, 23)) == "1–23 Nov 2026"
    assert formats.days(date(2026, 10, 28), date(2026, 11, 3)) == "28 Oct – 3 Nov 2026"
    assert formats.days(date(2025, 12, 28), date(2026, 1, 3)) == "28 Dec 2025 – 3 Jan 2026"
    assert formats.days(date(2026, 1, 3), date(2026, 1, 3)) == "3 Jan 2026"


def test_a_moment_is_told_in_the_zone_of_the_account():
    lake_time = datetime(2026, 11, 23, 23, 30)
    assert formats.moment(lake_time) == "23 Nov 2026, 23:30 UTC"
    assert formats.moment(lake_time, "Asia/Tokyo") == "24 Nov 2026, 08:30 JST"
    assert formats.moment(None) == "–"


def test_a_moment_of_another_year_is_told_by_its_day():
    now = datetime(2026, 11, 23, tzinfo=UTC)
    assert formats.short_moment(datetime(2026, 4, 21, 9, 41), now) == "21 Apr, 09:41"
    assert formats.short_moment(datetime(2025, 4, 21, 9, 41), now) == "21 Apr 2025"


@pytest.mark.parametrize(
    ("age", "text"),
    [
        (timedelta(seconds=20), "just now"),
        (timedelta(minutes=12, seconds=50), "12 min ago"),
        (timedelta(hours=30), "30 h ago"),
        (timedelta(days=3, hours=4), "3 days ago"),
    ],
)
def test_an_age_is_told_in_its_largest_unit(age, text):
    now = datetime(2026, 11, 23, 12, tzinfo=UTC)
    assert formats.ago((now - age).replace(tzinfo=None), now) == text


def test_a_time_that_never_came_is_never():
    assert formats.ago(None, datetime(2026, 11, 23, tzinfo=UTC)) == "never"


def test_one_is_singular():
    assert formats.plural(1, "row") == "1 row"
    assert formats.plural(1432, "row") == "1,432 rows"


def test_a_long_text_is_cut_with_an_ellipsis():
    assert formats.clip("research-agent", 8) == "researc…"
    assert formats.clip("short", 8) == "short"


def test_markdown_from_data_stays_text():
    assert formats.plain("$5 **b** `c` [x](y) :red[z]") == (
        r"\$5 \*\*b\*\* \`c\` \[x\]\(y\) \:red\[z\]"
    )


@pytest.fixture
def written():
    """Writes by the customs of an account for one test."""
    yield lambda language, country: formats.use(formats.locale_of(language, country))
    formats.use(formats.ENGLISH)


@pytest.mark.parametrize(
    ("language", "country", "expected"),
    [
        ("en", "IE", ["1,234.50", "€1,900.00", "CHF\u202f49.00", "−$3.20", "27.4\u202f%"]),
        ("en", "US", ["1,234.50", "€1,900.00", "CHF\u202f49.00", "−$3.20", "27.4\u202f%"]),
        (
            "de",
            "DE",
            ["1.234,50", "1.900,00\u202f€", "49,00\u202fCHF", "−3,20\u202f$", "27,4\u202f%"],
        ),
    ],
)
def test_figures_follow_the_customs_of_the_account(written, language, country, expected):
    written(language, country)
    assert [
        formats.number(Decimal("1234.5"), 2),
        formats.money(190_000, "EUR"),
        formats.money(4_900, "CHF"),
        formats.usd(Decimal("-3.2")),
        formats.share(Decimal("0.274")),
    ] == expected


@pytest.mark.parametrize(
    ("language", "country", "expected"),
    [
        ("en", "IE", ["23 Nov 2026", "23 Nov", "1–23 Nov 2026", "28 Oct – 3 Nov 2026"]),
        ("en", "US", ["Nov 23, 2026", "Nov 23", "Nov 1–23, 2026", "Oct 28 – Nov 3, 2026"]),
        ("de", "DE", ["23.11.2026", "23.11.", "1.–23.11.2026", "28.10. – 3.11.2026"]),
    ],
)
def test_days_follow_the_customs_of_the_account(written, language, country, expected):
    written(language, country)
    assert [
        formats.day(date(2026, 11, 23)),
        formats.short_day(date(2026, 11, 23)),
        formats.days(date(2026, 11, 1), date(2026, 11, 23)),
        formats.days(date(2026, 10, 28), date(2026, 11, 3)),
    ] == expected


def test_small_and_exact_figures_follow_them_too(written):
    written("de", "DE")
    assert formats.credits(Decimal("0.00001")) == "< 0,0001"
    assert formats.exact(Decimal("1234.56700")) == "1.234,567"
    assert formats.compact(195_200_000) == "195,2\u202fM"
    assert formats.change(Decimal("1.144"), Decimal(1)) == "+14,4\u202f%"
    assert formats.change(Decimal(1), Decimal(1)) == "0,0\u202f%"


def test_a_run_begins_in_english():
    assert formats.in_use() == formats.ENGLISH
