"""``meterhouse members``: who may see an account, who is invited, and in which role."""

import json
from datetime import UTC, datetime

import click
from rich.table import Table

from billing import invitations
from billing.alerts.delivery import send_due
from billing.members import ROLES, list_members, remove_member, set_member
from billing.store import open_store
from orchestration.commands.audited import logged
from orchestration.commands.tables import print_table
from warehouse.settings import load_settings


@click.group()
def members() -> None:
    """Who may see an account, and what they may do there."""


@members.command("invite")
@click.argument("account_id")
@click.argument("email")
@click.option("--role", default="viewer", show_default=True, help=f"One of {', '.join(ROLES)}.")
def invite(account_id: str, email: str, role: str) -> None:
    """Invite a person by mail; they are a member once they sign in with the address.

    The invitation holds for 14 days. A mail that cannot be sent now is tried again by
    `meterhouse alerts run`.
    """
    settings = load_settings()
    with open_store(settings) as store:
        with logged(store, "member.invite", account_id):
            made = invitations.invite(store, settings, account_id, email, role)
        send_due(settings, store)
    click.echo(f"invited {made.email} as {made.role}, until {made.expires_at:%Y-%m-%d}", err=True)
    if not settings.smtp_host:
        click.echo(f"no mail server is set: mails are in {settings.mail_folder}", err=True)


@members.command("role")
@click.argument("account_id")
@click.argument("email")
@click.argument("role")
def role(account_id: str, email: str, role: str) -> None:
    """Give a person another role, or make them a member without an invitation."""
    with open_store(load_settings()) as store, logged(store, "member.role", account_id):
        member = set_member(store, account_id, email, role)
    click.echo(f"{member.email} is {member.role} of {account_id}", err=True)


@members.command("remove")
@click.argument("account_id")
@click.argument("email")
def remove(account_id: str, email: str) -> None:
    """Remove a person from an account, or take back their invitation."""
    with open_store(load_settings()) as store:
        waiting = {each.email for each in invitations.list_invitations(store, account_id)}
        if email.strip().lower() in waiting:
            with logged(store, "member.withdraw", account_id):
                invitations.withdraw(store, account_id, email)
            click.echo(f"withdrew the invitation of {email}", err=True)
            return
        with logged(store, "member.remove", account_id):
            remove_member(store, account_id, email)
    click.echo(f"removed {email} from {account_id}", err=True)


@members.command("list")
@click.argument("account_id")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
def list_(account_id: str, as_json: bool) -> None:
    """List the members of an account, and who is invited."""
    now = datetime.now(UTC)
    with open_store(load_settings()) as store:
        found = [(each.email, each.role, "member") for each in list_members(store, account_id)]
        found += [
            (each.email, each.role, "run out" if each.is_over(now) else "invited")
            for each in invitations.list_invitations(store, account_id)
        ]
    if as_json:
        rows = [{"email": email, "role": role, "state": state} for email, role, state in found]
        click.echo(json.dumps(rows, indent=2))
        return
    if not found:
        click.echo(
            f"{account_id} has no members yet; invite one with `meterhouse members invite`",
            err=True,
        )
        return
    table = Table("address", "role", "state", header_style="bold")
    for row in found:
        table.add_row(*row)
    print_table(table)
