"""The page First source on real lakes: empty, with a sample, with own usage."""

from app import users
from tests.app.conftest import text_of
from tests.app.reporting_lake import make_raw_lake
from warehouse.lake import writing
from warehouse.settings import Settings


def test_an_empty_house_is_led_from_the_first_step_on(open_page, tmp_path):
    text = text_of(open_page("first source", settings=Settings(home=tmp_path / "new")))
    assert "1. Say what the log looks like" in text
    assert "There is no usage here yet." in text
    assert text.count("to come") == 4


def test_own_usage_that_is_published_is_told_with_its_counts(open_page, stocked):
    text = text_of(open_page("first source", settings=stocked))
    assert "Your own usage is published." in text
    assert "claude_code, exgentic, meterhouse" in text
    assert "meterhouse accounts add zenith" in text, "who waits to be declared"


def test_own_usage_that_was_only_loaded_waits_to_be_built(open_page, tmp_path):
    settings = Settings(home=tmp_path / "raw")
    make_raw_lake(settings)
    text = text_of(open_page("first source", settings=settings))
    assert "Figures were built of it." not in text
    assert "Your own usage is published." not in text


def test_a_sample_alone_is_said_on_the_overview_and_leads_here(open_page, published, own_lake):
    assert "This is sample usage." not in text_of(open_page(settings=published))
    with writing(own_lake, "raw") as connection:
        connection.execute(
            "update raw.main.load set source = 'meterhouse',"
            " path = '/landing/meterhouse/sample-2026-11.ndjson' where kind = 'file'"
        )
    assert "This is sample usage." in text_of(open_page(settings=own_lake))
    text = text_of(open_page("first source", settings=own_lake))
    assert "house of its own" in text


def test_who_is_not_staff_is_told_no_command(open_page, tmp_path, monkeypatch):
    customer = users.User("ann@acme.example", roles={"acme": "viewer"})
    monkeypatch.setattr("app.sign_in.LOCAL", customer)
    text = text_of(open_page(settings=Settings(home=tmp_path / "new")))
    assert "Nothing is published yet" in text
    assert "meterhouse" not in text
    assert "support@craveva.example" in text
