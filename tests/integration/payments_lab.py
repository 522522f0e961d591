"""A server of the payment routes and a fake of Stripe's API, both real HTTP on loopback."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route


@contextmanager
def serving(app: Starlette) -> Iterator[str]:
    """The address of an app that is served until the block ends."""
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    config = uvicorn.Config(app, log_level="warning", lifespan="off", ws="none")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(120)
        listening.close()


@dataclass
class FakeStripe:
    """Checkout Sessions, refunds and events as Stripe's API answers them."""

    sessions: dict[str, dict[str, Any]] = field(default_factory=dict)
    refunds: dict[str, dict[str, Any]] = field(default_factory=dict)
    events: list[dict[str, Any]] = field(default_factory=list)
    by_key: dict[str, Any] = field(default_factory=dict)
    is_down: bool = False

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/v1/checkout/sessions", self.create, methods=["POST"]),
                Route("/v1/checkout/sessions", self.find, methods=["GET"]),
                Route("/v1/checkout/sessions/{id}", self.retrieve, methods=["GET"]),
                Route("/v1/checkout/sessions/{id}/expire", self.expire, methods=["POST"]),
                Route("/v1/refunds", self.refund, methods=["POST"]),
                Route("/v1/events", self.list_events, methods=["GET"]),
            ]
        )

    def pay(self, session_id: str, **changes: Any) -> dict[str, Any]:
        """The customer pays; returns the event that Stripe would send."""
        self.sessions[session_id].update({"status": "complete", "payment_status": "paid"})
        self.sessions[session_id].update({"url": None, **changes})
        return self.event("checkout.session.completed", self.sessions[session_id])

    def event(self, kind: str, about: dict[str, Any]) -> dict[str, Any]:
        made = {"id": f"evt_{len(self.events)}", "object": "event", "type": kind}
        self.events.append({**made, "created": int(time.time()), "data": {"object": dict(about)}})
        return self.events[-1]

    async def create(self, request: Request) -> Response:
        if self.is_down:
            return self._error(500, "down")
        if request.headers["authorization"] != "Bearer sk_test_meterhouse":
            return self._error(401, "Invalid API Key")
        key = request.headers["idempotency-key"]
        if key not in self.by_key:
            form = await self._form(request)
            number = len(self.sessions)
            price = "line_items[0][price_data]"
            self.by_key[key] = self.sessions[f"cs_test_{number}"] = {
                "id": f"cs_test_{number}",
                "object": "checkout.session",
                "status": "open",
                "payment_status": "unpaid",
                "amount_total": int(form[f"{price}[unit_amount]"]),
                "currency": form[f"{price}[currency]"],
                "metadata": {"meterhouse_purchase": form["metadata[meterhouse_purchase]"]},
                "payment_intent": f"pi_{number}",
                "url": f"https://checkout.stripe.example/cs_test_{number}",
                "success_url": form["success_url"],
            }
        return JSONResponse(self.by_key[key])

    async def find(self, request: Request) -> Response:
        wanted = request.query_params["payment_intent"]
        data = [x for x in self.sessions.values() if x["payment_intent"] == wanted]
        return self._list(data)

    async def retrieve(self, request: Request) -> Response:
        if self.is_down:
            return self._error(500, "down")
        found = self.sessions.get(request.path_params["id"])
        return JSONResponse(found) if found else self._error(404, "No such session")

    async def expire(self, request: Request) -> Response:
        found = self.sessions[request.path_params["id"]]
        if found["status"] != "open":
            return self._error(400, "Only open sessions can be expired")
        found.update({"status": "expired", "url": None})
        return JSONResponse(found)

    async def refund(self, request: Request) -> Response:
        form = await self._form(request)
        key = request.headers["idempotency-key"]
        if key not in self.by_key:
            number = len(self.refunds)
            (session,) = (
                x for x in self.sessions.values() if x["payment_intent"] == form["payment_intent"]
            )
            self.by_key[key] = self.refunds[f"re_{number}"] = {
                "id": f"re_{number}",
                "object": "refund",
                "status": "succeeded",
                "amount": int(form["amount"]),
                "currency": session["currency"],
                "payment_intent": form["payment_intent"],
                "created": int(time.time()),
                "metadata": {"reason": form["metadata[reason]"]},
            }
            self.event("refund.created", self.by_key[key])
        return JSONResponse(self.by_key[key])

    async def list_events(self, request: Request) -> Response:
        kinds = {value for name, value in request.query_params.multi_items() if "types" in name}
        return self._list([event for event in self.events if event["type"] in kinds])

    async def _form(self, request: Request) -> dict[str, str]:
        form = parse_qs((await request.body()).decode())
        return {name: values[0] for name, values in form.items()}

    def _list(self, data: list[Any]) -> Response:
        return JSONResponse({"object": "list", "data": data, "has_more": False, "url": "/v1/x"})

    def _error(self, status: int, message: str) -> Response:
        kind = {"message": message, "type": "invalid_request_error"}
        return JSONResponse({"error": kind}, status)


def body_of(event: dict[str, Any]) -> bytes:
    return json.dumps(event).encode()
