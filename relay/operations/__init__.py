"""What a person does to a running relay. Commands and admin call the same functions, and each change is audited."""


class Refused(Exception):
    """The operation was not done. The message says why, and what can be done instead."""
