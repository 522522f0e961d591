"""Words, dates and numbers of invoices by language. Pure."""

from datetime import date
from decimal import Decimal

from billing.currencies import MINOR_DIGITS

MONTHS = {
    "en": "January February March April May June July August September October November December",
    "de": "Januar Februar März April Mai Juni Juli August September Oktober November Dezember",
}

WORDS: dict[str, dict[str, str]] = {
    "en": {
        "invoice": "Invoice",
        "credit_note": "Credit note",
        "number": "Number",
        "issue_date": "Date of issue",
        "period": "Period",
        "account": "Account",
        "tax_id": "Tax id",
        "your_tax_id": "Your tax id",
        "reference": "Your reference",
        "corrects": "Corrects invoice",
        "due_date": "Payable until",
        "position": "No.",
        "description": "Description",
        "quantity": "Credits",
        "unit_price": "Price",
        "amount": "Amount",
        "net": "Net total",
        "tax": "Tax {percent} % on {net}",
        "tax_AE": "Reverse charge on {net}",
        "tax_G": "Export, tax free, on {net}",
        "tax_Z": "Zero rated on {net}",
        "gross": "Total",
        "paid": "Already paid",
        "given_back": "Already paid back",
        "rounding": "Rounding",
        "due": "Amount due",
        "credited": "Amount in your favour",
        "settled": "Nothing is due.",
        "please_pay": "Please pay {amount} until {date}, naming {number}.",
        "in_your_favour": "{amount} will be paid back or set off.",
        "note_AE": "Reverse charge: the recipient of the service is liable for the tax.",
        "note_G": "Supply outside the issuer's tax area; no tax is charged.",
        "statement": "Statement of credits",
        "usage": "Usage by category and model",
        "agents": "Usage by agent",
        "category": "Category",
        "model": "Model",
        "agent": "Agent",
        "events": "Operations",
        "tokens": "Tokens",
        "opening": "Opening balance",
        "late": "Known late, of earlier months",
        "granted": "Bought and granted",
        "invoiced": "Invoiced for earlier months",
        "used": "Used",
        "forfeited": "Expired or given back",
        "closing": "Closing balance",
        "line_purchase": "Credits bought in {month}, tax included in what was paid",
        "line_refund": "Refunds in {month}",
        "line_chargeback": "Payments charged back in {month}",
        "line_overage": "Usage beyond the credits bought, {month}",
        "line_usage": "Usage, {month}",
        "line_covered": "Usage of {month}, covered by credits",
        "line_goodwill": "Credit on invoice of {month}",
        "correction": "Known late: {text}",
        "reason": "Reason: {reason}",
        "mail_title": "{document} {number} for {month}, {issuer}",
        "mail_link": "Invoice in the app",
        "page": "Page",
        "of": "of",
    },
    "de": {
        "invoice": "Rechnung",
        "credit_note": "Gutschrift",
        "number": "Nummer",
        "issue_date": "Rechnungsdatum",
        "period": "Zeitraum",
        "account": "Konto",
        "tax_id": "USt-IdNr.",
        "your_tax_id": "Ihre USt-IdNr.",
        "reference": "Ihre Referenz",
        "corrects": "Korrigiert Rechnung",
        "due_date": "Zahlbar bis",
        "position": "Pos.",
        "description": "Beschreibung",
        "quantity": "Credits",
        "unit_price": "Preis",
        "amount": "Betrag",
        "net": "Nettobetrag",
        "tax": "Umsatzsteuer {percent} % auf {net}",
        "tax_AE": "Steuerschuldnerschaft des Leistungsempfängers auf {net}",
        "tax_G": "Steuerfreie Ausfuhr auf {net}",
        "tax_Z": "Nullsatz auf {net}",
        "gross": "Gesamtbetrag",
        "paid": "Bereits bezahlt",
        "given_back": "Bereits erstattet",
        "rounding": "Rundung",
        "due": "Zahlbetrag",
        "credited": "Betrag zu Ihren Gunsten",
        "settled": "Es ist nichts zu zahlen.",
        "please_pay": "Bitte zahlen Sie {amount} bis zum {date} unter Angabe von {number}.",
        "in_your_favour": "{amount} werden erstattet oder verrechnet.",
        "note_AE": "Steuerschuldnerschaft des Leistungsempfängers (Reverse Charge).",
        "note_G": "Leistung außerhalb des Steuergebiets; es wird keine Steuer berechnet.",
        "statement": "Kontoauszug der Credits",
        "usage": "Nutzung nach Kategorie und Modell",
        "agents": "Nutzung nach Agent",
        "category": "Kategorie",
        "model": "Modell",
        "agent": "Agent",
        "events": "Vorgänge",
        "tokens": "Token",
        "opening": "Anfangsbestand",
        "late": "Nachträglich bekannt, frühere Monate",
        "granted": "Gekauft und gutgeschrieben",
        "invoiced": "Für frühere Monate berechnet",
        "used": "Verbraucht",
        "forfeited": "Verfallen oder zurückgegeben",
        "closing": "Endbestand",
        "line_purchase": "Im {month} gekaufte Credits, Steuer im Kaufpreis enthalten",
        "line_refund": "Erstattungen im {month}",
        "line_chargeback": "Rückbuchungen im {month}",
        "line_overage": "Nutzung über die gekauften Credits hinaus, {month}",
        "line_usage": "Nutzung, {month}",
        "line_covered": "Nutzung im {month}, durch Credits gedeckt",
        "line_goodwill": "Gutschrift zur Rechnung für {month}",
        "correction": "Nachträglich bekannt: {text}",
        "reason": "Grund: {reason}",
        "mail_title": "{document} {number} für {month}, {issuer}",
        "mail_link": "Rechnung in der App",
        "page": "Seite",
        "of": "von",
    },
}


def month_name(month: date, language: str) -> str:
    """``November 2026``."""
    return f"{MONTHS[language].split()[month.month - 1]} {month.year}"


def day_name(day: date, language: str) -> str:
    """``5 November 2026``, in German ``5. November 2026``."""
    return f"{day.day}{'.' if language == 'de' else ''} {month_name(day, language)}"


def number(amount: Decimal, language: str, *, least: int = 0) -> str:
    """A number with its thousands grouped, with at least so many decimals and no zeros beyond."""
    digits = max(least, -int(amount.normalize().as_tuple().exponent))
    return _local(f"{amount:,.{digits}f}", language)


def money(minor: int, currency: str, language: str) -> str:
    """Minor units as ``EUR 1,234.50``, in German ``1.234,50 EUR``."""
    digits = MINOR_DIGITS[currency]
    text = _local(f"{abs(Decimal(minor).scaleb(-digits)):,.{digits}f}", language)
    sign = "−" if minor < 0 else ""
    if language == "de":
        return f"{sign}{text}\u00a0{currency}"
    return f"{sign}{currency}\u00a0{text}"


def _local(text: str, language: str) -> str:
    text = text.replace("-", "−")
    if language == "de":
        return text.translate(str.maketrans(",.", ".,"))
    return text
