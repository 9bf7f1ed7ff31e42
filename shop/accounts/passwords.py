"""How passwords are kept: argon2id, sized so that a web process can check several at once."""

from django.contrib.auth.hashers import Argon2PasswordHasher


class ShopArgon2(Argon2PasswordHasher):
    """19 MiB, two passes, one lane: OWASP's recommendation. Django's 100 MiB a check would let log-ins eat the host."""

    time_cost = 2
    memory_cost = 19 * 1024
    parallelism = 1
