"""Manual operations on a running relay. Commands and admin call the same functions, which audit each change."""


class Refused(Exception):
    """The operation was refused. The message gives the reason and an alternative."""
