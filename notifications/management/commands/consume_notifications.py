"""Run the notifications consumer until SIGTERM."""

from notifications.handlers import consumer
from relay.consumer.command import ConsumeCommand


class Command(ConsumeCommand):
    help = "Write the messages that customers get as their orders change."
    consumer = consumer
