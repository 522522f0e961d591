"""Documents of issued invoices: rendered once, kept beside them; and what is to be mailed."""

from collections.abc import Callable, Container, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from billing.accounts import get_account
from billing.invoices.document import render
from billing.invoices.issued import (
    Issued,
    document_of,
    file_name,
    keep_document,
    list_issued,
    undrawn,
)
from billing.store import Store
from warehouse.settings import Settings


@dataclass(frozen=True)
class Delivery:
    """An invoice to be mailed. ``reference`` makes the mail exist once.

    ``recipient`` is the account's registered address, None where it has none.
    """

    reference: str
    account_id: str
    recipient: str | None
    number: str
    series: str
    language: str


def render_missing(
    settings: Settings,
    store: Store,
    *,
    now: datetime | None = None,
    told: Callable[[Issued], None] = lambda _: None,
) -> int:
    """Render what was issued and has no document yet; returns how many.

    ``told`` is called after each is stored. What is interrupted is done again, with the same bytes.
    """
    missing = undrawn(store)
    for issued in missing:
        pdf = render(issued.content, settings.invoice_fonts)
        keep_document(store, issued.invoice_id, pdf, now or datetime.now(UTC))
        told(issued)
    return len(missing)


def to_deliver(store: Store, sent: Container[str]) -> Iterator[Delivery]:
    """Issued invoices whose mail is not among ``sent``, which are references of mails."""
    for issued in list_issued(store):
        reference = f"invoice:{issued.number}"
        if reference not in sent:
            yield Delivery(
                reference,
                issued.account_id,
                get_account(store, issued.account_id).current.email,
                issued.number,
                issued.series,
                issued.content["recipient"]["language"],
            )


def attachment_of(store: Store, delivery: Delivery) -> tuple[str, bytes]:
    """File name and PDF to attach. Raises MeterhouseError before it was rendered."""
    return file_name(delivery.number), document_of(store, delivery.number)
