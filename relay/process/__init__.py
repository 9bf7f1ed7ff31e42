"""The process around a forwarder or a consumer: its loop, its way to the broker, its failpoints."""
