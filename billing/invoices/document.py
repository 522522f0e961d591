"""The document of an issued invoice: a PDF/A-3b by Typst with the XML of EN 16931 inside.

The same content gives the same bytes: the only date is the issue date, and only fonts that come
along (or that an operator names) are used.
"""

import json
import re
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import typst
from facturx import generate_from_binary

from billing.invoices.cii import cii_of, has_xml
from billing.invoices.presentation import Content, view_of
from billing.invoices.texts import WORDS
from warehouse.errors import MeterhouseError

_HERE = Path(__file__).resolve().parent
_MISSING = re.compile(r"the text `\"(.+?)\"` could not be displayed", re.DOTALL)
_SUBSTITUTE = "\u25a1"
_PDF_TIME = re.compile(rb"\((D(?::|\\072))\d{14}")
_XMP_TIME = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00")


def render(content: Content, fonts: Path | None = None) -> bytes:
    """The PDF of an issued content. ``fonts`` is a folder of further fonts.

    A character that no font has is shown as a box; the XML has it as it is. Raises MeterhouseError
    for a logo that is no SVG image.
    """
    pdf = draw(content, fonts)
    if not has_xml(content["currency"]):
        return pdf
    language = content["recipient"]["language"]
    title = f"{WORDS[language][content['series']]} {content['number']}"
    combined = generate_from_binary(
        pdf,
        cii_of(content),
        flavor="factur-x",
        level="en16931",
        check_xsd=False,
        pdf_metadata={
            "author": content["issuer"]["name"],
            "title": title,
            "subject": title,
            "keywords": "Factur-X",
        },
        lang=language,
        afrelationship="alternative",
        xmp_compression=False,
    )
    return _dated(combined, content["issue_date"])


def draw(content: Content, fonts: Path | None = None) -> bytes:
    """The PDF/A-3b without the XML."""
    view = json.dumps(view_of(content), ensure_ascii=False)
    issued = datetime.fromisoformat(content["issue_date"]).replace(tzinfo=UTC)
    while True:
        try:
            made = _compiler(fonts).compile(
                format="pdf",
                sys_inputs={"view": view},
                pdf_standards=["a-3b"],
                timestamp=issued,
            )
            assert isinstance(made, bytes)
            return made
        except typst.TypstError as error:
            missing = _MISSING.search(str(error))
            if missing is None:
                raise MeterhouseError(
                    f"the document of {content['number']} cannot be rendered: {error}; if it is "
                    "the logo, give another with `meterhouse invoices issuer --logo`"
                ) from error
            for character in set(missing[1]) - set(map(chr, range(128))) - {_SUBSTITUTE}:
                view = view.replace(character, _SUBSTITUTE)


@cache
def _compiler(fonts: Path | None) -> typst.Compiler:
    folders = [str(_HERE / "fonts"), *([str(fonts)] if fonts else [])]
    return typst.Compiler(str(_HERE / "template.typ"), font_paths=folders, ignore_system_fonts=True)


def _dated(pdf: bytes, issue_date: str) -> bytes:
    """The document with the issue date in place of the present time, which the package writes.

    The texts keep their length, so that nothing in the file moves.
    """
    day = issue_date.replace("-", "").encode()
    pdf = _PDF_TIME.sub(rb"(\g<1>" + day + b"000000", pdf)
    return _XMP_TIME.sub(issue_date.encode() + b"T00:00:00+00:00", pdf)
