"""Conversion of amounts between text and integers in minor units. All other code uses the integers."""

SYMBOLS = {"EUR": "€", "USD": "$", "GBP": "£"}
WITHOUT_MINOR_UNITS = {"ISK", "JPY", "KRW"}


def read_money(text: str, currency: str) -> int:
    """Return the positive amount `text` in minor units of `currency`, for example 1250 for 12.50 and EUR.

    :raises ValueError: `text` is not a number, or has more decimal places than the currency.
    """
    whole, _, decimals = text.strip().partition(".")
    digits = 0 if currency in WITHOUT_MINOR_UNITS else 2
    if not f"{whole}{decimals}".isascii() or not f"{whole or 'x'}{decimals}".isdecimal() or len(decimals) > digits:
        raise ValueError(f"{text!r} is not an amount in {currency}")
    return int(whole + decimals.ljust(digits, "0"))


def format_money(amount: int, currency: str) -> str:
    """Return `amount` minor units of `currency` (ISO 4217) as text, for example €1,234.00 for 123400 and EUR."""
    number = f"{abs(amount):,}" if currency in WITHOUT_MINOR_UNITS else f"{abs(amount) // 100:,}.{abs(amount) % 100:02}"
    sign = "\N{MINUS SIGN}" if amount < 0 else ""
    return (
        f"{sign}{SYMBOLS[currency]}{number}" if currency in SYMBOLS else f"{sign}{currency}\N{NO-BREAK SPACE}{number}"
    )
