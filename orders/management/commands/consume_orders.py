from orders.handlers import consumer
from relay.consumer.command import ConsumeCommand


class Command(ConsumeCommand):
    help = "Apply the events of inventory and payments to orders. Stops cleanly on SIGTERM."
    consumer = consumer
