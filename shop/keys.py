"""Keyed hashes that survive a rotation of SECRET_KEY: the first key signs, every key of the list is accepted."""

from django.conf import settings
from django.utils.crypto import salted_hmac


def list_keys() -> list[str]:
    """Return SECRET_KEY, which signs, followed by SECRET_KEY_FALLBACKS, which are only accepted."""
    return [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]


def hash_value(salt: str, value: str) -> list[str]:
    """Return the keyed hashes of `value` for the purpose `salt`, one for each key: store the first, look all up."""
    return [salted_hmac(salt, value, secret=key, algorithm="sha256").hexdigest() for key in list_keys()]
