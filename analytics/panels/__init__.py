"""The figures of the sales pages and of their API.

A panel is a definition, columns, and a function that reads rows.
"""
