"""A transactional outbox for Django, PostgreSQL and Kafka. docs/relay.md tells how to use it; this, how to read it.

Each module is one idea, which its docstring tells, and needs none that comes after it:

    publishing:         conf, event, topics, tracing, arrays, outbox
    on either side:     failpoint, kafka, loop
    outbox -> Kafka:    lease, reader, window, batches, messages, producer, lanes, marker, forwarder
    Kafka -> handlers:  cursors, arrival, parking, breaker, consumer, receiver, commands
    Django's:           models, apps, admin

Beside them, and needed for no event to arrive: health/ tells how the relay is, operations/ is what a person does to it,
contract/ keeps the events readable for others, and testing/ stands in for Kafka in a test.
"""
