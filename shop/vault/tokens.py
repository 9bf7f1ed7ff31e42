"""The functions of the vault: take payment tokens out, and delete those that nobody took."""

from collections.abc import Collection

from django.conf import settings
from django.db import connection

from relay.arrays import to_array
from shop.events import OLD_TOKEN

#: Hours after an order's deadline until its token is deleted. The order is cancelled at its deadline.
SLACK_HOURS = 1
_TAKE = "delete from vault_paymenttoken where reference = any(%s::uuid[]) returning reference::text, token"
_FORGET = "delete from vault_paymenttoken where created_at < statement_timestamp() - make_interval(hours => %s)"


def take_tokens(references: Collection[str]) -> dict[str, str]:
    """Delete the tokens of `references` in the open transaction and return them by reference.

    A missing reference has no token: it was taken before, or it has expired. The reference of an event of version 1 or
    2 contains its token.

    :raises DataError: a reference is not the text of a UUID.
    """
    tokens = {text: text.removeprefix(OLD_TOKEN) for text in references if text.startswith(OLD_TOKEN)}
    if stored := [text for text in references if text not in tokens]:
        with connection.cursor() as cursor:
            cursor.execute(_TAKE, [to_array(stored)])
            tokens |= dict(cursor.fetchall())
    return tokens


def forget_tokens() -> None:
    """Delete the tokens of orders whose deadline has passed. Their payments are declined if they are still wanted."""
    with connection.cursor() as cursor:
        cursor.execute(_FORGET, [settings.ORDER_DEADLINE_HOURS + SLACK_HOURS])
