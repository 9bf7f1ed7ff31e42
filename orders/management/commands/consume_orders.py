from orders.handlers import consumer
from relay.consumer.command import ConsumeCommand


class Command(ConsumeCommand):
    help = "Confirm or cancel orders as inventory and payments answer."
    consumer = consumer
