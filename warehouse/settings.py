"""Every setting of Meterhouse, read from ``METERHOUSE_*`` variables in one place."""

import os
import re
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from warehouse.errors import MeterhouseError

ROOT = Path(__file__).resolve().parent.parent
"""The project's root: where ``dbt_project.yml`` lies."""

SHORTEST_SECRET = 32
"""Characters that a secret which signs cookies has at least."""


def _absolute(path: Path) -> Path:
    return path.expanduser().absolute()


def _memory(text: str) -> str:
    if not re.fullmatch(r"\d+(\.\d+)?\s*([KMGT]i?B)", text, re.IGNORECASE):
        raise ValueError(f"{text!r} is no amount of memory; write for example 4GB")
    return text


AbsolutePath = Annotated[Path, AfterValidator(_absolute)]


class Settings(BaseSettings):
    """What can be configured, with its default and the variable that sets it.

    Each field ``x`` is read from the environment variable ``METERHOUSE_X``. An instance never
    changes; pass it on rather than reading the environment again.
    """

    model_config = SettingsConfigDict(
        env_prefix="METERHOUSE_", env_ignore_empty=True, frozen=True, extra="ignore"
    )

    home: AbsolutePath = Field(
        default=Path("var"),
        description="Folder of all state: lakes, store, landing folder, logs; one an instance.",
    )
    catalog_url: str = Field(
        default="",
        description="postgresql://… of both lakes' catalogs; empty means SQLite under the home.",
    )
    data_path: str = Field(
        default="",
        description="Folder or bucket of the lakes' Parquet files; empty means <home>/lake.",
    )
    operations_url: str = Field(
        default="",
        description="SQLAlchemy URL of the operational store; empty means SQLite under the home.",
    )
    landing: Path | None = Field(
        default=None, description="Folder where usage logs arrive; empty means <home>/landing."
    )
    sources: Path | None = Field(
        default=None,
        description="Folder of further source specs (YAML), read beside those that come along.",
    )
    memory: Annotated[str, AfterValidator(_memory)] = Field(
        default="4GB", description="Memory that each DuckDB engine may use."
    )
    threads: int | None = Field(
        default=None, ge=1, description="Threads each DuckDB engine may use; empty means all cores."
    )
    lock_timeout: float = Field(
        default=600.0, ge=0, description="Seconds to wait for the other writer of a lake."
    )
    snapshot_days: int = Field(default=30, ge=1, description="Days that lake snapshots are kept.")
    platform_name: str = Field(default="Craveva AI", description="The platform's name in the app.")
    support_email: str = Field(
        default="support@craveva.example", description="Where the platform's users find help."
    )
    support_url: str = Field(
        default="",
        description="Page that the app's help links open; empty writes to the support address.",
    )
    app_address: str = Field(
        default="127.0.0.1",
        description="Address that the app listens on; beyond loopback it needs sign-in.",
    )
    app_port: int = Field(default=8501, ge=1, le=65535, description="Port of the app.")
    dagster_port: int = Field(default=3000, ge=1, le=65535, description="Port of Dagster.")
    app_url: str = Field(
        default="",
        description="Public address of the app; empty means http://127.0.0.1:<app port>.",
    )
    oidc_metadata_url: str = Field(
        default="",
        description="Address of the OIDC provider's metadata (…/.well-known/openid-configuration).",
    )
    oidc_client_id: str = Field(
        default="", description="Client id of this app at the OIDC provider."
    )
    oidc_client_secret: str = Field(
        default="", repr=False, description="Client secret of this app at the OIDC provider."
    )
    oidc_cookie_secret: str = Field(
        default="",
        repr=False,
        description="Secret that signs the cookie of who signed in: 32 random characters or more.",
    )
    oidc_redirect_url: str = Field(
        default="",
        description="Where the OIDC provider leads back; empty means <app url>/oauth2callback.",
    )
    session_hours: float = Field(
        default=12,
        gt=0,
        le=720,
        description="Hours after which who signed in does so again.",
    )
    platform_admins: str = Field(
        default="",
        description="Addresses of the platform's admins, apart by commas.",
    )
    admin_claim: str = Field(
        default="",
        description="Claim that makes a platform admin, such as groups=billing-admins.",
    )
    allow_remote_without_sign_in: bool = Field(
        default=False,
        description="Let the app be reached from elsewhere without sign-in: all can do everything.",
    )
    payments: Literal["auto", "stripe", "demo", "off"] = Field(
        default="auto",
        description="stripe, demo (no money moves) or off; auto is Stripe if its keys are given.",
    )
    stripe_secret_key: str = Field(
        default="", repr=False, description="Secret key of Stripe's API (sk_… or rk_…)."
    )
    stripe_webhook_secret: str = Field(
        default="",
        repr=False,
        description="Signing secret of Stripe's webhook to <app url>/webhooks/stripe (whsec_…).",
    )
    stripe_api_base: str = Field(
        default="https://api.stripe.com", description="Address of Stripe's API; another in tests."
    )
    api_token: str = Field(
        default="",
        repr=False,
        description="Token that the platform sends to the API (/v1/…); empty turns the API off.",
    )
    metrics_token: str = Field(
        default="",
        repr=False,
        description="Token that asks for /metrics; empty answers this machine alone.",
    )
    log_format: Literal["text", "json"] = Field(
        default="text", description="text, or json: one object a line."
    )

    smtp_host: str = Field(
        default="", description="Mail server; empty writes mails into <home>/mail instead."
    )
    smtp_port: int = Field(default=587, ge=1, le=65535, description="Port of the mail server.")
    smtp_security: Literal["starttls", "tls", "none"] = Field(
        default="starttls", description="starttls, tls (from the first byte) or none."
    )
    smtp_user: str = Field(default="", description="User of the mail server; empty for none.")
    smtp_password: str = Field(
        default="", repr=False, description="Password of the mail server's user."
    )
    smtp_from: str = Field(
        default="", description="Address that mails come from; empty means the support address."
    )
    alert_webhook_secret: str = Field(
        default="",
        repr=False,
        description="Secret that alert webhooks are signed with; empty sends none.",
    )
    allow_internal_webhooks: bool = Field(
        default=False,
        description="Call webhooks whose names lead into private networks, as in a split DNS.",
    )

    invoice_grace_days: int = Field(
        default=3, ge=0, le=60, description="Days after a month's end before it can be invoiced."
    )
    invoice_unrated_credits: Decimal = Field(
        default=Decimal(0),
        ge=0,
        description="Credits that a month's usage without a price may cost at most to be invoiced.",
    )
    invoice_bound: float = Field(
        default=5.0,
        gt=1,
        description="Times that an invoice's total may be above or below the last six.",
    )
    invoice_fonts: Path | None = Field(
        default=None,
        description="Folder of further fonts (TTF, OTF) for invoices, such as for Chinese names.",
    )

    @model_validator(mode="after")
    def _sign_in_is_whole(self) -> Self:
        given = {
            f"METERHOUSE_OIDC_{name.upper()}": getattr(self, f"oidc_{name}")
            for name in ("metadata_url", "client_id", "client_secret", "cookie_secret")
        }
        missing = [name for name, value in given.items() if not value]
        if missing and len(missing) < len(given):
            raise ValueError(f"sign-in by OIDC also needs {', '.join(missing)}")
        if self.oidc_cookie_secret and len(self.oidc_cookie_secret) < SHORTEST_SECRET:
            raise ValueError(
                f"METERHOUSE_OIDC_COOKIE_SECRET needs {SHORTEST_SECRET} characters or more; make "
                "one with `openssl rand -hex 32`"
            )
        if not self.sign_in_url.endswith("/oauth2callback"):
            raise ValueError("METERHOUSE_OIDC_REDIRECT_URL has to end with /oauth2callback")
        if self.support_url and not self.support_url.startswith(("https://", "http://")):
            raise ValueError("METERHOUSE_SUPPORT_URL has to begin with https:// or http://")
        name, equals, value = self.admin_claim.partition("=")
        if self.admin_claim and not (name.strip() and equals and value.strip()):
            raise ValueError(
                "METERHOUSE_ADMIN_CLAIM is written as name=value, such as groups=billing-admins"
            )
        return self

    @property
    def has_sign_in(self) -> bool:
        """Whether people sign in; without, there is one local user."""
        return bool(self.oidc_metadata_url)

    @property
    def sign_in_url(self) -> str:
        """Where the OIDC provider leads back to."""
        return self.oidc_redirect_url or f"{self.public_url}/oauth2callback"

    @property
    def support_link(self) -> str:
        """Where a link to the platform's support leads."""
        return self.support_url or f"mailto:{self.support_email}"

    @property
    def mail_folder(self) -> Path:
        """Where mails are written as files while there is no mail server."""
        return self.home / "mail"

    @property
    def mail_from(self) -> str:
        """The address that mails come from."""
        return self.smtp_from or self.support_email

    @property
    def landing_folder(self) -> Path:
        """Where logs arrive: one subfolder a source."""
        return _absolute(self.landing) if self.landing else self.home / "landing"

    @property
    def store_url(self) -> str:
        """SQLAlchemy URL of the operational store."""
        return self.operations_url or f"sqlite:///{self.home / 'operations.sqlite'}"

    @property
    def public_url(self) -> str:
        """Address of the app without a slash at its end."""
        return (self.app_url or f"http://127.0.0.1:{self.app_port}").rstrip("/")

    @property
    def dagster_home(self) -> Path:
        """Dagster's own state."""
        return self.home / "dagster"

    def environment(self) -> dict[str, str]:
        """The environment of this process with these settings in it, for a child process."""
        given = {
            f"METERHOUSE_{name.upper()}": str(value)
            for name, value in self.model_dump().items()
            if value is not None
        }
        inherited = {
            name: value for name, value in os.environ.items() if not name.startswith("METERHOUSE_")
        }
        return inherited | given

    def lake_files(self, lake: str) -> str:
        """Folder or bucket prefix of one lake's Parquet files, with a slash at its end."""
        base = self.data_path.rstrip("/") if self.data_path else str(self.home / "lake")
        return f"{base}/{lake}/"


def load_settings() -> Settings:
    """Read the settings from the environment, anew only where it has changed.

    Raises MeterhouseError that names each variable that cannot be used.
    """
    variables = ((name, value) for name, value in os.environ.items() if _is_ours(name))
    return _read_settings(tuple(sorted(variables)), os.getcwd())


def _is_ours(name: str) -> bool:
    return name.upper().startswith("METERHOUSE_")


@lru_cache(maxsize=8)
def _read_settings(variables: tuple[tuple[str, str], ...], folder: str) -> Settings:
    """The settings as the ``variables`` and the working ``folder`` of this moment have them."""
    try:
        return Settings()
    except ValidationError as error:
        lines = [
            f"  METERHOUSE_{'.'.join(map(str, problem['loc'])).upper()}: {problem['msg']}"
            if problem["loc"]
            else f"  {problem['msg'].removeprefix('Value error, ')}"
            for problem in error.errors()
        ]
        raise MeterhouseError("these settings cannot be used:\n" + "\n".join(lines)) from error
