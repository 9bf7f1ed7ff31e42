"""Pages of notifications: an order's messages, the local mailbox for staff, and the admin."""

from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse

from notifications.mailbox import SandboxSms
from notifications.models import Message
from shop.events import OrderCancelled, OrderConfirmed, OrderShipped
from shop.web.order_access import sign_order

pytestmark = pytest.mark.django_db
MAILBOX = "/staff/mailbox/"


def messages_url(order_id: object) -> str:
    return reverse("notifications:order-messages", args=[order_id])


def test_the_orders_customer_sees_its_messages_newest_first(shopper: Any, client: Client) -> None:
    ada = shopper()
    ada.hear(OrderConfirmed)
    ada.hear(OrderShipped)
    answer = client.get(messages_url(ada.order_id), {"token": sign_order(ada.order_id)}, headers={"HX-Request": "true"})
    page = answer.content.decode()
    assert page.index("is on its way to you") < page.index("is confirmed")
    assert "Hello," not in page
    assert "<html" not in page
    assert "no-store" in answer["Cache-Control"]


def test_an_order_without_news_says_so(client: Client, db: None) -> None:
    order_id = uuid4()
    page = client.get(messages_url(order_id), {"token": sign_order(order_id)}).content.decode()
    assert "No messages yet" in page


@pytest.mark.parametrize("token", ["", "wrong", "of another order"])
def test_nobody_else_sees_an_orders_messages(shopper: Any, client: Client, token: str) -> None:
    ada = shopper()
    ada.hear(OrderConfirmed)
    token = sign_order(uuid4()) if token == "of another order" else token
    answer = client.get(messages_url(ada.order_id), {"token": token})
    assert answer.status_code == 404
    assert b"FP-1001" not in answer.content


def test_messages_cannot_be_posted(shopper: Any, client: Client) -> None:
    ada = shopper()
    assert client.post(messages_url(ada.order_id) + f"?token={sign_order(ada.order_id)}").status_code == 405


def test_staff_see_every_orders_messages(shopper: Any, admin_client: Client) -> None:
    ada = shopper()
    ada.hear(OrderConfirmed)
    assert b"FP-1001" in admin_client.get(messages_url(ada.order_id)).content


def test_the_mailbox_shows_what_was_sent_to_whom(shopper: Any, admin_client: Client) -> None:
    ada = shopper()
    ada.hear(OrderConfirmed)
    ada.send_all()
    page = admin_client.get(MAILBOX).content.decode()
    assert "Your order FP-1001 is confirmed" in page
    assert "Ada Planted, ada.planted@mail.example" in page
    assert "Ada Planted, +4915112345678" in page


def test_the_mailbox_says_when_the_recipient_is_erased(shopper: Any, admin_client: Client) -> None:
    ada = shopper(phone="")
    ada.hear(OrderConfirmed)
    ada.send_all()
    ada.erase()
    page = admin_client.get(MAILBOX).content.decode()
    assert "To <strong>erased</strong>" in page
    assert "planted" not in page


def test_the_mailbox_is_filtered_by_channel_and_words(shopper: Any, admin_client: Client) -> None:
    ada = shopper()
    ada.hear(OrderConfirmed)
    ada.hear(OrderCancelled, reason="out_of_stock")
    ada.send_all()

    def count(**narrowed: str) -> int:
        return admin_client.get(MAILBOX, narrowed).content.decode().count("<article")

    assert count() == 4
    assert count(channel="sms") == 2
    assert count(q="fp-1001") == 4
    assert count(q="cancelled", channel="email") == 1
    assert count(q="FP-9999") == 0
    assert count(channel="pigeon") == 4
    assert count(q="\0") == 4


def test_the_mailbox_is_paged_newest_first(admin_client: Client, db: None) -> None:
    for number in range(30):
        SandboxSms().send(f"m{number}", "+49", f"text number {number}.")
    first, second = (admin_client.get(MAILBOX, {"page": page}).content.decode() for page in ("1", "2"))
    assert (first.count("<article"), second.count("<article")) == (25, 5)
    assert first.index("text number 29.") < first.index("text number 28.")
    assert "text number 0." in second
    assert admin_client.get(MAILBOX, {"page": "no number"}).status_code == 200


def test_the_mailbox_escapes_what_it_shows(admin_client: Client, db: None) -> None:
    SandboxSms().send("m", "+49", "<script>alert(1)</script>")
    page = admin_client.get(MAILBOX, {"q": "<script>"}).content.decode()
    assert "<script>" not in page
    assert "&lt;script&gt;alert(1)" in page


@pytest.mark.parametrize("who", ["nobody", "customer"])
def test_the_mailbox_is_only_for_staff(client: Client, db: None, who: str) -> None:
    if who == "customer":
        client.force_login(User.objects.create_user("ada"))
    answer = client.get(MAILBOX)
    assert answer.status_code == 302
    assert answer["Location"].startswith(reverse("admin:login"))


def test_the_mailbox_keeps_to_the_shops_content_security_policy(admin_client: Client, db: None) -> None:
    answer = admin_client.get(MAILBOX)
    assert "default-src 'self'" in answer["Content-Security-Policy"]
    assert "style=" not in answer.content.decode()


def test_the_admin_shows_messages_read_only_and_leads_to_the_mailbox(shopper: Any, admin_client: Client) -> None:
    ada = shopper()
    ada.hear(OrderConfirmed)
    page = admin_client.get(reverse("admin:notifications_message_changelist")).content.decode()
    assert "Your order FP-1001 is confirmed" in page
    link = reverse("admin:notifications_message_open_mailbox")
    assert link in page
    assert admin_client.get(link)["Location"] == MAILBOX
    url = reverse("admin:notifications_message_change", args=[ada.message("email").pk])
    assert admin_client.get(url).status_code == 200
    assert admin_client.post(url, {"status": "sent"}).status_code == 403


def send_again(client: Client, message: Message) -> Any:
    url = reverse("admin:notifications_message_changelist")
    return client.post(url, {"action": "send_again", "_selected_action": str(message.pk)}, follow=True)


def test_staff_send_a_failed_message_again(shopper: Any, admin_client: Client) -> None:
    ada = shopper()
    ada.hear(OrderConfirmed)
    Message.objects.filter(channel="email").update(status="failed", attempts=12, error="ConnectionRefusedError")
    answer = send_again(admin_client, ada.message("email"))
    assert "1 messages will be sent again" in answer.content.decode()
    assert (ada.message("email").status, ada.message("email").attempts) == ("pending", 0)
    ada.send_all()
    assert ada.message("email").status == "sent"


def test_a_sent_message_is_not_sent_again_by_the_action(shopper: Any, admin_client: Client) -> None:
    ada = shopper()
    ada.hear(OrderConfirmed)
    ada.send_all()
    send_again(admin_client, ada.message("email"))
    assert ada.message("email").status == "sent"


def test_staff_with_read_access_only_cannot_send_again(shopper: Any, client: Client) -> None:
    ada = shopper()
    ada.hear(OrderConfirmed)
    Message.objects.filter(channel="email").update(status="failed")
    looker = User.objects.create_user("looker", is_staff=True)
    looker.user_permissions.add(Permission.objects.get(codename="view_message"))
    client.force_login(looker)
    send_again(client, ada.message("email"))
    assert ada.message("email").status == "failed"
