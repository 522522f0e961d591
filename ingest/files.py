"""Files as bytes: fingerprint, growth, half-written ends, compression, lines.

Nothing here knows what a usage event is. A file is *prepared*: read once from start to end for
its hash, compared with what is known of it, and turned into pieces of plain text (or one
Parquet file) that DuckDB can read whole.
"""

import gzip
import hashlib
import json
import re
import time
import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow as pa

BLOCK = 1 << 23
PIECE_BYTES = 3 << 29
"""Larger text files are cut at line ends into pieces of about this size (1.5 GiB)."""

SETTLE_SECONDS = 2.0
"""A file that does not end as its format should is left alone until it has been quiet so long."""

_BOM = b"\xef\xbb\xbf"
_BLANK = b" \t\r\n\v\f"


class UnreadableFileError(Exception):
    """The file as a whole cannot be read; the message says why."""


class UnfinishedFileError(Exception):
    """The file is still being written; it is read at a later call."""


@dataclass(frozen=True)
class KnownFile:
    """What was read of a file before: bytes from its start, their hash, lines in them."""

    size_bytes: int
    content_hash: str
    line_count: int


class Scan:
    """Hash and newlines of the first ``size`` bytes of a file, counted in a thread of its own.

    ``beginning`` bytes at the start were seen before and are hashed, but not counted.
    """

    def __init__(self, path: Path, size: int, beginning: "Beginning | None" = None) -> None:
        self._beginning = beginning or Beginning(hashlib.sha256(), 0)
        pool = ThreadPoolExecutor(1)
        self._result = pool.submit(self._scan, path, size)
        pool.shutdown(wait=False)

    def _scan(self, path: Path, size: int) -> tuple[str, int]:
        digest, newlines, last = self._beginning.digest, 0, b"\n"
        with path.open("rb") as file:
            file.seek(self._beginning.size)
            for block in _blocks(file, size - self._beginning.size):
                digest.update(block)
                newlines += block.count(b"\n")
                last = block[-1:]
        return digest.hexdigest(), newlines + (last != b"\n")

    @property
    def content_hash(self) -> str:
        """SHA-256 of all ``size`` bytes; waits for it."""
        return self._result.result()[0]

    @property
    def newline_count(self) -> int:
        """Lines behind the beginning, a last one without line end included; waits for it."""
        return self._result.result()[1]


@dataclass(frozen=True)
class Beginning:
    """The bytes of a file that were loaded before."""

    digest: "hashlib._Hash"
    size: int


@dataclass(frozen=True)
class Piece:
    """A plain file to hand to DuckDB, and how many lines of the original lie before it."""

    path: Path
    lines_before: int
    lines: int | Scan

    @property
    def newline_count(self) -> int:
        """Newlines in the piece, plus one for a last line without."""
        return self.lines.newline_count if isinstance(self.lines, Scan) else self.lines


@dataclass(frozen=True)
class Prepared:
    """A file ready to be read.

    ``is_tail`` says that only what was added since KnownFile is in ``pieces``; ``size_bytes``,
    ``content_hash`` and ``line_count`` describe the whole file up to where it was read.
    """

    pieces: tuple[Piece, ...]
    size_bytes: int
    scanned: str | Scan
    modified_at: datetime
    lines_before: int = 0
    is_tail: bool = False
    cut_tail: bytes = b""
    """A last line that is not whole though the file is quiet; no part of the counts above."""
    is_open: bool = False
    """Whether a last line is still being written and was left for a later call."""

    @property
    def content_hash(self) -> str:
        """SHA-256 of the file up to ``size_bytes``; waits for its scan."""
        return self.scanned if isinstance(self.scanned, str) else self.scanned.content_hash

    @property
    def line_count(self) -> int:
        """Lines up to ``size_bytes``."""
        return self.lines_before + sum(piece.newline_count for piece in self.pieces)


def modified_at(path: Path) -> datetime:
    """When the file was last written, UTC."""
    return datetime.fromtimestamp(path.stat().st_mtime_ns / 1e9, UTC)


def content_hash(path: Path, size: int | None = None) -> str:
    """SHA-256 of the file, or of its first ``size`` bytes."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        for block in _blocks(file, size):
            digest.update(block)
    return digest.hexdigest()


def prepare(
    path: Path,
    *,
    file_format: str,
    known: KnownFile | None,
    may_read_tail: bool,
    may_split: bool,
    folder: Path,
) -> Prepared:
    """Read the file once and lay out what has to be loaded of it.

    ``folder`` takes temporary pieces. Raises UnreadableFileError, UnfinishedFileError, or OSError
    when the file vanished.
    """
    changed = modified_at(path)
    if file_format in ("json", "parquet") or _compression(path):
        return _prepare_whole(path, file_format, changed, folder, may_split)
    size, half_line = _whole_lines(path, file_format)
    is_quiet = _seconds_quiet(path) >= SETTLE_SECONDS
    beginning = _known_beginning(path, known, size) if known and may_read_tail else None
    scan = Scan(path, size, beginning)
    lines_before = known.line_count if known and beginning else 0
    start = beginning.size if beginning else _bom_length(path)
    is_small = size <= PIECE_BYTES or not may_split
    if start == size:
        pieces = []
    elif start == 0 and is_quiet and not half_line and is_small:
        pieces = [Piece(path, 0, scan)]
    else:
        pieces = _cut(path, start, size, lines_before, folder, may_split)
    return Prepared(
        pieces=tuple(pieces),
        size_bytes=size,
        scanned=scan,
        modified_at=changed,
        lines_before=lines_before,
        is_tail=beginning is not None,
        cut_tail=half_line if is_quiet else b"",
        is_open=bool(half_line) and not is_quiet,
    )


def _known_beginning(path: Path, known: KnownFile, size: int) -> Beginning | None:
    """What was read of the file before, if it still begins with that."""
    if known.size_bytes > size:
        return None
    digest = hashlib.sha256()
    with path.open("rb") as file:
        for block in _blocks(file, known.size_bytes):
            digest.update(block)
    is_same = digest.hexdigest() == known.content_hash
    return Beginning(digest, known.size_bytes) if is_same else None


def _bom_length(path: Path) -> int:
    with path.open("rb") as file:
        return len(_BOM) if file.read(len(_BOM)) == _BOM else 0


def _prepare_whole(
    path: Path, file_format: str, changed: datetime, folder: Path, may_split: bool
) -> Prepared:
    """Prepare a file that is read from its start or not at all."""
    size = path.stat().st_size
    digest = content_hash(path)
    try:
        if file_format == "parquet":
            _check_parquet(path)
            pieces = [Piece(path, 0, 0)]
        elif _compression(path):
            plain = folder / f"{digest[:16]}.plain"
            _decompress(path, plain)
            pieces = _plain_pieces(plain, file_format, folder, may_split)
        else:
            pieces = _plain_pieces(path, file_format, folder, may_split)
    except UnreadableFileError as error:
        if _seconds_quiet(path) < SETTLE_SECONDS:
            raise UnfinishedFileError(f"{path}: still being written ({error})") from error
        raise
    return Prepared(pieces=tuple(pieces), size_bytes=size, scanned=digest, modified_at=changed)


def _plain_pieces(path: Path, file_format: str, folder: Path, may_split: bool) -> list[Piece]:
    if file_format == "json":
        lines = folder / "elements.ndjson"
        return [Piece(lines, 0, _array_to_lines(path, lines))]
    size = path.stat().st_size
    start = _bom_length(path)
    if start == 0 and (size <= PIECE_BYTES or not may_split):
        return [Piece(path, 0, _count_lines(path))]
    return _cut(path, start, size, 0, folder, may_split)


def _count_lines(path: Path) -> int:
    newlines, last = 0, b"\n"
    with path.open("rb") as file:
        for block in _blocks(file, None):
            newlines += block.count(b"\n")
            last = block[-1:]
    return newlines + (last != b"\n")


def _cut(
    path: Path, start: int, end: int, lines_before: int, folder: Path, may_split: bool
) -> list[Piece]:
    """Copy the bytes from ``start`` to ``end`` into pieces that end at line ends."""
    pieces: list[Piece] = []
    limit = PIECE_BYTES if may_split else end - start
    with path.open("rb") as file:
        file.seek(start)
        left = end - start
        while left > 0:
            piece = folder / f"piece-{len(pieces)}-{time.monotonic_ns()}"
            newlines, written, last = 0, 0, b"\n"
            with piece.open("wb") as out:
                while left > 0 and (written < limit or last != b"\n"):
                    block = (
                        file.read(min(BLOCK, left, limit - written))
                        if written < limit
                        else file.readline(left)
                    )
                    if not block:
                        raise OSError(f"{path} became shorter while it was read")
                    out.write(block)
                    written += len(block)
                    left -= len(block)
                    newlines += block.count(b"\n")
                    last = block[-1:]
            newlines += last != b"\n"
            pieces.append(Piece(piece, lines_before, newlines))
            lines_before += newlines
    return pieces


def _blocks(file: IO[bytes], size: int | None) -> Iterator[bytes]:
    left = size if size is not None else -1
    while left != 0:
        block = file.read(BLOCK if left < 0 else min(BLOCK, left))
        if not block:
            return
        if left > 0:
            left -= len(block)
        yield block


def _seconds_quiet(path: Path) -> float:
    return time.time() - path.stat().st_mtime


def _whole_lines(path: Path, file_format: str) -> tuple[int, bytes]:
    """Bytes up to the last whole line, and the half line behind it.

    A last line without a line end is whole if its format can tell (JSON that closes); a CSV line
    is taken for whole once the file is quiet.
    """
    size = path.stat().st_size
    tail = b""
    position = size
    with path.open("rb") as file:
        while position > 0 and b"\n" not in tail:
            step = min(BLOCK, position)
            position -= step
            file.seek(position)
            tail = file.read(step) + tail
    ending = tail[tail.rfind(b"\n") + 1 :]
    if not ending.strip(_BLANK):
        return size, b""
    if file_format == "ndjson":
        try:
            json.loads(ending.removeprefix(_BOM))
            return size, b""
        except (ValueError, RecursionError):
            return size - len(ending), ending
    is_whole = _seconds_quiet(path) >= SETTLE_SECONDS
    return (size, b"") if is_whole else (size - len(ending), ending)


def _compression(path: Path) -> str | None:
    return {".gz": "gzip", ".zst": "zstd"}.get(path.suffix.lower())


def _opened(path: Path) -> Any:
    """The decompressed bytes of a file, to be read in blocks."""
    if _compression(path) == "gzip":
        return gzip.open(path, "rb")
    return pa.CompressedInputStream(pa.OSFile(str(path)), "zstd")


def _decompress(path: Path, target: Path) -> None:
    try:
        with _opened(path) as source, target.open("wb") as out:
            while block := source.read(BLOCK):
                out.write(block)
    except (OSError, EOFError, zlib.error, pa.ArrowException) as error:
        if isinstance(error, FileNotFoundError):
            raise
        raise UnreadableFileError(
            f"it is no whole {_compression(path)} file ({error}); write it again"
        ) from error


def _check_parquet(path: Path) -> None:
    with path.open("rb") as file:
        head = file.read(4)
        file.seek(max(0, path.stat().st_size - 4))
        foot = file.read(4)
    if head != b"PAR1" or foot != b"PAR1":
        raise UnreadableFileError("it is no whole Parquet file; write it again")


def _array_to_lines(path: Path, target: Path) -> int:
    """Write each element of a JSON array, as it stands, on a line of its own; count them."""
    try:
        text = path.read_bytes().removeprefix(_BOM).decode("utf-8")
    except UnicodeDecodeError as error:
        raise UnreadableFileError(f"it is not UTF-8 ({error})") from error
    space = re.compile(r"[ \t\r\n]*")
    decoder = json.JSONDecoder()
    position = space.match(text).end()  # type: ignore[union-attr]
    count = 0
    with target.open("w", encoding="utf-8") as out:
        try:
            if position < len(text) and text[position] != "[":
                raise ValueError("it does not begin with [")
            position = space.match(text, position + 1).end()  # type: ignore[union-attr]
            while position < len(text) and text[position] != "]":
                _, end = decoder.raw_decode(text, position)
                out.write(re.sub(r"[\r\n]", " ", text[position:end]) + "\n")
                count += 1
                position = space.match(text, end).end()  # type: ignore[union-attr]
                if text[position : position + 1] == ",":
                    position = space.match(text, position + 1).end()  # type: ignore[union-attr]
                elif text[position : position + 1] != "]":
                    raise ValueError(f"a comma or ] is missing at character {position}")
            if text.strip() and text[position:].strip() != "]":
                raise ValueError("it does not end with ]")
        except (ValueError, RecursionError) as error:
            raise UnreadableFileError(
                f"it is no whole JSON array ({error}); write it again, or declare the format ndjson"
            ) from error
    return count


class LineIndex:
    """Where the lines of a plain file begin, blank ones left out.

    ``numbers[i]`` is the one-based line number of the i-th line that is not blank.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        starts = [np.zeros(1, dtype=np.int64)]
        position = 0
        with path.open("rb") as file:
            for block in _blocks(file, None):
                ends = np.flatnonzero(np.frombuffer(block, dtype=np.uint8) == 10)
                starts.append(ends + (position + 1))
                position += len(block)
        all_starts = np.concatenate(starts)
        if len(all_starts) > 1 and all_starts[-1] == position:
            all_starts = all_starts[:-1]
        if position == 0:
            all_starts = all_starts[:0]
        all_ends = np.append(all_starts[1:], position)[: len(all_starts)]
        keep = np.ones(len(all_starts), dtype=bool)
        with path.open("rb") as file:
            for line in self._maybe_blank(file, all_starts, all_ends):
                file.seek(int(all_starts[line]))
                text = file.read(int(all_ends[line] - all_starts[line]))
                keep[line] = bool(text.strip(_BLANK))
        self._starts = all_starts[keep]
        self._ends = all_ends[keep]
        self.numbers = np.flatnonzero(keep) + 1

    @staticmethod
    def _maybe_blank(file: IO[bytes], starts: np.ndarray, ends: np.ndarray) -> Iterator[int]:
        """Lines that are very short or begin with white space."""
        short = np.flatnonzero(ends - starts <= 2)
        yield from (int(line) for line in short)
        file.seek(0)
        position, next_line = 0, 0
        white = np.frombuffer(_BLANK, dtype=np.uint8)
        for block in _blocks(file, None):
            after = int(np.searchsorted(starts, position + len(block)))
            inside = starts[next_line:after] - position
            first = np.frombuffer(block, dtype=np.uint8)[inside]
            found = np.flatnonzero(np.isin(first, white)) + next_line
            yield from (int(line) for line in found if ends[line] - starts[line] > 2)
            position, next_line = position + len(block), after
            file.seek(position)

    def __len__(self) -> int:
        return len(self._starts)

    def texts(self, ordinals: Sequence[int]) -> list[str]:
        """Raw text of the given lines; bytes that are no UTF-8 are shown by their number."""
        texts = []
        with self._path.open("rb") as file:
            for ordinal in ordinals:
                file.seek(int(self._starts[ordinal]))
                raw = file.read(int(self._ends[ordinal] - self._starts[ordinal]))
                texts.append(raw.rstrip(b"\r\n").decode("utf-8", "backslashreplace"))
        return texts
