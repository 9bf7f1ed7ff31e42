"""The ledger: proof, window by window, that each committed event is in Kafka once and has each of its effects once.

`windows` cuts the outbox into windows of positions. `log` reads Kafka, `logbook` compares the windows with it, and
`effects` compares them with the consumers' rows. `round` joins them; one live process runs it.
"""
