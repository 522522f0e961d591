"""Declares a PDF/A-3 with the XML of an invoice in it as Factur-X: what Typst cannot say of it.

The description (XMP) is written anew at the end of the file, as PDF provides for changes, so that
nothing that is there already moves or is read. Pure; the same document gives the same bytes.
"""

import re

FILE_NAME = "factur-x.xml"

_NAMESPACE = "urn:factur-x:pdfa:CrossIndustryDocument:invoice:1p0#"
_PROPERTIES = {
    "DocumentFileName": (FILE_NAME, "Name of the embedded XML file"),
    "DocumentType": ("INVOICE", "Type of the document"),
    "Version": ("1.0", "Version of the XML schema"),
    "ConformanceLevel": ("EN 16931", "Conformance level of the XML"),
}
"""Property of Factur-X 1.0: its value, and what it means."""

_SCHEMAS = b"<pdfaExtension:schemas><rdf:Bag>"
_END = b"</rdf:RDF>"
_TRAILER = re.compile(rb"trailer\s*<<(.+?)>>\s*startxref\s+(\d+)\s+%%EOF\s*\Z", re.DOTALL)
_XMP = re.compile(
    rb"\n(\d+) 0 obj\n<</Length \d+/Type/Metadata/Subtype/XML>>\nstream\n(.+?)\nendstream\n",
    re.DOTALL,
)


def declared(pdf: bytes) -> bytes:
    """The document with Factur-X in its description.

    Raises ValueError for one that is not written as Typst 0.15 writes it.
    """
    trailer, described = _TRAILER.search(pdf), _XMP.search(pdf)
    if not trailer or not described or _SCHEMAS not in described[2] or _END not in described[2]:
        raise ValueError("the PDF has no description where Typst 0.15 puts it")
    number = int(described[1])
    xmp = described[2].replace(_SCHEMAS, _SCHEMAS + _schema(), 1).replace(_END, _values() + _END, 1)
    body = (
        b"%d 0 obj\n<</Length %d/Type/Metadata/Subtype/XML>>\nstream\n%s\nendstream\nendobj\n"
        % (number, len(xmp), xmp)
    )
    whole = pdf if pdf.endswith(b"\n") else pdf + b"\n"
    return (
        whole
        + body
        + b"xref\n0 1\n0000000000 65535 f \n%d 1\n%010d 00000 n \n" % (number, len(whole))
        + b"trailer\n<<%s/Prev %d>>\n" % (trailer[1], int(trailer[2]))
        + b"startxref\n%d\n%%%%EOF\n" % (len(whole) + len(body))
    )


def _schema() -> bytes:
    """What PDF/A asks to be told of properties that it does not know."""
    told = "".join(
        '<rdf:li rdf:parseType="Resource"><pdfaProperty:category>external</pdfaProperty:category>'
        f"<pdfaProperty:description>{meaning}</pdfaProperty:description>"
        f"<pdfaProperty:name>{name}</pdfaProperty:name>"
        "<pdfaProperty:valueType>Text</pdfaProperty:valueType></rdf:li>"
        for name, (_, meaning) in _PROPERTIES.items()
    )
    return (
        '<rdf:li rdf:parseType="Resource"><pdfaSchema:schema>Factur-X PDFA Extension Schema'
        f"</pdfaSchema:schema><pdfaSchema:namespaceURI>{_NAMESPACE}</pdfaSchema:namespaceURI>"
        "<pdfaSchema:prefix>fx</pdfaSchema:prefix>"
        f"<pdfaSchema:property><rdf:Seq>{told}</rdf:Seq></pdfaSchema:property></rdf:li>"
    ).encode()


def _values() -> bytes:
    values = "".join(f"<fx:{name}>{value}</fx:{name}>" for name, (value, _) in _PROPERTIES.items())
    return (
        f'<rdf:Description rdf:about="" xmlns:fx="{_NAMESPACE}">{values}</rdf:Description>'.encode()
    )
