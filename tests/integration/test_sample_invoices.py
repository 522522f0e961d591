"""A sample's past months are closed once, as they would have been."""

import csv
from datetime import date, datetime
from decimal import Decimal

import pytest

from billing.accounts import add_account
from billing.grants import list_lots
from billing.invoices.issued import document_of, list_issued
from billing.invoices.parties import find_issuer, list_profiles, set_issuer
from billing.sample_credits import SampleLot, grant_sample
from billing.sample_invoices import RECIPIENTS, close_sample, declare_sample_parties
from billing.store import open_store
from ingest.sample import SampleSpec, sample_accounts
from tests.integration.invoice_lab import NOW, OCTOBER, build_lakes, fill_store
from warehouse.settings import Settings


@pytest.fixture
def store(tmp_path):
    with open_store(Settings(home=tmp_path)) as store:
        yield store


def test_the_months_that_are_over_are_closed_rendered_and_one_is_credited(tmp_path, store):
    settings = Settings(home=tmp_path)
    build_lakes(settings, 8)
    fill_store(store, 8)
    assert close_sample(settings, store, NOW) == 9
    issued = list_issued(store)
    assert [each.account_id for each in issued[-3:]] == ["a007", "a008", "a008"]
    assert {each.month for each in issued} == {OCTOBER}
    assert issued[0].issue_date == date(2026, 11, 8)
    assert issued[-1].series == "credit_note" and issued[-1].corrects == issued[-2].number
    assert all(document_of(store, each.number).startswith(b"%PDF") for each in issued)
    assert close_sample(settings, store, NOW) == 0
    assert len(list_issued(store)) == 9


def test_every_account_of_the_sample_has_somebody_to_invoice(store):
    accounts = sample_accounts(SampleSpec(until=NOW))
    with RECIPIENTS.open(encoding="utf-8", newline="") as file:
        assert {each.account_id for each in accounts} <= {
            row["account_id"] for row in csv.DictReader(file)
        }
    for each in accounts:
        add_account(store, each.account_id, name=each.name, currency="EUR", plan="prepaid")
    assert declare_sample_parties(store, "Craveva AI") == len(accounts)
    assert declare_sample_parties(store, "Craveva AI") == 0
    assert len(list_profiles(store)) == len(accounts)


def test_an_issuer_that_was_set_up_stays(store):
    own = {
        "name": "Own GmbH", "street": "1", "postcode": "1", "city": "Ulm", "country": "DE",
        "tax_id": "DE1234567", "email": "a@own.example",
    }  # fmt: skip
    set_issuer(store, own)
    declare_sample_parties(store, "Craveva AI")
    found = find_issuer(store)
    assert found is not None and found.name == "Own GmbH"


def test_lots_of_the_sample_were_recorded_when_they_began(store):
    add_account(store, "acme", currency="EUR")
    begins = datetime.fromisoformat("2026-03-01T00:00:00Z")
    lot = SampleLot("acme", "sample:1", "promotional", Decimal(5), begins, None, "sample: gift")
    assert grant_sample(store, [lot]) == 1
    assert [each.recorded_at for each in list_lots(store, "acme")] == [begins]
