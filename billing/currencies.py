"""ISO 4217: the currencies an account can be billed in, and how many digits their minor unit has.

Metals, funds and test codes are left out: nobody pays in them.
"""

_DIGITS: dict[int, str] = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF",
    3: "BHD IQD JOD KWD LYD OMR TND",
    2: """
        AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF
        CHF CNY COP CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD
        HKD HNL HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA
        MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN
        QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP
        TRY TTD TWD TZS UAH USD UYU UZS VED VES WST XCD XCG YER ZAR ZMW ZWG
    """,
}

MINOR_DIGITS: dict[str, int] = {
    code: digits for digits, codes in _DIGITS.items() for code in codes.split()
}
"""Digits after the decimal point of each currency: 2 for EUR, 0 for JPY, 3 for KWD."""

SUCCESSORS: dict[str, str] = {
    "ANG": "XCG",
    "BGN": "EUR",
    "CUC": "CUP",
    "HRK": "EUR",
    "LTL": "EUR",
    "LVL": "EUR",
    "SLL": "SLE",
    "VEF": "VES",
    "ZWL": "ZWG",
}
"""Withdrawn codes and what took their place."""
