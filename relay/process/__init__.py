"""Shared code of relay and consumer processes: the loop, the connection to the broker, the failpoints."""
