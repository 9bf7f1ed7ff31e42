"""The audit of manual changes by staff: actor, action, subject, values before and after, and reason."""

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now


class StaffAction(models.Model):
    """One change. Triggers refuse to update, delete or truncate rows. The table contains no customer data."""

    at = models.DateTimeField(db_default=Now())
    actor = models.CharField(max_length=200, help_text="For example admin:keeper.")
    action = models.CharField(max_length=40, help_text="For example change, delete, take off sale, cancel.")
    subject = models.CharField(max_length=200, help_text="For example catalogue.product:MUG.")
    before = models.JSONField(null=True, blank=True)
    after = models.JSONField(null=True, blank=True)
    reason = models.TextField()
    form = models.UUIDField(
        null=True, editable=False, help_text="The number of the form, so that a form sent twice changes a row once."
    )

    class Meta:
        ordering = ["-at", "-id"]
        indexes = [models.Index(fields=["subject", "-at"], name="staffaction_subject")]
        constraints = [
            models.UniqueConstraint(
                fields=["form", "subject"], condition=Q(form__isnull=False), name="staffaction_once_per_form"
            )
        ]

    def __str__(self) -> str:
        return f"{self.action} of {self.subject} by {self.actor}"
