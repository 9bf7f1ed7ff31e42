from inventory.handlers import consumer
from relay.consumer.command import ConsumeCommand


class Command(ConsumeCommand):
    help = "Hold, sell and release stock as orders are placed, confirmed and cancelled. Stops cleanly on SIGTERM."
    consumer = consumer
