"""Who asks, and what they may do. Pure: who it is was found out elsewhere.

Roles go from the least to the most, each with what the one before may: a viewer looks, ``billing``
also buys, sets budgets and takes documents away, ``admin`` also manages an account's members. An
admin of the platform has that role in every account, and sees what is of no account.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from billing import validation
from billing.members import ROLES
from warehouse.errors import MeterhouseError
from warehouse.settings import Settings

Role = Literal["viewer", "billing", "admin"]


@dataclass(frozen=True)
class Deed:
    """Something that passes the gate by itself and is logged, and the least role for it."""

    action: str
    role: Role


class Forbidden(MeterhouseError):
    """The role of the user is not enough; the text says which one is."""


class NotSignedIn(MeterhouseError):
    """Nobody has signed in with a verified address, or not any more; there is no gate for them."""

    def __init__(self) -> None:
        super().__init__("your sign-in has ended; load the page again to sign in")


@dataclass(frozen=True)
class User:
    """Who asks: an e-mail address, ``local`` or ``api``.

    ``roles`` are those of single accounts, ``everywhere`` the one in all of them. ``origin`` is
    where they ask from, for the audit log.
    """

    name: str
    everywhere: Role | None = None
    roles: Mapping[str, str] = field(default_factory=dict)
    origin: str = ""

    @property
    def is_staff(self) -> bool:
        """Whether this is an admin of the platform."""
        return self.everywhere == "admin"

    @property
    def accounts(self) -> frozenset[str] | None:
        """The accounts that they see; None for all."""
        return None if self.everywhere else frozenset(self.roles)

    def sees(self, account_id: str) -> bool:
        """Whether they may look at an account."""
        return self.everywhere is not None or account_id in self.roles

    def role_in(self, account_id: str) -> str | None:
        """Their role in an account; None where they have none."""
        return self.everywhere or self.roles.get(account_id)

    def may(self, deed: Deed, account_id: str) -> bool:
        """Whether their role in an account is enough for a deed."""
        role = self.role_in(account_id)
        return role is not None and ROLES.index(role) >= ROLES.index(deed.role)


LOCAL = User("local", everywhere="admin", origin="loopback")
"""The one user where no sign-in is configured."""

API = User("api", everywhere="viewer")
"""The platform's own programs, which know the API token: they look at every account."""


def email_of(claims: Mapping[str, Any]) -> str | None:
    """The address of who signed in, in lower case; None unless the provider has verified it.

    Only what can be a member's address is one: letters outside ASCII, some of which become others
    in lower case, are none.
    """
    if claims.get("is_logged_in") is not True:
        return None
    if claims.get("email_verified") not in (True, "true"):
        return None
    address = claims.get("email")
    if not isinstance(address, str) or not address.isascii():
        return None
    try:
        found = validation.email(address)
    except MeterhouseError:
        return None
    return found.lower() if found else None


def is_platform_admin(email: str, claims: Mapping[str, Any], settings: Settings) -> bool:
    """Whether settings name this address, or a claim that it brings, as admin of the platform."""
    named = {part.strip().lower() for part in settings.platform_admins.split(",")}
    if email and email in named:
        return True
    name, _, wanted = settings.admin_claim.partition("=")
    if not name.strip():
        return False
    given = claims.get(name.strip())
    return wanted.strip() in given if isinstance(given, list) else given == wanted.strip()


def signed_in(
    email: str,
    claims: Mapping[str, Any],
    roles: Mapping[str, str],
    settings: Settings,
    origin: str,
) -> User:
    """The user of a verified address with the roles that the operational store knows."""
    everywhere: Role | None = "admin" if is_platform_admin(email, claims, settings) else None
    return User(email, everywhere, roles, origin)
