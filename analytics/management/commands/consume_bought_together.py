from analytics.handlers import bought_together
from relay.consumer.command import ConsumeCommand


class Command(ConsumeCommand):
    help = "Run the consumer that counts which products are ordered together. Stop it with SIGTERM."
    consumer = bought_together
