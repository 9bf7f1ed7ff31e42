"""The shop's pictures, drawn by code: ``python -m shop.catalogue.drawing`` writes the same files every time."""
