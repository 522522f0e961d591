"""A close that is killed at random and resumed ends as one that was not: each invoice once."""

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from billing.invoice_schema import invoice, invoice_document, invoice_line
from billing.invoices.closing import close
from billing.invoices.document import render
from billing.invoices.issued import list_issued
from billing.schema import credit_grant
from billing.store import Store, open_store
from tests.integration.invoice_lab import NOW, OCTOBER, build_lakes, fill_store
from tests.integration.small_lake import settings_at
from warehouse.settings import ROOT

ACCOUNTS = 300
KILLS = int(os.environ.get("METERHOUSE_CRASH_KILLS", "20"))


def rows(store: Store, table: sa.Table, *left_out: str) -> list[tuple[Any, ...]]:
    columns = [column for column in table.c if column.name not in left_out]
    with store.reading() as connection:
        return [tuple(row) for row in connection.execute(sa.select(*columns).order_by(*columns))]


def test_a_close_killed_at_random_points_and_resumed_issues_each_invoice_once(
    tmp_path: Path,
) -> None:
    killed, whole = settings_at(tmp_path / "killed"), settings_at(tmp_path / "whole")
    for settings in (killed, whole):
        build_lakes(settings, ACCOUNTS)
    with open_store(killed) as store:
        fill_store(store, ACCOUNTS)
        with closing(sqlite3.connect(killed.home / "operations.sqlite")) as file:
            file.execute("vacuum into ?", [str(whole.home / "operations.sqlite")])
    with open_store(killed) as store, open_store(whole) as other:
        done = subprocess.run(
            [
                sys.executable,
                "-m",
                "tests.integration.close_killer",
                str(killed.home),
                str(KILLS),
                "7",
            ],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert int(done.stdout) >= KILLS * 0.8
        close(whole, other, OCTOBER, now=NOW, actor="closer")
        issued = list_issued(store)
        assert [one.number for one in issued] == [
            f"INV-2026-{number:06d}" for number in range(1, ACCOUNTS + 1)
        ]
        assert [one.account_id for one in issued] == sorted(one.account_id for one in issued)
        for table in (invoice, invoice_line, credit_grant):
            assert rows(store, table) == rows(other, table)
        documents = dict(rows(store, invoice_document, "pdf_hash", "recorded_at"))
        assert documents.keys() == {one.invoice_id for one in issued}
        for one in issued[:: ACCOUNTS // 10]:
            assert documents[one.invoice_id] == render(one.content)
