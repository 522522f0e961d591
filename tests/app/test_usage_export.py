"""An export is exactly what the marts hold, in each format."""

import csv
import io
import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from contextlib import closing
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import openpyxl
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

from orchestration.cli import meterhouse
from tests.app.reporting_lake import HOSTILE
from warehouse.errors import MeterhouseError
from warehouse.lake import open_engine
from warehouse.leases import leases
from warehouse.publication import reading_published
from warehouse.settings import ROOT, Settings
from warehouse.usage import export as exporting
from warehouse.usage.columns import COLUMNS, Format, Kind, defused, select_list
from warehouse.usage.export import Piece, export_usage, file_name, merged
from warehouse.usage.selection import Selection
from warehouse.usage.workbook import Workbook

NOVEMBER = Selection(date(2026, 11, 1), date(2026, 12, 1))
Rows = list[dict[str, Any]]


def marts(settings: Settings, account_id: str, where: str = "true") -> Rows:
    """November of an account as the marts hold it, the oldest first."""
    connection, _ = reading_published(settings)
    with closing(connection):
        result = connection.execute(
            "select *, timezone(time_zone, timezone('UTC', occurred_at)) as occurred_at_local"
            " from rpt_usage_event inner join rpt_account using (account_id)"
            " where account_id = $account_id and usage_date >= date '2026-11-01'"
            f" and usage_date < date '2026-12-01' and ({where})"
            " order by occurred_at, source, event_id",
            {"account_id": account_id},
        )
        names = [column[0] for column in result.description]
        found = [dict(zip(names, row, strict=True)) for row in result.fetchall()]
    return [{column.name: row[column.name] for column in COLUMNS} for row in found]


def is_formula(value: Any) -> bool:
    return isinstance(value, str) and value[:1] in tuple("=+-@\t\r\n＝＋－＠")


def as_csv(kind: Kind, value: Any) -> str:
    if value is None:
        return ""
    if kind is Kind.UTC_TIME:
        return f"{value:%Y-%m-%dT%H:%M:%S.%f}Z"
    if kind is Kind.LOCAL_TIME:
        return f"{value:%Y-%m-%dT%H:%M:%S.%f}"
    text = format(value, "f") if isinstance(value, Decimal) else str(value)
    return f"'{text}" if kind is Kind.TEXT and is_formula(text) else text


def read_csv(file: Path) -> list[dict[str, str]]:
    with file.open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


def read_workbook(file: Path) -> list[list[dict[str, Any]]]:
    """The rows of each sheet, as another library reads them."""
    book = openpyxl.load_workbook(io.BytesIO(file.read_bytes()), read_only=True)
    sheets = []
    for sheet in book.worksheets:
        rows = sheet.iter_rows(values_only=True)
        header = next(rows)
        sheets.append([dict(zip(header, row, strict=True)) for row in rows])
    book.close()
    return sheets


def assert_cell(kind: Kind, cell: Any, value: Any) -> None:
    if value is None:
        assert cell is None
    elif kind is Kind.NUMBER:
        assert not isinstance(cell, str)
        assert Decimal(repr(cell)) == value
    elif kind in (Kind.UTC_TIME, Kind.LOCAL_TIME):
        assert abs(cell - value) < timedelta(milliseconds=1)
    elif kind is Kind.DATE:
        assert cell == datetime.combine(value, datetime.min.time())
    else:
        assert cell == (f"'{value}" if is_formula(value) else value)


@pytest.mark.parametrize("account_id", ["tokyo", "mallory"])
def test_every_row_and_digit_is_in_each_format(
    published: Settings, tmp_path: Path, account_id: str
):
    wanted = marts(published, account_id)
    assert wanted
    for output in Format:
        done = export_usage(published, account_id, NOVEMBER, output, tmp_path / output)
        assert done.rows == len(wanted)
        assert done.size_bytes == (tmp_path / output).stat().st_size

    table = pq.read_table(tmp_path / "parquet").to_pylist()
    for row in table:
        row["occurred_at"] = row["occurred_at"].replace(tzinfo=None)
    assert table == wanted

    assert read_csv(tmp_path / "csv") == [
        {column.name: as_csv(column.kind, row[column.name]) for column in COLUMNS} for row in wanted
    ]

    (sheet,) = read_workbook(tmp_path / "xlsx")
    assert len(sheet) == len(wanted)
    for cells, row in zip(sheet, wanted, strict=True):
        for column in COLUMNS:
            assert_cell(column.kind, cells[column.name], row[column.name])


def test_only_what_is_selected_is_there(published: Settings, tmp_path: Path):
    narrow = Selection(
        NOVEMBER.first,
        NOVEMBER.until,
        categories=("llm", "sql"),
        statuses=("error",),
        tags=(("env", "prod"),),
        text="RESEARCH",
    )
    wanted = marts(
        published,
        "acme",
        "category in ('llm', 'sql') and status = 'error' and tags like '%prod%'"
        " and agent_id = 'research-agent'",
    )
    assert wanted
    done = export_usage(published, "acme", narrow, Format.CSV, tmp_path / "file")
    assert done.rows == len(wanted)
    assert [row["event_id"] for row in read_csv(tmp_path / "file")] == [
        row["event_id"] for row in wanted
    ]


@pytest.mark.parametrize("output", list(Format))
def test_an_export_of_nothing_has_its_columns(published: Settings, tmp_path: Path, output: Format):
    nothing = Selection(NOVEMBER.first, NOVEMBER.until, text=f"nothing {HOSTILE}")
    file = tmp_path / "file"
    assert export_usage(published, "acme", nothing, output, file).rows == 0
    names = [column.name for column in COLUMNS]
    if output is Format.PARQUET:
        assert pq.read_schema(file).names == names
    elif output is Format.XLSX:
        assert next(
            openpyxl.load_workbook(io.BytesIO(file.read_bytes()))
            .worksheets[0]
            .iter_rows(values_only=True)
        ) == tuple(names)
    else:
        assert file.read_text() == ",".join(names) + "\n"


@pytest.fixture
def written(published: Settings, tmp_path: Path) -> Callable[[Format, dict[str, str]], Path]:
    """Writes one event whose columns are expressions, in a format, by the same SQL."""

    def write(output: Format, values: dict[str, str]) -> Path:
        kinds = {Kind.TEXT: "varchar", Kind.NUMBER: "decimal(38, 12)", Kind.DATE: "date"}
        source = ", ".join(
            f"cast({values.get(column.name, 'null')} as"
            f" {kinds.get(column.kind, 'timestamp')}) as {column.name}"
            for column in COLUMNS
            if column.name != "occurred_at_local"
        )
        with closing(open_engine(published)) as connection:
            table = connection.execute(
                f"select {select_list(output)} from (select {source})", {"export_zone": "UTC"}
            ).to_arrow_table()
        file = tmp_path / f"one.{output}"
        with exporting._writer(output, file, [each.name for each in COLUMNS], table) as take:
            take(table)
        return file

    return write


FORMULAS = (
    '=cmd|" /C calc"!A0',
    "+1+1",
    "-2+3",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    "\n=1",
    "＝1",
    "＋1",
    "－1",
    "＠a",
)


@pytest.mark.parametrize("text", FORMULAS)
def test_no_text_is_taken_for_a_formula(
    written: Callable[[Format, dict[str, str]], Path], text: str
):
    literal = "'" + text.replace("'", "''") + "'"
    values = {"agent_id": literal, "event_id": f"'a' || {literal}", "credits": "-1.5"}
    (row,) = read_csv(written(Format.CSV, values))
    assert row["agent_id"] == f"'{text}"
    assert row["event_id"] == f"a{text}", "only the beginning counts"
    assert Decimal(row["credits"]) == Decimal("-1.5"), "a number stays a number"
    ((cells,),) = read_workbook(written(Format.XLSX, values))
    assert cells["agent_id"] == f"'{text}"
    assert cells["credits"] == -1.5


@pytest.mark.parametrize(
    "text", ["", 'say "hi", twice', "a\nb", "a\r\nb", "<b>&amp;</b>", "]]>", "é 漢 😀", "'", " x "]
)
def test_texts_come_back_as_they_were(written: Callable[[Format, dict[str, str]], Path], text: str):
    values = {"agent_id": "'" + text.replace("'", "''") + "'"}
    (row,) = read_csv(written(Format.CSV, values))
    assert row["agent_id"] == text
    ((cells,),) = read_workbook(written(Format.XLSX, values))
    assert (cells["agent_id"] or "") == text


def test_what_a_workbook_cannot_hold_is_marked_or_cut(
    written: Callable[[Format, dict[str, str]], Path],
):
    values = {
        "agent_id": "'a' || chr(1) || 'b' || chr(0)",
        "model": "repeat('x', 40000)",
        "tags": "'_x000D_'",
    }
    file = written(Format.XLSX, values)
    ((cells,),) = read_workbook(file)
    assert cells["agent_id"] == "a�b�"
    assert len(cells["model"]) == 32_767
    assert b"_x005F_x000D_" in zipfile.ZipFile(file).read("xl/worksheets/sheet1.xml")


def test_a_number_too_long_for_excel_is_a_text(
    written: Callable[[Format, dict[str, str]], Path],
):
    values = {
        "credits": "123456789.123456789012",
        "logged_credits": "123456789.123456",
        "card_credits": "0.000000000001",
        "total_tokens": "1200000000000000000000",
    }
    ((cells,),) = read_workbook(written(Format.XLSX, values))
    assert cells["credits"] == "123456789.123456789012"
    assert cells["logged_credits"] == 123456789.123456
    assert cells["card_credits"] == 1e-12
    assert cells["total_tokens"] == 1200000000000000000000


def test_a_full_sheet_is_followed_by_another_one(tmp_path: Path):
    file = tmp_path / "book.xlsx"
    with Workbook(file, "Usage", ["n"], sheet_rows=4) as book:
        for number in range(7):
            assert book.room >= 1
            book.write(1, f"<row><c><v>{number}</v></c></row>".encode())
    sheets = read_workbook(file)
    assert [[row["n"] for row in sheet] for sheet in sheets] == [[0, 1, 2], [3, 4, 5], [6]]
    assert openpyxl.load_workbook(file).sheetnames == ["Usage", "Usage 2", "Usage 3"]


def test_a_large_export_goes_over_several_sheets(
    published: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    real = exporting.Workbook
    monkeypatch.setattr(exporting, "Workbook", lambda *given: real(*given, sheet_rows=1_000))
    monkeypatch.setattr(exporting, "PIECE_ROWS", 700)
    wanted = marts(published, "tokyo")
    done = export_usage(published, "tokyo", NOVEMBER, Format.XLSX, tmp_path / "file")
    sheets = read_workbook(tmp_path / "file")
    assert len(sheets) == -(-done.rows // 999)
    assert [row["event_id"] for sheet in sheets for row in sheet] == [
        row["event_id"] for row in wanted
    ]


def test_hours_are_put_together_to_pieces_and_never_cut():
    hour = datetime(2026, 11, 1)
    after = [hour + timedelta(hours=n) for n in range(5)]
    counted = [(after[0], 3), (after[1], 4), (after[3], 2), (after[4], 20)]
    assert merged(counted, 9) == [
        Piece(after[0], after[4], 9),
        Piece(after[4], after[4] + timedelta(hours=1), 20),
    ]
    assert merged([], 9) == []


def test_progress_only_grows_and_ends_at_one(published: Settings, tmp_path: Path):
    seen: list[float] = []
    export_usage(published, "acme", NOVEMBER, Format.CSV, tmp_path / "file", progress=seen.append)
    assert seen == sorted(seen)
    assert seen[0] == 0.0
    assert seen[-1] == 1.0


@pytest.mark.parametrize("output", list(Format))
def test_an_export_that_breaks_off_leaves_no_file_and_no_lease(
    published: Settings, tmp_path: Path, output: Format
):
    class Interrupted(Exception):
        pass

    def stop(fraction: float) -> None:
        assert len(leases(published)[0]) == 1, "the snapshot is held meanwhile"
        if fraction > 0:
            raise Interrupted

    before = tmp_path / "file"
    before.write_text("from last week")
    three_months = Selection(date(2026, 9, 1), date(2026, 12, 1))
    with pytest.raises(Interrupted):
        export_usage(published, "acme", three_months, output, before, progress=stop)
    assert [file.name for file in tmp_path.iterdir()] == ["file"]
    assert before.read_text() == "from last week"
    assert leases(published)[0] == []


def test_names_say_what_is_inside_and_are_safe_everywhere():
    def name(account_id: str = "acme", **filters: Any) -> str:
        return file_name(
            account_id, Selection(date(2026, 11, 1), date(2026, 12, 1), **filters), Format.CSV
        )

    assert name() == "usage_acme_2026-11-01_to_2026-11-30.csv"
    assert name(categories=("llm",), statuses=("error", "cancelled")) == (
        "usage_acme_2026-11-01_to_2026-11-30_llm_error_cancelled.csv"
    )
    assert name(agents=tuple(map(str, range(10_000)))) == (
        "usage_acme_2026-11-01_to_2026-11-30_10000-agents.csv"
    )
    assert (
        file_name("a", Selection(date(2026, 11, 1), date(2026, 11, 2)), Format.XLSX)
        == "usage_a_2026-11-01.xlsx"
    )
    for hostile in ("../../etc/passwd", 'x"; rm -rf', "a\r\nSet-Cookie: b", HOSTILE, "名前", ""):
        found = name(hostile, text=hostile, tags=((hostile, hostile),))
        assert found.startswith("usage_")
        assert set(found) <= set(
            "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"
        )
        assert ".." not in found
        assert len(found) < 160


def test_the_defence_is_not_in_the_way_of_other_texts(published: Settings):
    with closing(open_engine(published)) as connection:
        kept = connection.execute(
            f"select {defused('x')} from (values ('a=b'), (''), ('1-2'), (null)) as t(x)"
        ).fetchall()
    assert kept == [("a=b",), ("",), ("1-2",), (None,)]


# --- the command line -------------------------------------------------------------------------


@pytest.fixture
def run(published: Settings, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Runs ``meterhouse export usage`` for acme's November."""
    monkeypatch.setenv("METERHOUSE_HOME", str(published.home))

    def run(*arguments: str, account: str = "acme", days: tuple[str, str] = ("01", "30")) -> Result:
        first, until = (f"2026-11-{day}" for day in days)
        return CliRunner().invoke(
            meterhouse,
            ["export", "usage", "--account", account, "--from", first, "--to", until, *arguments],
        )

    return run


def test_the_command_line_writes_what_the_page_would(
    run: Callable[..., Result], published: Settings, tmp_path: Path
):
    file = tmp_path / "november.parquet"
    done = run("--format", "parquet", "--output", str(file), "--json")
    assert done.exit_code == 0
    found = pq.read_table(file).to_pylist()
    assert json.loads(done.stdout) == {
        "file": str(file),
        "rows": len(found),
        "bytes": file.stat().st_size,
    }
    assert [row["event_id"] for row in found] == [
        row["event_id"] for row in marts(published, "acme", "usage_date < date '2026-11-30'")
    ]


def test_options_narrow_what_is_written(
    run: Callable[..., Result], published: Settings, tmp_path: Path
):
    options = ["--agent", "translator", "--agent", "qa-tester", "--category", "llm"]
    options += ["--status", "ok", "--tag", "team=blue", "--text", "EV-", "--model", "gpt-5-mini"]
    done = run("--format", "csv", "--output", str(tmp_path / "few.csv"), *options)
    wanted = marts(
        published,
        "acme",
        "agent_id in ('translator', 'qa-tester') and category = 'llm' and status = 'ok'"
        " and model = 'gpt-5-mini' and tags like '%blue%' and usage_date < date '2026-11-30'",
    )
    assert wanted
    assert done.stdout == f"{len(wanted):,} rows in {tmp_path / 'few.csv'}\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"account": "nobody"}, "there is no account nobody"),
        ({"days": ("09", "09")}, "--from 2026-11-09 must lie before --to 2026-11-09"),
        ({"output": "there/is/no/folder.csv"}, "there is no folder"),
        ({"output": "."}, "is a folder"),
        ({"more": ("--tag", "team")}, "write KEY=VALUE"),
    ],
)
def test_what_cannot_be_written_is_said_plainly(
    run: Callable[..., Result], tmp_path: Path, arguments: dict[str, Any], said: str
):
    more = arguments.pop("more", ())
    target = str(tmp_path / arguments.pop("output", "file.csv"))
    done = run("--format", "csv", "--output", target, *more, **arguments)
    assert isinstance(done.exception, MeterhouseError)
    assert said in str(done.exception)
    assert done.stdout == ""
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_there_is_replaced_only_by_force(run: Callable[..., Result], tmp_path: Path):
    file = tmp_path / "file.csv"
    file.write_text("mine")
    refused = run("--format", "csv", "--output", str(file))
    assert "--force replaces it" in str(refused.exception)
    assert file.read_text() == "mine"
    assert run("--format", "csv", "--output", str(file), "--force").exit_code == 0
    assert file.read_text().startswith("occurred_at")


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_a_command_that_is_stopped_leaves_nothing(
    published: Settings, tmp_path: Path, how: signal.Signals
):
    slowed = (
        "import signal, time, warehouse.usage.export as e\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "def read(self, piece):\n    print('reading', flush=True); time.sleep(600)\n"
        "e._Query.read = read\n"
        "from orchestration.cli import main; main()"
    )
    command = ["export", "usage", "--account", "acme", "--from", "2026-11-01", "--to", "2026-12-01"]
    process = subprocess.Popen(
        [
            *(sys.executable, "-c", slowed, *command),
            *("--format", "csv", "--output", str(tmp_path / "file.csv")),
        ],
        cwd=ROOT,
        env={**os.environ, "METERHOUSE_HOME": str(published.home)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout
    assert process.stdout.readline() == b"reading\n"
    time.sleep(0.1)
    process.send_signal(how)
    try:
        process.communicate(timeout=120)
    finally:
        process.kill()
    assert process.returncode != 0
    assert list(tmp_path.iterdir()) == []
    assert leases(published)[0] == []
