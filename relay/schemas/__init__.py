"""What others may know of the events: JSON Schemas, kept for ever, and an AsyncAPI document. Not used at run time."""
