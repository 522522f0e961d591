"""Loading into a real raw lake: contract, quarantine, duplicates, revisions, growth, replay."""

import gzip
import json
import os
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest import readers
from ingest.load import OPEN_QUARANTINE
from tests.integration.loading_lab import Lab, event, lines, loading_lab

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="the real data sets are not here")


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    with loading_lab(tmp_path) as made:
        yield made


def test_an_event_needs_only_the_five_required_fields(lab: Lab) -> None:
    required = {k: v for k, v in event().items() if k != "credits"}
    assert lab.load_bytes(lines(required)).loaded == 1
    (row,) = lab.current_events()
    assert row[8] is None, "credits that the log does not give stay unknown"


BROKEN_LINES: list[tuple[bytes, str]] = [
    (b'{"event_id": "x", "acc', "unreadable_line"),
    (b"[1, 2]", "unreadable_line"),
    (b'"text"', "unreadable_line"),
    (b"{}", "unreadable_line"),
    (lines(event("x")).strip() + b" trailing", "unreadable_line"),
    (lines(event("x", agent_id="caf\xe9")).strip().replace(b"\\u00e9", b"\xe9"), "unreadable_line"),
    (lines(event("")).strip(), "missing_field"),
    (lines(event("x", account_id=None)).strip(), "missing_field"),
    (lines(event("x", occurred_at=None)).strip(), "missing_field"),
    (lines(event({"a": 1})).strip(), "invalid_text"),  # type: ignore[arg-type]
    (lines(event("x" * 1001)).strip(), "invalid_text"),
    (lines(event("x", occurred_at="yesterday")).strip(), "invalid_time"),
    (lines(event("x", occurred_at="2026-02-30T00:00:00Z")).strip(), "invalid_time"),
    (lines(event("x", occurred_at="1970-01-01T00:00:00Z")).strip(), "time_out_of_range"),
    (lines(event("x", occurred_at="2099-01-01T00:00:00Z")).strip(), "future_time"),
    (lines(event("x", category="hologram")).strip(), "unknown_category"),
    (lines(event("x", status="fine")).strip(), "unknown_status"),
    (lines(event("x", credits=float("nan"))).strip(), "invalid_number"),
    (lines(event("x", credits=float("inf"))).strip(), "invalid_number"),
    (lines(event("x", credits="Infinity")).strip(), "invalid_number"),
    (lines(event("x", credits=True)).strip(), "invalid_number"),
    (lines(event("x", credits="a lot")).strip(), "invalid_number"),
    (lines(event("x", credits=-0.5)).strip(), "negative_number"),
    (lines(event("x", credits=-1e30)).strip(), "negative_number"),
    (lines(event("x", credits=-1e-10)).strip(), "negative_number"),
    (lines(event("x", credits="-0.0000000001")).strip(), "negative_number"),
    (lines(event("x", credits=" -0.0000000001")).strip(), "negative_number"),
    (lines(event("x", execution_ms=-0.0001)).strip(), "negative_number"),
    (lines(event("x", input_tokens="-0.0000000001")).strip(), "negative_number"),
    (lines(event("x", credits=1e12)).strip(), "number_out_of_range"),
    (lines(event("x", input_tokens=1.5)).strip(), "invalid_number"),
    (lines(event("x", output_tokens=-1)).strip(), "negative_number"),
    (lines(event("x", output_tokens=10**15)).strip(), "number_out_of_range"),
    (lines(event("x", execution_ms="fast")).strip(), "invalid_number"),
    (lines(event("x", revision=-1)).strip(), "negative_number"),
    (lines(event("x", withdrawn="maybe")).strip(), "invalid_number"),
    (lines(event("x", tags=["a"])).strip(), "invalid_tags"),
    (lines(event("x", account_id="nobody")).strip(), "undeclared_account"),
]


def test_each_broken_row_is_held_with_its_line_and_reason_and_the_rest_loads(lab: Lab) -> None:
    content = lines(event("first"))
    for number, (line, _) in enumerate(BROKEN_LINES):
        content += line + b"\r\n" + b"\n" + lines(event(f"good-{number}"))
    report = lab.load_bytes(content)
    assert report.read == 1 + 2 * len(BROKEN_LINES)
    assert report.loaded == 1 + len(BROKEN_LINES)
    assert report.rejected == len(BROKEN_LINES)
    assert lab.reasons() == [
        (2 + 3 * number, reason) for number, (_, reason) in enumerate(BROKEN_LINES)
    ]
    texts = lab.rows("select raw_text from raw.main.usage_quarantine order by line_number")
    assert [text for (text,) in texts] == [
        line.decode("utf-8", "backslashreplace") for line, _ in BROKEN_LINES
    ]


@pytest.mark.parametrize(
    ("text", "credits"),
    [
        ("123456789.123456789", "123456789.123456789"),
        ("12345678.000000001", "12345678.000000001"),
        ("0.1234567894999999999999", "0.123456789"),
        ("0.1234567895", "0.123456790"),
        ("1e-9", "0.000000001"),
        ("1.5E3", "1500.000000000"),
        ('"0.10"', "0.100000000"),
        ("-0.0", "0.000000000"),
        ("0.0000000001", "0.000000000"),
        ("7", "7.000000000"),
    ],
)
def test_credits_are_kept_to_the_last_digit_and_rounded_half_up(
    lab: Lab, text: str, credits: str
) -> None:
    content = lines(event("e", credits="?")).replace(b'"?"', text.encode())
    lab.load_bytes(lines(event("before")) + b"\n" + content)
    assert lab.rows("select credits from raw.main.usage_event where event_id = 'e'") == [
        (Decimal(credits),)
    ]


@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("2026-03-01T10:00:00Z", "2026-03-01 10:00:00"),
        ("2026-03-01T10:00:00+05:30", "2026-03-01 04:30:00"),
        ("2026-03-01 10:00:00.123456", "2026-03-01 10:00:00.123456"),
        ("2026-03-01T01:00:00+02:00", "2026-02-28 23:00:00"),
        ("2026-03-01", "2026-03-01 00:00:00"),
    ],
)
def test_times_are_stored_in_utc(lab: Lab, text: str, utc: str) -> None:
    lab.load_bytes(lines(event(occurred_at=text)))
    assert lab.rows(
        "select occurred_at::varchar, usage_date_utc::varchar from raw.main.usage_event"
    )[0] == (utc, utc[:10])


def test_a_line_cut_off_behind_a_colon_takes_no_other_with_it(lab: Lab) -> None:
    whole = lines(event("whole"))
    cuts = [whole[:end] for end in range(1, len(whole) - 1)]
    content = b"".join(
        cut + b"\n" + lines(event(f"e{n}", credits=0.1)) for n, cut in enumerate(cuts)
    )
    report = lab.load_bytes(content)
    assert (report.loaded, report.reasons) == (len(cuts), {"unreadable_line": len(cuts)})
    assert lab.rows("select sum(credits) from raw.main.usage_event") == [
        (Decimal("0.1") * len(cuts),)
    ]


def test_the_same_row_again_is_a_duplicate(lab: Lab) -> None:
    report = lab.load_bytes(lines(event(), event()))
    assert (report.loaded, report.duplicate) == (1, 1)
    report = lab.load_bytes(lines(event(), event("e2")), "other.ndjson")
    assert (report.loaded, report.duplicate) == (1, 1)


def test_a_duplicate_is_found_although_its_time_would_lie_elsewhere(lab: Lab) -> None:
    lab.load_bytes(lines(event()))
    report = lab.load_bytes(lines(event(occurred_at="2025-01-01T00:00:00Z")), "other.ndjson")
    assert report.reasons == {"conflicting_duplicate": 1}
    assert [row[6].year for row in lab.current_events()] == [2026]


def test_two_events_that_look_alike_are_two(lab: Lab) -> None:
    assert lab.load_bytes(lines(event("e1"), event("e2"))).loaded == 2


def test_other_content_under_the_same_revision_is_held_and_the_first_counts(lab: Lab) -> None:
    report = lab.load_bytes(lines(event(), event(credits=9)))
    assert (report.loaded, report.reasons) == (1, {"conflicting_duplicate": 1})
    assert lab.current_events()[0][8] == Decimal("1.5")


def test_a_higher_revision_corrects_and_an_older_one_is_a_duplicate(lab: Lab) -> None:
    report = lab.load_bytes(
        lines(event(revision=2, credits=3), event(revision=1, credits=2), event())
    )
    assert (report.loaded, report.duplicate) == (1, 2)
    report = lab.load_bytes(lines(event(revision=3, credits=4)), "later.ndjson")
    assert report.loaded == 1
    assert [(row[1], row[8]) for row in lab.current_events()] == [(3, Decimal(4))]


def test_a_withdrawn_event_counts_no_more(lab: Lab) -> None:
    lab.load_bytes(lines(event()))
    assert lab.load_bytes(lines(event(revision=1, withdrawn=True)), "w.ndjson").loaded == 1
    assert lab.current_events() == []


def test_a_moved_event_notes_the_day_that_it_left(lab: Lab) -> None:
    lab.load_bytes(lines(event()))
    lab.load_bytes(lines(event(revision=1, occurred_at="2026-03-05T00:00:00Z")), "m.ndjson")
    assert [str(row[7]) for row in lab.current_events()] == ["2026-03-05"]
    assert lab.rows(
        "select usage_date_utc::varchar, revision, superseded_by from raw.main.usage_supersession"
    ) == [("2026-03-01", 0, 1)]


def test_lines_keep_their_numbers_when_several_threads_read_a_file(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readers, "MAX_LINE_BYTES", 1 << 20)
    lab.connection.execute("set threads = 4")
    count = 60_000
    numbered = [
        b'{"line": %d, broken' % number
        if number % 1000 == 0
        else lines(event(f"e{number}", tags={"filler": "x" * 150})).strip()
        for number in range(1, count + 1)
    ]
    report = lab.load_bytes(b"\n".join(numbered) + b"\n")
    assert (report.read, report.loaded, report.rejected) == (count, count - 60, 60)
    assert lab.rows("from raw.main.usage_event where event_id <> 'e' || line_number") == []
    held = lab.rows("select line_number, raw_text from raw.main.usage_quarantine order by 1")
    assert held == [(n, f'{{"line": {n}, broken') for n in range(1000, count + 1, 1000)]


def test_a_file_of_the_same_content_is_skipped(lab: Lab) -> None:
    lab.load_bytes(lines(event()))
    assert [file.outcome for file in lab.load_bytes(lines(event())).files] == ["skipped"]
    assert [f.outcome for f in lab.load_bytes(lines(event()), "copy.ndjson").files] == ["skipped"]


def test_of_a_file_that_grew_only_the_new_rows_are_read(lab: Lab) -> None:
    lab.load_bytes(lines(event()))
    report = lab.load_bytes(lines(event()) + b"\n" + lines(event("e2"), event("e3", credits=-1)))
    assert (report.read, report.loaded, report.rejected) == (2, 1, 1)
    assert lab.reasons() == [(4, "negative_number")]


def test_a_half_written_line_is_read_once_it_is_whole(lab: Lab) -> None:
    whole = lines(event(), event("e2"))
    path = lab.write(whole[:-20], quiet=False)
    assert lab.load(path).read == 1
    path.write_bytes(whole)
    report = lab.load(path)
    assert (report.read, report.loaded) == (1, 1)
    assert lab.reasons() == []


def test_a_line_cut_off_for_good_is_held_and_released_when_it_is_completed(lab: Lab) -> None:
    whole = lines(event(), event("e2"))
    report = lab.load_bytes(whole[:-20])
    assert report.reasons == {"truncated_line": 1}
    assert lab.load_bytes(whole[:-20]).read == 0
    report = lab.load_bytes(whole)
    assert (report.read, report.loaded) == (1, 1)
    assert len(lab.rows("from raw.main.usage_quarantine_release")) == 1


def test_a_file_that_cannot_be_read_is_held_as_one_row_and_the_others_load(lab: Lab) -> None:
    broken = lab.write(gzip.compress(lines(event()))[:-8], "a.ndjson.gz")
    good = lab.write(lines(event("e2")), "b.ndjson")
    report = lab.load(broken, lab.folder / "gone.ndjson", good)
    assert [file.outcome for file in report.files] == ["failed", "failed", "loaded"]
    assert lab.reasons() == [(0, "unreadable_file")]
    assert (report.read, report.loaded, report.rejected) == (2, 1, 1)


def test_an_empty_file_loads_nothing(lab: Lab) -> None:
    report = lab.load_bytes(b"")
    assert (report.read, report.files[0].outcome) == (0, "loaded")


def test_ten_megabytes_on_one_line_are_a_row(lab: Lab) -> None:
    long = lines(event("long", tags={"note": "x" * 10_000_000}))
    assert lab.load_bytes(long + lines(event("e2"))).loaded == 2


def test_a_byte_order_mark_and_line_ends_of_windows_do_no_harm(lab: Lab) -> None:
    content = b"\xef\xbb\xbf" + lines(event(), event("e2")).replace(b"\n", b"\r\n")
    assert lab.load_bytes(content).loaded == 2


def test_usage_of_an_undeclared_account_flows_in_once_it_is_declared(lab: Lab) -> None:
    lab.load_bytes(lines(event("e1", account_id="late"), event("e2", account_id="later")))
    assert lab.replay().read == 0
    lab.accounts.declare(["late"])
    report = lab.replay()
    assert (report.read, report.loaded) == (1, 1)
    assert lab.replay().read == 0
    assert [row[2] for row in lab.current_events()] == ["late"]


def test_a_replayed_row_that_is_broken_in_another_way_is_held_again(lab: Lab) -> None:
    lab.load_bytes(lines(event("e1", account_id="late")))
    lab.load_bytes(lines(event("e1")), "other.ndjson")
    lab.accounts.declare(["late"])
    assert lab.replay().reasons == {"conflicting_duplicate": 1}


def test_equal_rows_of_a_log_without_ids_are_numbered_within_their_file(lab: Lab) -> None:
    row = b"2023-11-16 18:17:03.9799600,4808,10\r\n"
    header = b"TIMESTAMP,ContextTokens,GeneratedTokens\r\n"
    lab.accounts.declare(["azure-llm-2023"])
    first = lab.write(header + row * 2, "AzureLLMInferenceTrace_code.csv")
    assert lab.load(first, source="azure-llm-2023").loaded == 2
    more = lab.write(header + row * 3 + b"2023-11-16 18:17:04.0,bad,1\r\n1,2\r\n", first.name)
    report = lab.load(more, source="azure-llm-2023")
    assert (report.read, report.loaded, report.duplicate, report.rejected) == (5, 1, 2, 2)
    assert lab.reasons() == [(5, "invalid_number"), (6, "unreadable_line")]


def test_a_csv_file_of_another_kind_is_refused_with_the_columns_it_lacks(lab: Lab) -> None:
    file = lab.write(b"a,b\n1,2\n", "AzureLLMInferenceTrace_x.csv")
    report = lab.load(file, source="azure-llm-2023")
    assert report.failures[0].message.startswith("its first line names none of the columns")


def test_a_json_log_without_ids_counts_equal_rows_around_a_broken_line(lab: Lab) -> None:
    row = {k: v for k, v in event().items() if k != "event_id"}
    fields = "\n".join(f"  {name}: {name}" for name in row)
    identity = "identity: [account_id, occurred_at]"
    spec_of(lab, "plain", f"source: plain\nformat: ndjson\n{identity}\nfields:\n{fields}\n")
    content = lines(row) + b'{"account_id":\n' + lines(row, row)
    report = lab.load(lab.write(content), source="plain")
    assert (report.loaded, report.reasons) == (3, {"unreadable_line": 1})
    report = lab.load(lab.write(lines(row, row, row, row), "more.ndjson"), source="plain")
    assert (report.loaded, report.duplicate) == (1, 3)


def spec_of(lab: Lab, source: str, text: str) -> None:
    folder = lab.folder / "specs"
    folder.mkdir(exist_ok=True)
    (folder / f"{source}.yaml").write_text(text, encoding="utf-8")
    lab.settings = lab.settings.model_copy(update={"sources": folder})


def test_parquet_and_json_arrays_load_like_lines(lab: Lab) -> None:
    rows = [event("e1", credits=0.125), event("e2", credits=-1), event("e3", credits=2)]
    fields = "\n".join(f"  {name}: {name}" for name in event())
    for kind in ("parquet", "json"):
        spec_of(lab, kind, f"source: {kind}\nformat: {kind}\nfields:\n{fields}\n")
    table = lab.folder / "rows.parquet"
    pq.write_table(
        pa.Table.from_pylist([{**row, "credits": float(row["credits"])} for row in rows]), table
    )
    array = lab.write(json.dumps(rows, indent=2).encode(), "rows.json")
    for path, source in ((table, "parquet"), (array, "json")):
        report = lab.load(path, source=source)
        assert (report.loaded, report.reasons) == (2, {"negative_number": 1})
    assert lab.rows(
        "select source, sum(credits) from raw.main.usage_event group by 1 order by 1"
    ) == [
        ("json", Decimal("2.125")),
        ("parquet", Decimal("2.125")),
    ]
    held = lab.rows("select raw_text from raw.main.usage_quarantine where source = 'parquet'")
    assert json.loads(held[0][0])["event_id"] == "e2"


SHOP = "source: {0}\nformat: {0}\nfields:\n" + "".join(
    f"  {name}: {name}\n" for name in ("event_id", "account_id", "agent_id", "category")
)
SHOP += "  occurred_at: occurred_at\n  model: upper(modle)\n"


def test_a_file_without_a_column_that_its_spec_reads_is_refused_with_the_nearest(lab: Lab) -> None:
    row = event(model="gpt")
    csv_file = lab.write(f"{','.join(row)}\n{','.join(map(str, row.values()))}\n".encode(), "a.csv")
    parquet = lab.folder / "a.parquet"
    pq.write_table(pa.Table.from_pylist([row]), parquet)
    for kind, path in (("csv", csv_file), ("parquet", parquet)):
        spec_of(lab, kind, SHOP.format(kind))
        (failed,) = lab.load(path, source=kind).failures
        assert "column 'modle' is not in the file; did you mean 'model'?" in failed.message
        spec_of(lab, kind, SHOP.format(kind) + "optional: [modle]\n")
        assert lab.load(path, source=kind).loaded == 1
    assert lab.rows("select model from raw.main.usage_event") == [(None,), (None,)]


def test_a_file_that_is_read_at_last_is_held_no_more(lab: Lab) -> None:
    whole = gzip.compress(lines(event()))
    lab.load_bytes(whole[:-8], "a.ndjson.gz")
    assert lab.load_bytes(whole, "a.ndjson.gz").loaded == 1
    assert lab.rows(f"from ({OPEN_QUARANTINE})") == []


def test_a_json_log_without_a_column_that_its_spec_reads_is_loaded_with_a_warning(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec_of(lab, "ndjson", SHOP.format("ndjson"))
    first = lines(event("e1", model="gpt"), event("e2"))
    report = lab.load(lab.write(first), source="ndjson")
    assert report.loaded == 2
    (warning,) = report.warnings
    assert "column 'modle' is not in the file; did you mean 'model'?" in warning
    assert lab.rows("select load_id, column_name from raw.main.absent_column") == [(1, "modle")]
    second = first + lines(event("e3", model="gpt"))
    assert lab.load(lab.write(second), source="ndjson").warnings == report.warnings
    third = second + lines(event("e4", modle="gpt"))
    assert lab.load(lab.write(third), source="ndjson").warnings == ()
    fourth = third + lines(event("e5"))
    assert lab.load(lab.write(fourth), source="ndjson").warnings == ()
    assert lab.load(lab.write(b"", "empty.ndjson"), source="ndjson").warnings == ()
    monkeypatch.setattr(readers, "SAMPLE_BYTES", 100)
    late = lines(*(event(f"f{n}") for n in range(9)), event("g", modle="gpt"))
    assert lab.load(lab.write(late, "late.ndjson"), source="ndjson").warnings == ()
    never = lines(*(event(f"h{n}", usage={"modle": "x"}) for n in range(9)))
    assert len(lab.load(lab.write(never, "never.ndjson"), source="ndjson").warnings) == 1


def test_an_expression_that_fails_on_one_row_leaves_the_others(lab: Lab) -> None:
    fields = "\n".join(f"  {name}: {name}" for name in event() if name != "credits")
    credits = "  credits: cast(euro as decimal(9, 2)) * 100\n"
    spec = f"source: shop\nformat: ndjson\nfields:\n{fields}\n{credits}"
    spec_of(lab, "shop", spec)
    content = lines(event("e1", euro="0.25"), event("e2", euro="€ 1"), event("e3"))
    report = lab.load(lab.write(content), source="shop")
    assert (report.loaded, report.reasons) == (2, {"failed_expression": 1})
    assert lab.rows("select event_id, credits from raw.main.usage_event order by 1") == [
        ("e1", Decimal(25)),
        ("e3", None),
    ]


def test_times_without_a_zone_are_read_in_the_declared_one(lab: Lab) -> None:
    fields = "\n".join(f"  {name}: {name}" for name in event())
    spec_of(
        lab,
        "berlin",
        f"source: berlin\nformat: ndjson\ntime_zone: Europe/Berlin\nfields:\n{fields}\n",
    )
    content = lines(
        event("e1", occurred_at="2026-07-01 00:30:00"),
        event("e2", occurred_at="2026-07-01T00:30:00Z"),
        event("e3", occurred_at="2026-07-01T00:30:00-04:00"),
    )
    assert lab.load(lab.write(content), source="berlin").loaded == 3
    times = lab.rows("select occurred_at::varchar from raw.main.usage_event order by event_id")
    assert [time for (time,) in times] == [
        "2026-06-30 22:30:00",
        "2026-07-01 00:30:00",
        "2026-07-01 04:30:00",
    ]


@needs_data
def test_the_real_agent_traces_load_to_the_last_token(lab: Lab) -> None:
    lab.accounts.declare(["exgentic"])
    file = DATA / "agent-llm-traces" / "exgentic_swebench_to_2026-04-21.jsonl"
    report = lab.load(file, source="exgentic")
    assert report.warnings == ()
    assert (report.read, report.loaded, report.duplicate, report.rejected) == (1478, 1478, 0, 0)
    assert lab.load(file, source="exgentic").loaded == 0
    assert lab.rows(
        "select model, count(*), sum(input_tokens), count(*) filter (status = 'error')"
        " from raw.main.usage_event group by 1 order by 1"
    ) == [
        ("azure/DeepSeek-V3.2", 799, 28_963_436, 0),
        ("azure/Kimi-K2.5", 679, 15_841_394, 87),
    ]
    assert lab.rows(
        "select sum(output_tokens) from raw.main.usage_event where model like '%DeepSeek%'"
    ) == [(185_640,)]


@needs_data
@pytest.mark.parametrize(
    ("source", "pattern", "rows"),
    [
        ("claude_code", "agent-llm-traces/claude_code_traces_5000.jsonl", 5000),
        ("lightcap", "agent-llm-traces/lightcap_operations.jsonl", 2262),
        ("azure-llm-2023", "azure-llm-2023/*.csv", 28_185),
    ],
)
def test_the_other_real_logs_load_whole(lab: Lab, source: str, pattern: str, rows: int) -> None:
    lab.accounts.declare(["claude-code", "lightcap", "azure-llm-2023"])
    report = lab.load(*sorted(DATA.glob(pattern)), source=source)
    assert (report.read, report.loaded, report.warnings) == (rows, rows, ())


EVENTS = st.builds(
    lambda number, day, credits, model: event(
        f"e{number}",
        occurred_at=f"2026-03-{day:02}T10:00:00Z",
        credits=credits,
        model=model,
    ),
    number=st.integers(0, 9),
    day=st.integers(1, 28),
    credits=st.integers(0, 10**9).map(lambda nano: nano / 10**6),
    model=st.sampled_from(["gpt", "claude", None]),
)


def numbered_revisions(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each row of an event is its next revision; every third one withdraws it."""
    seen: dict[str, int] = {}
    revised = []
    for row in rows:
        revision = seen.get(row["event_id"], 0)
        seen[row["event_id"]] = revision + 1
        revised.append({**row, "revision": revision, "withdrawn": revision % 3 == 2})
    return revised


@settings(max_examples=15)
@given(data=st.data(), rows=st.lists(EVENTS, min_size=1, max_size=25).map(numbered_revisions))
def test_any_split_order_and_repetition_of_a_log_ends_in_the_same_events(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, rows: list[dict[str, Any]]
) -> None:
    broken = [b"{oops\n", lines(event("z", credits=-1)), b"\n"]
    shuffled = data.draw(
        st.permutations(rows + data.draw(st.lists(st.sampled_from(rows), max_size=8)))
    )
    cuts = sorted(data.draw(st.lists(st.integers(0, len(shuffled)), max_size=4)))
    parts = [shuffled[a:b] for a, b in zip([0, *cuts], [*cuts, len(shuffled)], strict=True)]
    with loading_lab(tmp_path_factory.mktemp("whole")) as lab:
        lab.load_bytes(lines(*rows))
        expected = lab.current_events()
    with loading_lab(tmp_path_factory.mktemp("parts")) as lab:
        for number, part in enumerate(parts):
            noise = data.draw(st.lists(st.sampled_from(broken), max_size=2))
            report = lab.load_bytes(b"".join(noise) + lines(*part), f"{number}.ndjson")
            assert report.read == report.loaded + report.duplicate + report.rejected
            assert report.read in (len(part) + sum(line != b"\n" for line in noise), 0)
        assert lab.current_events() == expected
        assert (
            lab.rows(
                "select event_id, revision from raw.main.usage_event"
                " group by all having count(*) > 1"
            )
            == []
        )


def test_a_killed_load_leaves_nothing_and_is_done_again(tmp_path: Path) -> None:
    log = tmp_path / "log.ndjson"
    log.write_bytes(lines(*(event(f"e{n}") for n in range(5000))))
    with loading_lab(tmp_path):
        pass
    child = os.fork()
    if child == 0:
        with loading_lab(tmp_path) as lab:
            lab.loader._audit = lambda *_: os._exit(9)  # type: ignore[method-assign]
            lab.load(log)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 9
    with loading_lab(tmp_path) as lab:
        assert lab.rows("select count(*) from raw.main.usage_event") == [(0,)]
        assert lab.load(log).loaded == 5000
