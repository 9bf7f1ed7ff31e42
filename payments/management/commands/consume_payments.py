"""Run the payments consumer until SIGTERM."""

from payments.handlers import consumer
from relay.consumer.command import ConsumeCommand


class Command(ConsumeCommand):
    help = "Open, capture and void payments as orders change."
    consumer = consumer
