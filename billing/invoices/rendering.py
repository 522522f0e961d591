"""Documents of issued invoices: rendered once, kept beside them."""

from collections.abc import Callable
from datetime import UTC, datetime

from billing.invoices.document import render
from billing.invoices.issued import Issued, keep_document, undrawn
from billing.store import Store
from warehouse.settings import Settings


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
