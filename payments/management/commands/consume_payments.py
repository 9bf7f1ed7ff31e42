"""Run the payments consumer until SIGTERM."""

from payments.handlers import consumer
from relay.consumer.command import ConsumeCommand


class Command(ConsumeCommand):
    help = "Run the payments consumer: authorize, capture, void and refund payments as orders change."
    consumer = consumer
