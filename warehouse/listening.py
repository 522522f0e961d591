"""Where a server of ours may listen: beyond loopback only where people sign in."""

import ipaddress

from warehouse.errors import MeterhouseError
from warehouse.settings import Settings


def refuse_remote(settings: Settings, address: str | None) -> None:
    """Raises MeterhouseError for an address beyond loopback, unless people sign in there.

    None is every address of the machine.
    """
    if settings.has_sign_in or settings.allow_remote_without_sign_in:
        return
    if not is_loopback(address):
        raise MeterhouseError(
            f"the app would listen on {address or 'every address'}, and everybody who reaches it "
            "could do everything; configure sign-in with METERHOUSE_OIDC_*, or set "
            "METERHOUSE_ALLOW_REMOTE_WITHOUT_SIGN_IN=true if that is meant"
        )


def is_loopback(address: str | None) -> bool:
    """Whether only this machine itself reaches an address."""
    if address == "localhost":
        return True
    try:
        return ipaddress.ip_address(address or "").is_loopback
    except ValueError:
        return False
