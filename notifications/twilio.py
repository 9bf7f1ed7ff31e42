"""The SMS provider Twilio, or a service with the same REST API at settings.TWILIO_URL.

Twilio has no idempotency key: after a timeout, or after a crash before the result is stored, a message is sent again
and the customer can get it twice.
"""

import re
import time
from functools import lru_cache
from typing import Any
from urllib.parse import quote

import msgspec
import urllib3
from django.conf import settings

from notifications.providers import ProviderUnavailable, Undeliverable

#: Timeouts in seconds: for the connection, for each read, and for the whole answer.
CONNECT_SECONDS, READ_SECONDS, ANSWER_SECONDS = 3.0, 6.0, 10.0
MAX_ANSWER_BYTES = 100_000
#: Statuses that say nothing about the message: wrong credentials or account, a timeout, too many requests.
NOT_THE_MESSAGE = {401, 403, 404, 408, 429}
#: A telephone number in an error's text.
_NUMBER = re.compile(r"\+?\d[\d ()/-]{3,}\d")


class TwilioSms:
    """Sends text messages from settings.TWILIO_SENDER: a number, a sender name or the SID of a messaging service."""

    def send(self, message_id: str, to: str, text: str) -> None:
        """Send `text` to the number `to`, which begins with + and the country's code. Twilio does not use `message_id`.

        :raises Undeliverable: Twilio refused the message for good, or gave an answer that nobody can interpret.
        :raises ProviderUnavailable: no answer, or an answer that says nothing about the message.
        """
        sender = settings.TWILIO_SENDER
        sender_field = "MessagingServiceSid" if re.fullmatch("MG[0-9a-f]{32}", sender) else "From"
        check_answer(*post({"To": to, sender_field: sender, "Body": text}))


def post(fields: dict[str, str]) -> tuple[int, bytes]:
    """Create a message with `fields` and return the status and the body of the answer.

    :raises ProviderUnavailable: no complete answer arrived in time; it is unknown whether the message was sent.
    """
    until = time.monotonic() + ANSWER_SECONDS - READ_SECONDS
    path = (
        f"{settings.TWILIO_URL.rstrip('/')}/2010-04-01/Accounts/{quote(settings.TWILIO_ACCOUNT, safe='')}/Messages.json"
    )
    headers = urllib3.make_headers(basic_auth=f"{settings.TWILIO_ACCOUNT}:{settings.TWILIO_TOKEN}")
    try:
        answer = open_pool().request(
            *("POST", path),
            fields=fields,
            encode_multipart=False,
            headers=headers,
            timeout=urllib3.Timeout(connect=CONNECT_SECONDS, read=READ_SECONDS),
            retries=False,
            redirect=False,
            preload_content=False,
        )
        try:
            return answer.status, read_body(answer, until)
        finally:
            # On a reused connection the next call would read the remainder of this body as its own answer.
            answer.release_conn() if answer.length_remaining == 0 else answer.close()
    except urllib3.exceptions.HTTPError as error:
        raise ProviderUnavailable(f"Twilio did not answer: {type(error).__name__}") from error


def read_body(answer: urllib3.BaseHTTPResponse, until: float) -> bytes:
    """Return the answer's body, read in chunks until `until` (monotonic clock, seconds).

    :raises ProviderUnavailable: the body has more than MAX_ANSWER_BYTES or is incomplete at `until`.
    """
    content = bytearray()
    while chunk := answer.read1(65536):
        content += chunk
        if len(content) > MAX_ANSWER_BYTES:
            raise ProviderUnavailable(f"Twilio's answer has more than {MAX_ANSWER_BYTES} bytes")
        if answer.length_remaining != 0 and time.monotonic() > until:
            raise ProviderUnavailable(f"Twilio's answer is incomplete at the deadline, after {len(content)} bytes")
    return bytes(content)


@lru_cache(maxsize=1)
def open_pool() -> urllib3.PoolManager:
    """Return the pool of connections. Each of the four threads that send messages uses one."""
    return urllib3.PoolManager(maxsize=4)


def check_answer(status: int, body: bytes) -> None:
    """Return if the answer says that the message was accepted.

    :raises Undeliverable: Twilio refused the message for good, or gave an answer that nobody can interpret.
    :raises ProviderUnavailable: the answer says nothing about the message.
    """
    answer = read_object(body)
    if status in (200, 201):
        if answer.get("status") in ("failed", "undelivered"):
            raise Undeliverable(describe_refusal(status, answer.get("error_code"), answer.get("error_message")))
        if not isinstance(answer.get("sid"), str) or not answer["sid"]:
            # A retry could send the same text every hour, so a person decides.
            raise Undeliverable(f"Twilio answered {status} without a message id: look in its log before sending again")
        return
    reason = describe_refusal(status, answer.get("code"), answer.get("message"))
    if 400 <= status < 500 and status not in NOT_THE_MESSAGE:
        raise Undeliverable(reason)
    raise ProviderUnavailable(reason)


def read_object(body: bytes) -> dict[str, Any]:
    """Return the JSON object in `body`, or an empty one if `body` contains something else."""
    try:
        found = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return {}
    return found if isinstance(found, dict) else {}


def describe_refusal(status: int, code: object, message: object) -> str:
    """Return a reason for staff. Telephone numbers in Twilio's text are replaced: they are personal data."""
    words = _NUMBER.sub("NUMBER", str(message)) if isinstance(message, str) else "no reason given"
    return f"Twilio answered {status}{f', error {code}' if isinstance(code, int) else ''}: {words}"
