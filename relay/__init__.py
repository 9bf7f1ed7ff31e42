"""A transactional outbox for Django, PostgreSQL and Kafka. docs/relay.md tells how to use it; this, how to read it.

Each module is one idea, which its docstring tells, and needs none that comes after it:

    publishing:         conf, event, topics, tracing, arrays, outbox
    on either side:     failpoint, kafka, loop
    outbox -> Kafka:    lease, reader, window, batches, messages, producer, lanes, marker, forwarder
    Kafka -> handlers:  cursors, arrival, parking, breaker, consumer, receiver, commands
    Django's:           models, apps, admin

The folder health/ measures the relay. The loop, the forwarder and the receiver import its modules heartbeat, canary and
lag; no event arrives without these three. No event needs the other folders: operations/ has the actions of a person,
contract/ publishes the schemas of the events, and testing/ replaces Kafka in a test.
"""
