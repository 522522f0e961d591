"""An issued invoice as the XML of EN 16931 (Cross Industry Invoice, the syntax of Factur-X). Pure.

Amounts have two decimals at most there, so invoices in a currency of three have no XML.
Source: EN 16931-1, EN 16931-3-3, Factur-X 1.07.
"""

from datetime import date
from decimal import Decimal
from typing import Any
from xml.etree import ElementTree

from billing.currencies import MINOR_DIGITS
from billing.invoices.presentation import (
    Content,
    due_date,
    is_payable,
    last_day,
    line_text,
    sign_of,
)
from billing.invoices.texts import WORDS

_RSM = "urn:un:unece:uncefact:data:standard:CrossIndustryInvoice:100"
_RAM = "urn:un:unece:uncefact:data:standard:ReusableAggregateBusinessInformationEntity:100"
_UDT = "urn:un:unece:uncefact:data:standard:UnqualifiedDataType:100"
_NAMESPACES = {"rsm": _RSM, "ram": _RAM, "udt": _UDT}
for _prefix, _address_of in _NAMESPACES.items():
    ElementTree.register_namespace(_prefix, _address_of)

_PROFILE = "urn:cen.eu:en16931:2017"
_TYPES = {"invoice": "380", "credit_note": "381"}
_EXEMPTIONS = {"AE": "VATEX-EU-AE", "G": "VATEX-EU-G"}
_ONE = "C62"


def has_xml(currency: str) -> bool:
    """Whether EN 16931 can say amounts of the currency."""
    return MINOR_DIGITS[currency] <= 2


def cii_of(content: Content) -> bytes:
    """The XML of an invoice or credit note; a note's amounts are positive."""
    root = ElementTree.Element(f"{{{_RSM}}}CrossIndustryInvoice")
    _add(root, "rsm:ExchangedDocumentContext", _guideline)
    document = _add(root, "rsm:ExchangedDocument")
    _add(document, "ram:ID", content["number"])
    _add(document, "ram:TypeCode", _TYPES[content["series"]])
    _moment(_add(document, "ram:IssueDateTime"), date.fromisoformat(content["issue_date"]))
    if content.get("reason"):
        _add(_add(document, "ram:IncludedNote"), "ram:Content", content["reason"])
    deal = _add(root, "rsm:SupplyChainTradeTransaction")
    for line in content["lines"]:
        _line(deal, content, line)
    _agreement(deal, content)
    delivery = _add(deal, "ram:ApplicableHeaderTradeDelivery")
    event = _add(delivery, "ram:ActualDeliverySupplyChainEvent")
    _moment(_add(event, "ram:OccurrenceDateTime"), last_day(content))
    _settlement(deal, content)
    ElementTree.indent(root)
    return bytes(ElementTree.tostring(root, encoding="UTF-8", xml_declaration=True))


def _guideline(parent: Any) -> None:
    _add(_add(parent, "ram:GuidelineSpecifiedDocumentContextParameter"), "ram:ID", _PROFILE)


def _line(deal: Any, content: Content, line: Content) -> None:
    item = _add(deal, "ram:IncludedSupplyChainTradeLineItem")
    _add(_add(item, "ram:AssociatedDocumentLineDocument"), "ram:LineID", str(line["number"]))
    _add(_add(item, "ram:SpecifiedTradeProduct"), "ram:Name", line_text(content, line))
    net = sign_of(content) * line["net_minor"]
    if line["unit_price"]:
        quantity, price = sign_of(content) * Decimal(line["credits"]), line["unit_price"]
    else:
        quantity, price = Decimal(-1 if net < 0 else 1), _amount(content, abs(net))
    agreement = _add(item, "ram:SpecifiedLineTradeAgreement")
    _add(_add(agreement, "ram:NetPriceProductTradePrice"), "ram:ChargeAmount", price)
    delivery = _add(item, "ram:SpecifiedLineTradeDelivery")
    _add(delivery, "ram:BilledQuantity", f"{quantity.normalize():f}", unitCode=_ONE)
    settlement = _add(item, "ram:SpecifiedLineTradeSettlement")
    tax = _add(settlement, "ram:ApplicableTradeTax")
    _add(tax, "ram:TypeCode", "VAT")
    _add(tax, "ram:CategoryCode", line["tax"]["category"])
    _add(tax, "ram:RateApplicablePercent", line["tax"]["percent"])
    summation = _add(settlement, "ram:SpecifiedTradeSettlementLineMonetarySummation")
    _add(summation, "ram:LineTotalAmount", _amount(content, net))


def _agreement(deal: Any, content: Content) -> None:
    issuer, recipient = content["issuer"], content["recipient"]
    agreement = _add(deal, "ram:ApplicableHeaderTradeAgreement")
    if recipient["buyer_reference"]:
        _add(agreement, "ram:BuyerReference", recipient["buyer_reference"])
    seller = _add(agreement, "ram:SellerTradeParty")
    _add(seller, "ram:Name", issuer["name"])
    if issuer["register"]:
        _add(_add(seller, "ram:SpecifiedLegalOrganization"), "ram:ID", issuer["register"])
    _address(seller, issuer)
    _add(_add(seller, "ram:URIUniversalCommunication"), "ram:URIID", issuer["email"], schemeID="EM")
    _registration(seller, issuer["tax_id"])
    buyer = _add(agreement, "ram:BuyerTradeParty")
    _add(buyer, "ram:ID", content["account_id"])
    _add(buyer, "ram:Name", recipient["name"])
    _address(buyer, recipient)
    if recipient["tax_id"]:
        _registration(buyer, recipient["tax_id"])


def _address(party: Any, given: Content) -> None:
    address = _add(party, "ram:PostalTradeAddress")
    _add(address, "ram:PostcodeCode", given["postcode"])
    _add(address, "ram:LineOne", given["street"])
    _add(address, "ram:CityName", given["city"])
    _add(address, "ram:CountryID", given["country"])


def _registration(party: Any, tax_id: str) -> None:
    _add(_add(party, "ram:SpecifiedTaxRegistration"), "ram:ID", tax_id, schemeID="VA")


def _settlement(deal: Any, content: Content) -> None:
    totals, sign, currency = content["totals"], sign_of(content), content["currency"]
    words = WORDS[content["recipient"]["language"]]
    settlement = _add(deal, "ram:ApplicableHeaderTradeSettlement")
    _add(settlement, "ram:PaymentReference", content["number"])
    _add(settlement, "ram:InvoiceCurrencyCode", currency)
    if content["issuer"]["iban"] and is_payable(content):
        means = _add(settlement, "ram:SpecifiedTradeSettlementPaymentMeans")
        _add(means, "ram:TypeCode", "30")
        account = _add(means, "ram:PayeePartyCreditorFinancialAccount")
        _add(account, "ram:IBANID", content["issuer"]["iban"])
    for part in totals["taxes"]:
        category = part["tax"]["category"]
        tax = _add(settlement, "ram:ApplicableTradeTax")
        _add(tax, "ram:CalculatedAmount", _amount(content, sign * part["tax_minor"]))
        _add(tax, "ram:TypeCode", "VAT")
        if category in _EXEMPTIONS:
            _add(tax, "ram:ExemptionReason", words[f"note_{category}"])
        _add(tax, "ram:BasisAmount", _amount(content, sign * part["net_minor"]))
        _add(tax, "ram:CategoryCode", category)
        if category in _EXEMPTIONS:
            _add(tax, "ram:ExemptionReasonCode", _EXEMPTIONS[category])
        _add(tax, "ram:RateApplicablePercent", part["tax"]["percent"])
    period = _add(settlement, "ram:BillingSpecifiedPeriod")
    _moment(_add(period, "ram:StartDateTime"), date.fromisoformat(content["month"]))
    _moment(_add(period, "ram:EndDateTime"), last_day(content))
    terms = _add(settlement, "ram:SpecifiedTradePaymentTerms")
    if is_payable(content):
        _moment(_add(terms, "ram:DueDateDateTime"), due_date(content))
    else:
        _add(terms, "ram:Description", words["settled"])
    sums = _add(settlement, "ram:SpecifiedTradeSettlementHeaderMonetarySummation")
    _add(sums, "ram:LineTotalAmount", _amount(content, sign * totals["net_minor"]))
    _add(sums, "ram:TaxBasisTotalAmount", _amount(content, sign * totals["net_minor"]))
    taxed = _amount(content, sign * totals["tax_minor"])
    _add(sums, "ram:TaxTotalAmount", taxed, currencyID=currency)
    if totals["rounding_minor"]:
        _add(sums, "ram:RoundingAmount", _amount(content, sign * totals["rounding_minor"]))
    _add(sums, "ram:GrandTotalAmount", _amount(content, sign * totals["gross_minor"]))
    _add(sums, "ram:TotalPrepaidAmount", _amount(content, sign * totals["paid_minor"]))
    _add(sums, "ram:DuePayableAmount", _amount(content, sign * totals["due_minor"]))
    if content["corrects"]:
        before = _add(settlement, "ram:InvoiceReferencedDocument")
        _add(before, "ram:IssuerAssignedID", content["corrects"])


def _amount(content: Content, minor: int) -> str:
    digits = MINOR_DIGITS[content["currency"]]
    return f"{Decimal(minor).scaleb(-digits):.{digits}f}"


def _moment(parent: Any, day: date) -> None:
    _add(parent, "udt:DateTimeString", f"{day:%Y%m%d}", format="102")


def _add(parent: Any, name: str, text: Any = None, **attributes: str) -> Any:
    """A new element, last in its parent; ``text`` is its text or a function that fills it."""
    prefix, _, local = name.partition(":")
    element = ElementTree.SubElement(parent, f"{{{_NAMESPACES[prefix]}}}{local}", attributes)
    if callable(text):
        text(element)
    else:
        element.text = text
    return element
