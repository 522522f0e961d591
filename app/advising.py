"""Accepted advice of the account that was entered; the store is asked for no other."""

from app.deeds import ACCEPT_ADVICE, WITHDRAW_ADVICE
from app.gate import AccountReader
from app.queries.insights_advice import Advice
from billing.advice import Acceptance, Advised, accept_advice, acceptances, withdraw_advice


def accepted_of(reader: AccountReader) -> list[Acceptance]:
    """What the account has accepted, the newest first."""
    return reader.ask_store(acceptances)


def accept(reader: AccountReader, advice: Advice) -> Acceptance:
    """Accept an advice. Raises MeterhouseError as ``accept_advice`` does."""
    advised = advised_of(advice)
    return reader.do(
        ACCEPT_ADVICE,
        lambda store, account_id: accept_advice(store, account_id, advised),
        advice=advice.advice_id,
    )


def withdraw(reader: AccountReader, advice_id: str) -> Acceptance:
    """End its measurement. Raises MeterhouseError where it is not accepted."""
    return reader.do(
        WITHDRAW_ADVICE,
        lambda store, account_id: withdraw_advice(store, account_id, advice_id),
        advice=advice_id,
    )


def advised_of(advice: Advice) -> Advised:
    """What is kept of an advice with the decision."""
    return Advised(**{name: getattr(advice, name) for name in Advised.__dataclass_fields__})
