"""Money for people to read. Everywhere else it is an integer of minor units."""

SYMBOLS = {"EUR": "€", "USD": "$", "GBP": "£"}
WITHOUT_MINOR_UNITS = {"ISK", "JPY", "KRW"}


def read_money(text: str, currency: str) -> int:
    """Return the minor units of a positive amount as people write it, for example 12.50 and EUR as 1250.

    :raises ValueError: it is no number, or has more digits behind the point than the currency knows.
    """
    whole, _, rest = text.strip().partition(".")
    digits = 0 if currency in WITHOUT_MINOR_UNITS else 2
    if not f"{whole}{rest}".isascii() or not f"{whole or 'x'}{rest}".isdecimal() or len(rest) > digits:
        raise ValueError(f"{text!r} is no amount of {currency}")
    return int(whole + rest.ljust(digits, "0"))


def format_money(amount: int, currency: str) -> str:
    """Format `amount` minor units of `currency` (ISO 4217), for example 123400 and EUR as €1,234.00."""
    number = f"{abs(amount):,}" if currency in WITHOUT_MINOR_UNITS else f"{abs(amount) // 100:,}.{abs(amount) % 100:02}"
    sign = "\N{MINUS SIGN}" if amount < 0 else ""
    return (
        f"{sign}{SYMBOLS[currency]}{number}" if currency in SYMBOLS else f"{sign}{currency}\N{NO-BREAK SPACE}{number}"
    )
