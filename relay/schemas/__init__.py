"""Descriptions of the events for other projects: JSON Schemas and an AsyncAPI document. Not used at run time."""
