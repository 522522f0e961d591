"""Who somebody is by what a provider says of them, and what their role lets them do."""

import pytest

from app.deeds import DEEDS, INVITE_MEMBER, SAVE_BUDGET, START_EXPORT
from app.users import API, LOCAL, User, email_of, is_platform_admin, signed_in
from warehouse.errors import MeterhouseError
from warehouse.listening import refuse_remote
from warehouse.settings import Settings, load_settings

SIGNED_IN = {"is_logged_in": True, "email": "Vera@Acme.Example", "email_verified": True}
OIDC = {
    "METERHOUSE_OIDC_METADATA_URL": "https://id.example/.well-known/openid-configuration",
    "METERHOUSE_OIDC_CLIENT_ID": "meterhouse",
    "METERHOUSE_OIDC_CLIENT_SECRET": "secret",
    "METERHOUSE_OIDC_COOKIE_SECRET": "0123456789abcdef" * 2,
}


def test_an_address_counts_in_lower_case() -> None:
    assert email_of(SIGNED_IN) == "vera@acme.example"
    assert email_of({**SIGNED_IN, "email_verified": "true"}) == "vera@acme.example"


@pytest.mark.parametrize(
    "claims",
    [
        {"is_logged_in": False},
        {"is_logged_in": "yes"},
        {"email_verified": False},
        {"email_verified": None},
        {"email_verified": "yes"},
        {"email_verified": 1.5},
        {"email": ""},
        {"email": None},
        {"email": ["vera@acme.example"]},
        {"email": "vera"},
        {"email": "\N{KELVIN SIGN}im@acme.example"},
        {"email": "vera@acme.example, root@acme.example"},
        {"email": "vera@acme.example\nBcc: x@y.example"},
    ],
)
def test_what_is_not_verified_or_no_address_is_nobody(claims: dict[str, object]) -> None:
    assert email_of({**SIGNED_IN, **claims}) is None


def test_settings_name_the_admins_of_the_platform_by_address_or_claim() -> None:
    named = Settings(platform_admins="Root@meter.example, ops@meter.example")
    assert is_platform_admin("root@meter.example", {}, named)
    assert not is_platform_admin("", {}, Settings(platform_admins=""))
    assert not is_platform_admin("oot@meter.example", {}, named)
    claimed = Settings(admin_claim="groups=billing-admins")
    assert is_platform_admin("a@b.example", {"groups": ["x", "billing-admins"]}, claimed)
    assert is_platform_admin("a@b.example", {"groups": "billing-admins"}, claimed)
    assert not is_platform_admin("a@b.example", {"groups": "not-billing-admins"}, claimed)
    assert not is_platform_admin("a@b.example", {}, claimed)
    assert not is_platform_admin("a@b.example", {"": ""}, Settings())


def test_each_role_may_what_the_one_before_may_and_only_in_its_account() -> None:
    may = {
        role: {
            deed.action
            for deed in DEEDS.values()
            if User("a@b.example", roles={"acme": role}).may(deed, "acme")
        }
        for role in ("viewer", "billing", "admin")
    }
    assert may["viewer"] < may["billing"] < may["admin"] == set(DEEDS)
    assert may["viewer"] == {
        "export.start",
        "export.fetch",
        "export.ledger",
        "export.statement",
        "export.line",
    }
    billing = User("a@b.example", roles={"acme": "billing"})
    assert billing.may(SAVE_BUDGET, "acme")
    assert not billing.may(SAVE_BUDGET, "tokyo")
    assert not billing.may(INVITE_MEMBER, "acme")
    assert not billing.is_staff


def test_the_local_user_may_everything_and_the_platforms_programs_only_look() -> None:
    assert LOCAL.is_staff and LOCAL.may(INVITE_MEMBER, "any")
    assert API.sees("any") and not API.is_staff and not API.may(SAVE_BUDGET, "any")
    assert API.may(START_EXPORT, "any")


def test_a_person_without_membership_sees_nothing() -> None:
    user = signed_in("vera@acme.example", SIGNED_IN, {}, Settings(), "here")
    assert user.accounts == frozenset()
    assert not user.sees("acme")


@pytest.mark.parametrize("address", ["127.0.0.1", "localhost", "::1", "127.9.9.9"])
def test_without_sign_in_loopback_is_where_the_app_listens(address: str) -> None:
    refuse_remote(Settings(), address)


@pytest.mark.parametrize("address", [None, "", "0.0.0.0", "::", "10.0.0.5", "app.example"])
def test_beyond_loopback_it_listens_with_sign_in_or_by_a_setting_only(
    address: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(MeterhouseError, match="METERHOUSE_ALLOW_REMOTE_WITHOUT_SIGN_IN"):
        refuse_remote(Settings(), address)
    refuse_remote(Settings(allow_remote_without_sign_in=True), address)
    for name, value in OIDC.items():
        monkeypatch.setenv(name, value)
    refuse_remote(load_settings(), address)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"METERHOUSE_OIDC_CLIENT_SECRET": ""}, "also needs METERHOUSE_OIDC_CLIENT_SECRET"),
        ({"METERHOUSE_OIDC_METADATA_URL": ""}, "also needs METERHOUSE_OIDC_METADATA_URL"),
        ({"METERHOUSE_OIDC_COOKIE_SECRET": "short"}, "needs 32 characters or more"),
        ({"METERHOUSE_OIDC_REDIRECT_URL": "https://a.example/"}, "end with /oauth2callback"),
        ({"METERHOUSE_ADMIN_CLAIM": "groups"}, "written as name=value"),
    ],
)
def test_half_a_sign_in_is_a_clear_error(
    changed: dict[str, str], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {**OIDC, **changed}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(MeterhouseError, match=said) as error:
        load_settings()
    assert "0123456789abcdef" not in str(error.value)
