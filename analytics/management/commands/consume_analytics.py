from analytics.handlers import consumer
from relay.consumer.command import ConsumeCommand


class Command(ConsumeCommand):
    help = "Count orders, units, revenue and activity per minute of event time. Stops cleanly on SIGTERM."
    consumer = consumer
