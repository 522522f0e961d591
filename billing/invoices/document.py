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

from billing.invoices.cii import cii_of, has_xml
from billing.invoices.factur_x import FILE_NAME, declared
from billing.invoices.presentation import Content, view_of
from warehouse.errors import MeterhouseError

_HERE = Path(__file__).resolve().parent
_MISSING = re.compile(r"the text `\"(.+?)\"` could not be displayed", re.DOTALL)
_LOGO = b'#image(bytes(sys.inputs.logo), format: "svg", height: 13mm)'
_SUBSTITUTE = "\u25a1"


def render(content: Content, fonts: Path | None = None) -> bytes:
    """The PDF of an issued content. ``fonts`` is a folder of further fonts.

    A character that no font has is shown as a box; the XML has it as it is. Raises MeterhouseError
    for a logo that is no SVG image.
    """
    if not has_xml(content["currency"]):
        return _drawn(content, "", fonts)
    return declared(_drawn(content, cii_of(content).decode(), fonts))


def _drawn(content: Content, xml: str, fonts: Path | None) -> bytes:
    """The PDF/A-3b, with the XML inside if there is one."""
    view = json.dumps(view_of(content), ensure_ascii=False)
    issued = datetime.fromisoformat(content["issue_date"]).replace(tzinfo=UTC)
    while True:
        try:
            made = _compiler(fonts).compile(
                format="pdf",
                sys_inputs={"view": view, "xml_name": FILE_NAME, "xml": xml},
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


def check_logo(svg: str) -> None:
    """Raises MeterhouseError for what cannot be drawn as a picture."""
    try:
        typst.compile(_LOGO, sys_inputs={"logo": svg})
    except typst.TypstError as error:
        raise MeterhouseError(
            f"the logo cannot be drawn: {error}; give another SVG image with "
            "`meterhouse invoices issuer --logo`"
        ) from error


@cache
def _compiler(fonts: Path | None) -> typst.Compiler:
    folders = [str(_HERE / "fonts"), *([str(fonts)] if fonts else [])]
    return typst.Compiler(str(_HERE / "template.typ"), font_paths=folders, ignore_system_fonts=True)
