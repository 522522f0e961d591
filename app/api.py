"""The API for the platform: what an account has left, as JSON, so that it can be stopped in time.

It is open to who has the token of ``METERHOUSE_API_TOKEN``; decimals are texts with every digit.
"""

import hashlib
import hmac
import logging
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from app.context import open_gate
from app.gate import UnknownAccount
from app.queries.credits import soon
from app.users import API
from billing.budgets.limits import Limit
from billing.position import CreditPosition
from warehouse.errors import MeterhouseError
from warehouse.publication import Publication
from warehouse.settings import load_settings

EXPIRES_WITHIN_DAYS = 30
"""Lots that expire within so many days are listed unless the query asks for other days."""

LONGEST_DAYS = 3660
METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]

_LOG = logging.getLogger("meterhouse.app")
_HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


async def balance(request: Request) -> Response:
    """GET /v1/accounts/{id}/balance?expires_within=30, with ``Authorization: Bearer <token>``."""
    refused = refusal(load_settings().api_token, request.headers.get("authorization"))
    if refused is not None:
        return refused
    if request.method not in ("GET", "HEAD"):
        return problem(405, "method_not_allowed", "Ask with GET.", Allow="GET, HEAD")
    days = days_of(request.query_params.get("expires_within"))
    if days is None:
        return problem(
            400,
            "bad_request",
            f"expires_within is a whole number of days from 0 to {LONGEST_DAYS}.",
        )
    account_id = request.path_params["account_id"]

    def answer() -> Response:
        gate = open_gate(API)
        try:
            reader, now = gate.enter(account_id), datetime.now(UTC)
            found, limits = reader.position(now), reader.limits(now)
        except UnknownAccount:
            return problem(404, "unknown_account", "There is no such account.")
        return JSONResponse(content(found, gate.publication, days, limits), headers=_HEADERS)

    try:
        return await run_in_threadpool(answer)
    except MeterhouseError as error:
        _LOG.error("the balance of %r cannot be told: %s", account_id, error)
        return problem(503, "unavailable", "The balance cannot be told now; ask again later.")
    except Exception:
        _LOG.exception("the balance of %r failed", account_id)
        return problem(500, "failed", "Something unexpected happened; the server's log tells what.")


def refusal(token: str, authorization: str | None) -> Response | None:
    """Why a request is not answered: no token is set here, or it brings none or another."""
    if not token:
        return problem(
            503,
            "api_off",
            "This API is off: whoever runs Meterhouse turns it on with METERHOUSE_API_TOKEN.",
        )
    scheme, _, given = (authorization or "").partition(" ")
    if scheme.lower() == "bearer" and _is_same(given.strip(), token):
        return None
    return problem(
        401,
        "unauthorized",
        "Send the API token as `Authorization: Bearer <token>`.",
        **{"WWW-Authenticate": "Bearer"},
    )


def days_of(text: str | None) -> int | None:
    """The days of ``expires_within``; None for what is no number of days."""
    if text is None:
        return EXPIRES_WITHIN_DAYS
    if not (text.isascii() and text.isdecimal() and len(text) <= 4):
        return None
    return int(text) if int(text) <= LONGEST_DAYS else None


def content(
    found: CreditPosition,
    publication: Publication | None,
    days: int,
    limits: Sequence[Limit] = (),
) -> dict[str, Any]:
    """A position and its limits as they are answered."""
    return {
        "account_id": found.account_id,
        "as_of": _time(found.at),
        "balance": _decimal(found.balance),
        "settled": _decimal(found.settled_balance),
        "pending": _decimal(found.pending),
        "pending_events": found.pending_events,
        "pending_unrated_events": found.pending_unrated_events,
        "remaining": _decimal(found.remaining),
        "overage": _decimal(found.overage),
        "daily_pace": None if found.daily_pace is None else _decimal(found.daily_pace),
        "runway_days": found.runway_days,
        "expires_within_days": days,
        "expiring": [
            {
                "lot_id": lot.grant_id,
                "kind": lot.kind,
                "remaining": _decimal(lot.remaining),
                "expires_at": _time(lot.expires_at),
            }
            for lot in soon(found.lots, found.at, days)
        ],
        "limits": [
            {
                "budget_id": each.budget.budget_id,
                "name": each.budget.name,
                "scope": each.budget.scope,
                "part": each.budget.part,
                "from": each.period.first.isoformat(),
                "to": each.period.until.isoformat(),
                "allowed": each.is_allowed,
                "limit": _decimal(each.budget.limit_amount),
                "used": _decimal(each.used),
                "pending": _decimal(each.pending),
            }
            for each in limits
        ],
        "published": publication
        and {
            "load_id": publication.raw_load_id,
            "snapshot": publication.marts_snapshot,
            "published_at": _time(publication.published_at),
        },
    }


def problem(status: int, code: str, message: str, **headers: str) -> Response:
    """An error: a code for programs, a sentence for people."""
    return JSONResponse(
        {"error": {"code": code, "message": message}}, status, headers={**_HEADERS, **headers}
    )


def _is_same(given: str, token: str) -> bool:
    """Whether a header's text is the token, in a time that does not tell how far it is.

    The server reads headers as Latin-1; what was sent for other letters is UTF-8.
    """
    sent = hashlib.sha256(given.encode("latin-1", "replace")).digest()
    return hmac.compare_digest(sent, hashlib.sha256(token.encode("utf-8", "replace")).digest())


def _decimal(amount: Decimal) -> str:
    """Every digit that is there, no zeros at the end."""
    text = f"{amount:f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text == "-0" else text


def _time(moment: datetime | None) -> str | None:
    if moment is None:
        return None
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return aware.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


routes = [Route("/v1/accounts/{account_id:path}/balance", balance, methods=METHODS)]
