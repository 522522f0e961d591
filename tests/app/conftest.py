"""Lakes for the app's tests: one published, made once; others where a test writes."""

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from app.lake import LakeReader
from tests.app.reporting_lake import make_invoices, make_lake, make_store
from warehouse.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
PAGES = {
    "overview": "views/overview.py",
    "usage": "views/usage.py",
    "credits": "views/credits.py",
    "invoices": "views/invoices.py",
    "insights": "views/insights.py",
    "budgets": "views/budgets.py",
    "accounts": "views/accounts.py",
    "data health": "views/data_health.py",
    "first source": "views/first_source.py",
    "closing": "views/closing.py",
    "members": "views/members.py",
    "audit log": "views/audit_log.py",
}


@pytest.fixture(scope="session")
def published(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """The settings of a published lake; not to be written."""
    settings = Settings(home=tmp_path_factory.mktemp("published"))
    make_lake(settings)
    kept = settings.home / "kept"
    kept.mkdir()
    for catalog in settings.home.glob("*.sqlite"):
        with closing(sqlite3.connect(catalog)) as checkpointed:
            checkpointed.execute("pragma wal_checkpoint(truncate)")
        shutil.copy(catalog, kept)
    return settings


@pytest.fixture
def own_lake(published: Settings, tmp_path: Path) -> Settings:
    """The settings of a published lake that the test may write: own catalogs, shared files.

    The catalogs come from copies that DuckDB never has open: who opens and closes a file in a
    process takes the locks from everybody else there.
    """
    for catalog in (published.home / "kept").glob("*.sqlite"):
        shutil.copy(catalog, tmp_path)
    return Settings(home=tmp_path, data_path=str(published.home / "lake"))


@pytest.fixture
def stocked(own_lake: Settings) -> Settings:
    """The settings of a published lake whose accounts are declared and have lots."""
    make_store(own_lake)
    return own_lake


@pytest.fixture(scope="session")
def invoiced(published: Settings, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """The settings of a published lake whose accounts have invoices; not to be written."""
    home = tmp_path_factory.mktemp("invoiced")
    for catalog in (published.home / "kept").glob("*.sqlite"):
        shutil.copy(catalog, home)
    settings = Settings(home=home, data_path=str(published.home / "lake"))
    make_store(settings)
    make_invoices(settings)
    return settings


@pytest.fixture
def reader(published: Settings) -> Iterator[LakeReader]:
    """A reader of the published lake."""
    reader = LakeReader(published)
    yield reader
    reader.close()


@pytest.fixture(scope="session", autouse=True)
def closed_connections() -> Iterator[None]:
    """Close what the pages opened, once all tests have run."""
    yield
    st.cache_data.clear()
    st.cache_resource.clear()


@pytest.fixture
def open_page(published: Settings, monkeypatch: pytest.MonkeyPatch) -> Callable[..., AppTest]:
    """Opens a page of the app by name, with the parameters of its address, on a lake.

    A trailing underscore of a parameter is dropped (``from_``); one with several values is a list.
    """

    def opened(
        page: str = "overview", /, settings: Settings = published, **address: str | list[str]
    ) -> AppTest:
        monkeypatch.setenv("METERHOUSE_HOME", str(settings.home))
        monkeypatch.setenv("METERHOUSE_DATA_PATH", settings.data_path)
        app = AppTest.from_file(str(ROOT / "app" / "main.py"), default_timeout=300)
        if page != "overview":
            app.run()
            app.switch_page(PAGES[page])
        for key, value in address.items():
            app.query_params[key.rstrip("_")] = value
        app.run()
        assert not app.exception, app.exception
        return app

    return opened


def text_of(app: AppTest) -> str:
    """All markup of a page, without style sheets and the app's own script."""
    return "\n".join(
        element.proto.body
        for element in app.get("html")
        if not element.proto.unsafe_allow_javascript and "<style>" not in element.proto.body
    )
