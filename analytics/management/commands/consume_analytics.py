from analytics.handlers import consumer
from relay.consumer.command import ConsumeCommand


class Command(ConsumeCommand):
    help = "Run the analytics consumer: count orders, units, revenue and activity per minute. Stop it with SIGTERM."
    consumer = consumer
