"""The bodies of a gateway's answers, read within a deadline."""

import time

import urllib3

from payments.gateways.protocol import GatewayUnavailable

MAX_ANSWER_BYTES = 2_000_000


def read_body(answer: urllib3.BaseHTTPResponse, until: float) -> bytes:
    """Return the answer's body, read in chunks until `until` (monotonic clock, seconds).

    The read timeout holds for one chunk only, so a body that arrives in small chunks needs this deadline.

    :raises GatewayUnavailable: the body has more than MAX_ANSWER_BYTES or is incomplete at `until`.
    """
    content = bytearray()
    while chunk := answer.read1(65536):
        content += chunk
        if len(content) > MAX_ANSWER_BYTES:
            raise GatewayUnavailable(f"the gateway's answer has more than {MAX_ANSWER_BYTES} bytes")
        if answer.length_remaining != 0 and time.monotonic() > until:
            raise GatewayUnavailable(f"the gateway's answer is incomplete at the deadline, after {len(content)} bytes")
    return bytes(content)
