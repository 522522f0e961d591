"""A workbook (Office Open XML) written as a stream: rows come in as XML, nothing is kept.

A sheet takes 1,048,576 rows; further rows begin a further sheet with the same header.
"""

import zipfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import IO
from xml.sax.saxutils import escape

SHEET_ROWS = 1_048_576
"""Rows of a sheet, its header included."""

_XML = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_DOCUMENT = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_KIND = "application/vnd.openxmlformats-officedocument.spreadsheetml"

_STYLES = (
    f'{_XML}<styleSheet xmlns="{_MAIN}"><numFmts count="2">'
    '<numFmt numFmtId="164" formatCode="yyyy\\-mm\\-dd"/>'
    '<numFmt numFmtId="165" formatCode="yyyy\\-mm\\-dd\\ hh:mm:ss.000"/></numFmts>'
    '<fonts count="2"><font><sz val="11"/><name val="Calibri"/></font>'
    '<font><b/><sz val="11"/><name val="Calibri"/></font></fonts>'
    '<fills count="2"><fill><patternFill patternType="none"/></fill>'
    '<fill><patternFill patternType="gray125"/></fill></fills>'
    '<borders count="1"><border><left/><right/><top/><bottom/><diagonal/></border></borders>'
    '<cellStyleXfs count="1"><xf numFmtId="0" fontId="0" fillId="0" borderId="0"/></cellStyleXfs>'
    '<cellXfs count="4"><xf numFmtId="0" fontId="0" fillId="0" borderId="0" xfId="0"/>'
    '<xf numFmtId="164" fontId="0" fillId="0" borderId="0" xfId="0" applyNumberFormat="1"/>'
    '<xf numFmtId="165" fontId="0" fillId="0" borderId="0" xfId="0" applyNumberFormat="1"/>'
    '<xf numFmtId="0" fontId="1" fillId="0" borderId="0" xfId="0" applyFont="1"/></cellXfs>'
    '<cellStyles count="1"><cellStyle name="Normal" xfId="0" builtinId="0"/></cellStyles>'
    "</styleSheet>"
)
_HEADER_STYLE = 3


class Workbook:
    """A workbook that is being written; a context manager, as the end of the file comes last."""

    def __init__(
        self, file: Path, name: str, header: Sequence[str], *, sheet_rows: int = SHEET_ROWS
    ) -> None:
        """Sheets are called ``name``, ``name 2`` and so on and begin with ``header``."""
        self._zip = zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1)
        self._name = name
        self._header = _header_row(header)
        self._columns = len(header)
        self._sheet_rows = sheet_rows
        self._sheets = 0
        self._room = 0
        self._sheet: IO[bytes] | None = None

    def __enter__(self) -> "Workbook":
        self._begin_sheet()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end_sheet()
        if error is None:
            self._write_parts()
        self._zip.close()

    @property
    def room(self) -> int:
        """How many rows the sheet still takes; at least one."""
        if not self._room:
            self._end_sheet()
            self._begin_sheet()
        return self._room

    def write(self, rows: int, xml: bytes | memoryview) -> None:
        """Add as many ``<row>`` elements as ``rows`` says, no more than there is room for."""
        if self._sheet is None or rows > self._room:
            raise ValueError("the sheet has no room for these rows")
        self._sheet.write(xml)
        self._room -= rows

    def _begin_sheet(self) -> None:
        self._sheets += 1
        part = zipfile.ZipInfo(f"xl/worksheets/sheet{self._sheets}.xml")
        part.compress_type = zipfile.ZIP_DEFLATED
        self._sheet = self._zip.open(part, "w", force_zip64=True)
        self._sheet.write(
            (
                f'{_XML}<worksheet xmlns="{_MAIN}"><sheetViews><sheetView workbookViewId="0">'
                '<pane ySplit="1" topLeftCell="A2" activePane="bottomLeft" state="frozen"/>'
                "</sheetView></sheetViews>"
                f'<cols><col min="1" max="{self._columns}" width="16" customWidth="1"/></cols>'
                f"<sheetData>{self._header}"
            ).encode()
        )
        self._room = self._sheet_rows - 1

    def _end_sheet(self) -> None:
        if self._sheet is not None:
            self._sheet.write(b"</sheetData></worksheet>")
            self._sheet.close()
            self._sheet = None

    def _write_parts(self) -> None:
        numbers = range(1, self._sheets + 1)
        sheets = "".join(
            f'<sheet name="{escape(self._sheet_name(n))}" sheetId="{n}" r:id="rId{n}"/>'
            for n in numbers
        )
        links = "".join(
            f'<Relationship Id="rId{n}" Type="{_DOCUMENT}/worksheet"'
            f' Target="worksheets/sheet{n}.xml"/>'
            for n in numbers
        )
        kinds = "".join(
            f'<Override PartName="/xl/worksheets/sheet{n}.xml"'
            f' ContentType="{_KIND}.worksheet+xml"/>'
            for n in numbers
        )
        for name, content in (
            ("xl/styles.xml", _STYLES),
            (
                "xl/workbook.xml",
                f'{_XML}<workbook xmlns="{_MAIN}" xmlns:r="{_DOCUMENT}">'
                f"<sheets>{sheets}</sheets></workbook>",
            ),
            (
                "xl/_rels/workbook.xml.rels",
                f'{_XML}<Relationships xmlns="{_PACKAGE}/relationships">{links}'
                f'<Relationship Id="rId{self._sheets + 1}" Type="{_DOCUMENT}/styles"'
                ' Target="styles.xml"/></Relationships>',
            ),
            (
                "_rels/.rels",
                f'{_XML}<Relationships xmlns="{_PACKAGE}/relationships">'
                f'<Relationship Id="rId1" Type="{_DOCUMENT}/officeDocument"'
                ' Target="xl/workbook.xml"/></Relationships>',
            ),
            (
                "[Content_Types].xml",
                f'{_XML}<Types xmlns="{_PACKAGE}/content-types">'
                '<Default Extension="rels"'
                ' ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
                '<Default Extension="xml" ContentType="application/xml"/>'
                f'<Override PartName="/xl/workbook.xml" ContentType="{_KIND}.sheet.main+xml"/>'
                f'<Override PartName="/xl/styles.xml" ContentType="{_KIND}.styles+xml"/>'
                f"{kinds}</Types>",
            ),
        ):
            self._zip.writestr(name, content)

    def _sheet_name(self, number: int) -> str:
        return self._name if number == 1 else f"{self._name} {number}"


def _header_row(header: Sequence[str]) -> str:
    cells = "".join(
        f'<c s="{_HEADER_STYLE}" t="inlineStr"><is><t>{escape(name)}</t></is></c>'
        for name in header
    )
    return f"<row>{cells}</row>"
