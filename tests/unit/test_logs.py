"""Logging: the two forms, and that no secret is ever in a line."""

import io
import json
import logging
import sys
from collections.abc import Iterator

import pytest

from orchestration import cli
from warehouse.errors import MeterhouseError
from warehouse.logs import Secrets, configure_logging, formatter_of, secrets_of
from warehouse.settings import Settings

PASSWORD = 'pa"ss wörd/7%'

SETTINGS = {
    "oidc_client_secret": "oidc-client-secret-1",
    "oidc_cookie_secret": "oidc-cookie-secret-1 of 32 characters",
    "stripe_secret_key": "sk_live_abc123def",
    "stripe_webhook_secret": "whsec_hush+hush=",
    "api_token": "platform-token-1",
    "metrics_token": "metrics-token-1",
    "smtp_password": PASSWORD,
    "alert_webhook_secret": "signing\\secret",
}
ENVIRONMENT = {
    "STREAMLIT_SERVER_COOKIE_SECRET": "cookie-secret-1",
    "STREAMLIT_AUTH_CLIENT_SECRET": "client-secret-1",
    "PGPASSWORD": "postgres-password-1",
    "AWS_ACCESS_KEY_ID": "AKIAEXAMPLE",
    "AWS_SECRET_ACCESS_KEY": "object+store/key",
    "AWS_SESSION_TOKEN": "session-token-1",
}
URLS = {
    "catalog_url": "postgresql://me:catalog-password@db/lake",
    "operations_url": "postgresql+psycopg://me:store-password@db/store",
}
SIGN_IN = {
    "oidc_metadata_url": "https://id.example/.well-known/openid-configuration",
    "oidc_client_id": "meterhouse",
}
HIDDEN = {**SETTINGS, **ENVIRONMENT, "catalog": "catalog-password", "store": "store-password"}


@pytest.fixture(params=["text", "json"])
def settings(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Settings:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    return Settings(**SETTINGS, **SIGN_IN, **URLS, log_format=request.param)  # type: ignore[arg-type]


@pytest.fixture
def written(settings: Settings) -> Iterator[io.StringIO]:
    """What is logged from here on."""
    root, before = logging.getLogger(), list(logging.getLogger().handlers)
    stream = io.StringIO()
    configure_logging(settings, stream)
    yield stream
    root.handlers[:] = before


def test_every_setting_that_hides_itself_is_tried_here() -> None:
    hiding = {name for name, field in Settings.model_fields.items() if not field.repr}
    assert hiding == SETTINGS.keys()


@pytest.mark.parametrize("name", HIDDEN)
def test_a_secret_is_in_no_line_however_it_gets_there(written: io.StringIO, name: str) -> None:
    secret = HIDDEN[name]
    log = logging.getLogger("meterhouse.test")
    log.info("the value is %s", secret)
    log.info("repr %r", {"value": secret})
    log.info(json.dumps({"value": secret}))
    log.warning("an extra field", extra={"value": secret})
    try:
        raise ValueError(f"cannot use {secret}")
    except ValueError:
        log.exception("it failed")
    logging.getLogger("some.library").error("GET /?key=%s", secret)
    said = written.getvalue()
    assert said.count("***") >= 5
    for form in (secret, json.dumps(secret)[1:-1], repr(secret)[1:-1]):
        assert form not in said


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("to postgresql://ann:secret@db/x", "to postgresql://ann:***@db/x"),
        ("host=db password=secret user=ann", "host=db password=*** user=ann"),
        ("Authorization: Bearer abc.def-123", "Authorization: Bearer ***"),
        ("key rk_test_51Habc", "key rk_test_***"),
        ("signed by whsec_abc", "signed by whsec_***"),
        ("http://127.0.0.1:8501/usage?from=10:00", "http://127.0.0.1:8501/usage?from=10:00"),
        ("the bearer of news", "the bearer of news"),
    ],
)
def test_what_looks_like_a_secret_is_hidden_whoever_brought_it(line: str, shown: str) -> None:
    assert Secrets([]).hide(line) == shown


def test_a_value_too_short_to_be_a_secret_blanks_nothing() -> None:
    assert Secrets(["a", ""]).hide("a banana") == "a banana"


def test_json_is_an_object_a_line_with_extra_fields_and_the_exception(
    written: io.StringIO, settings: Settings
) -> None:
    log = logging.getLogger("meterhouse.watch")
    log.info("loaded %s", "ä.ndjson", extra={"rows_loaded": 3})
    try:
        raise MeterhouseError("no such thing")
    except MeterhouseError:
        log.exception("two\nlines")
    if settings.log_format == "text":
        assert "INFO loaded ä.ndjson" in written.getvalue()
        return
    first, second = map(json.loads, written.getvalue().splitlines())
    assert first["time"].endswith("Z") and first.pop("time")
    assert first == {
        "level": "info",
        "logger": "meterhouse.watch",
        "message": "loaded ä.ndjson",
        "rows_loaded": 3,
    }
    assert second["message"] == "two\nlines" and "no such thing" in second["exception"]


def test_a_library_with_a_handler_of_its_own_writes_the_same_form(settings: Settings) -> None:
    stream = io.StringIO()
    library = logging.getLogger("a.library")
    library.addHandler(logging.StreamHandler(stream))
    library.propagate = False
    try:
        configure_logging(settings, io.StringIO())
        library.error("it said %s", PASSWORD)
    finally:
        library.handlers.clear()
        library.propagate = True
    assert PASSWORD not in stream.getvalue() and "it said ***" in stream.getvalue()


def test_what_a_command_says_before_it_ends_hides_secrets_too(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("METERHOUSE_SMTP_PASSWORD", "hush-hush")
    monkeypatch.setattr(sys, "argv", ["meterhouse"])

    def fail(**_: object) -> None:
        raise MeterhouseError("the server said hush-hush")

    monkeypatch.setattr(cli, "meterhouse", fail)
    with pytest.raises(SystemExit):
        cli.main()
    assert capsys.readouterr().err == "meterhouse: the server said ***\n"


def test_the_form_follows_the_setting() -> None:
    record = logging.makeLogRecord({"msg": "x", "levelname": "INFO"})
    assert formatter_of(Settings(log_format="json")).format(record).startswith("{")
    assert not formatter_of(Settings()).format(record).startswith("{")
    assert secrets_of(Settings(), {}).hide("x") == "x"
