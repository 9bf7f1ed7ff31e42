"""The rebuild: a second generation is filled from the outbox next to the current one, compared, and switched to.

The second generation follows the current one: it applies exactly the events that the consumer "analytics" has applied,
and guards them by cursors of its own. At the switch both have applied the same events, so the consumer continues with
the other schema and its own cursors, and a switch back works in the same way.
"""
