"""Signing in to a running app over HTTP, as a browser does, without one."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import parse_qs, urlsplit

import httpx
from joserfc import jwt
from joserfc.jwk import OctKey


@contextmanager
def sign_in(app: str, cookie_secret: str, email: str) -> Iterator[httpx.Client]:
    """A client with the cookies of who signed in at the app's provider; none where it failed.

    ``st.login`` makes the browser follow an address with a token signed by the cookie secret;
    here the token is made alike, and everything after that is real.
    """
    payload = {"provider": "default", "exp": int(time.time()) + 100}
    token = jwt.encode({"alg": "HS256"}, payload, OctKey.import_key(cookie_secret))
    with httpx.Client(timeout=60) as client:
        asked = client.get(f"{app}/auth/login", params={"provider": token})
        assert asked.status_code == 302, asked.text
        back = client.get(asked.headers["location"] + f"&as={email}")
        assert back.status_code == 302, back.text
        assert "code" in parse_qs(urlsplit(back.headers["location"]).query)
        client.get(back.headers["location"])
        yield client
