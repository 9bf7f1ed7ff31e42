"""Contacts: the only table with customers' personal data. Other tables store a contact's random id.

To erase a person's data, erase the row.
"""

import uuid

from django.db import models


class Contact(models.Model):
    """The customer's contact data and address for an order. The order's transaction stores the row."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=120)
    email = models.EmailField()
    phone = models.CharField(max_length=20, blank=True)
    line1 = models.CharField("address line 1", max_length=120)
    line2 = models.CharField("address line 2", max_length=120, blank=True)
    postal_code = models.CharField(max_length=16)
    city = models.CharField(max_length=80)
    country = models.CharField(max_length=2, help_text="ISO 3166-1 alpha-2, for example DE")
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return f"contact {self.id}"
