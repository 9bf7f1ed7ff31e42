"""Run the notifications consumer until SIGTERM."""

from notifications.handlers import consumer
from relay.consumer.command import ConsumeCommand


class Command(ConsumeCommand):
    help = "Run the notifications consumer: store the messages to customers as their orders change."
    consumer = consumer
