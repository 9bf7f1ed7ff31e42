"""Money for people to read. Everywhere else it is an integer of minor units."""

SYMBOLS = {"EUR": "€", "USD": "$", "GBP": "£"}
WITHOUT_MINOR_UNITS = {"ISK", "JPY", "KRW"}


def format_money(amount: int, currency: str) -> str:
    """Format `amount` minor units of `currency` (ISO 4217), for example 123400 and EUR as €1,234.00."""
    number = f"{abs(amount):,}" if currency in WITHOUT_MINOR_UNITS else f"{abs(amount) // 100:,}.{abs(amount) % 100:02}"
    sign = "\N{MINUS SIGN}" if amount < 0 else ""
    return (
        f"{sign}{SYMBOLS[currency]}{number}" if currency in SYMBOLS else f"{sign}{currency}\N{NO-BREAK SPACE}{number}"
    )
