"""Password hashing with argon2id. The parameters let a web process check several passwords at the same time."""

from django.contrib.auth.hashers import Argon2PasswordHasher


class ShopArgon2(Argon2PasswordHasher):
    """argon2id with 19 MiB, two passes and one lane, as OWASP recommends.

    Django's default of 100 MiB for each check would let parallel log-ins exhaust the host's memory.
    """

    time_cost = 2
    memory_cost = 19 * 1024
    parallelism = 1
