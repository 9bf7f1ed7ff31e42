"""The recount: everything that the tables contain, computed again from the outbox by SQL that shares nothing with the
handlers.
"""
