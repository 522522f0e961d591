"""Documents of issued invoices: rendered once, kept beside them."""

from collections.abc import Callable
from datetime import UTC, datetime

from billing.invoices.document import render
from billing.invoices.issued import Issued, keep_document, undrawn
from billing.store import Store
from warehouse.errors import MeterhouseError
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
    Raises MeterhouseError for the first that cannot be rendered, when all others are.
    """
    failed: MeterhouseError | None = None
    rendered = 0
    for issued in undrawn(store):
        try:
            pdf = render(issued.content, settings.invoice_fonts)
        except MeterhouseError as error:
            failed = failed or error
            continue
        keep_document(store, issued.invoice_id, pdf, now or datetime.now(UTC))
        told(issued)
        rendered += 1
    if failed:
        raise failed
    return rendered
