from analytics.handlers import consumer
from relay.consumer.command import ConsumeCommand


class Command(ConsumeCommand):
    help = "Run the analytics consumer, which writes facts about orders, products and visits. Stop it with SIGTERM."
    consumer = consumer
