"""Files as bytes: lines, growth, half-written ends, compression."""

import gzip
import os
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest import files
from ingest.files import (
    KnownFile,
    LineIndex,
    Prepared,
    UnfinishedFileError,
    UnreadableFileError,
    prepare,
)

LINES = b'{"a": 1}\n{"a": 2}\n'


def write(path: Path, content: bytes, *, quiet: bool = True) -> Path:
    """A file that was written long ago, or that is not ``quiet`` however slow the test is."""
    path.write_bytes(content)
    written = 1_000_000_000 if quiet else time.time() + 3_600
    os.utime(path, (written, written))
    return path


def prepared(path: Path, known: KnownFile | None = None, file_format: str = "ndjson") -> Prepared:
    return prepare(
        path,
        file_format=file_format,
        known=known,
        may_read_tail=file_format == "ndjson",
        may_split=file_format == "ndjson",
        folder=path.parent,
    )


def content(of: Prepared) -> bytes:
    return b"".join(piece.path.read_bytes() for piece in of.pieces)


def known(of: Prepared) -> KnownFile:
    return KnownFile(of.size_bytes, of.content_hash, of.line_count)


def test_a_plain_file_is_read_where_it_lies(tmp_path: Path) -> None:
    file = write(tmp_path / "a.ndjson", LINES)
    assert [piece.path for piece in prepared(file).pieces] == [file]


def test_of_a_file_that_grew_only_what_is_new_is_read(tmp_path: Path) -> None:
    file = write(tmp_path / "a.ndjson", LINES)
    before = known(prepared(file))
    write(file, LINES + b'{"a": 3}\n')
    after = prepared(file, before)
    assert after.is_tail
    assert content(after) == b'{"a": 3}\n'
    assert after.pieces[0].lines_before == 2
    assert after.line_count == 3


def test_a_file_whose_beginning_changed_is_read_whole(tmp_path: Path) -> None:
    file = write(tmp_path / "a.ndjson", LINES)
    before = known(prepared(file))
    write(file, b'{"a": 9}\n{"a": 2}\n{"a": 3}\n')
    after = prepared(file, before)
    assert not after.is_tail
    assert content(after) == file.read_bytes()


def test_a_half_written_last_line_is_left_for_later(tmp_path: Path) -> None:
    file = write(tmp_path / "a.ndjson", LINES + b'{"a": 3, "b', quiet=False)
    ready = prepared(file)
    assert content(ready) == LINES
    assert ready.is_open
    assert ready.cut_tail == b""


def test_a_last_line_that_stays_cut_off_is_given_back_as_such(tmp_path: Path) -> None:
    file = write(tmp_path / "a.ndjson", LINES + b'{"a": 3, "b')
    ready = prepared(file)
    assert content(ready) == LINES
    assert ready.cut_tail == b'{"a": 3, "b'


def test_a_last_line_without_a_line_end_is_read_if_it_is_whole(tmp_path: Path) -> None:
    file = write(tmp_path / "a.ndjson", LINES + b'{"a": 3}', quiet=False)
    ready = prepared(file)
    assert content(ready) == LINES + b'{"a": 3}'
    assert ready.line_count == 3


def test_a_byte_order_mark_is_no_part_of_the_first_line(tmp_path: Path) -> None:
    assert content(prepared(write(tmp_path / "a.ndjson", b"\xef\xbb\xbf" + LINES))) == LINES


def test_a_large_file_is_cut_at_line_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "PIECE_BYTES", 10)
    file = write(tmp_path / "a.ndjson", LINES * 3)
    ready = prepared(file)
    assert len(ready.pieces) == 3
    assert [piece.lines_before for piece in ready.pieces] == [0, 2, 4]
    assert content(ready) == LINES * 3


def test_a_compressed_file_is_unpacked(tmp_path: Path) -> None:
    file = write(tmp_path / "a.ndjson.gz", gzip.compress(LINES))
    assert content(prepared(file)) == LINES


def test_a_corrupt_gzip_is_unreadable_once_it_is_quiet(tmp_path: Path) -> None:
    file = write(tmp_path / "a.ndjson.gz", gzip.compress(LINES)[:-9])
    with pytest.raises(UnreadableFileError, match="no whole gzip file"):
        prepared(file)


def test_a_gzip_that_is_still_being_written_is_left_alone(tmp_path: Path) -> None:
    file = write(tmp_path / "a.ndjson.gz", gzip.compress(LINES)[:-9], quiet=False)
    with pytest.raises(UnfinishedFileError, match="still being written"):
        prepared(file)


def test_each_element_of_a_json_array_becomes_a_line(tmp_path: Path) -> None:
    file = write(tmp_path / "a.json", b'\xef\xbb\xbf [ {"a":\n 1}, {"a": 2.50} ]\n')
    assert content(prepared(file, file_format="json")) == b'{"a":  1}\n{"a": 2.50}\n'


@pytest.mark.parametrize("text", [b'[{"a": 1}', b'[{"a": 1} {"a": 2}]', b'{"a": 1}', b"[1, \xff]"])
def test_a_broken_json_array_is_unreadable(tmp_path: Path, text: bytes) -> None:
    with pytest.raises(UnreadableFileError):
        prepared(write(tmp_path / "a.json", text), file_format="json")


def test_half_a_parquet_file_is_unreadable(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFileError, match="no whole Parquet file"):
        prepared(write(tmp_path / "a.parquet", b"PAR1 and so on"), file_format="parquet")


def test_an_empty_file_has_nothing_to_read(tmp_path: Path) -> None:
    ready = prepared(write(tmp_path / "a.ndjson", b""))
    assert ready.line_count == 0
    assert content(ready) == b""


@settings(max_examples=200)
@given(
    lines=st.lists(
        st.sampled_from([b"{}", b"", b"  ", b"\t\r", b'{"a": "b c"}', b" {}", b"x" * 99])
    ),
    ends=st.booleans(),
    block=st.integers(1, 64),
)
def test_the_line_index_finds_every_line_that_is_not_blank(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes], ends: bool, block: int
) -> None:
    text = b"\n".join(lines) + (b"\n" if ends else b"")
    file = write(tmp_path_factory.getbasetemp() / "lines", text)
    expected = [
        (number, line.decode().rstrip("\r"))
        for number, line in enumerate(text.split(b"\n"), start=1)
        if line.strip()
    ]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(files, "BLOCK", block)
        index = LineIndex(file)
    assert list(index.numbers) == [number for number, _ in expected]
    assert index.texts(range(len(index))) == [line for _, line in expected]
