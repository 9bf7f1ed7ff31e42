"""Statements that break a rule of `verify` by hand, and what must then be told. Braces name an order of the fixture."""

EVENTS = "every order has its events"
STREAMS = "every stream is gapless"
LOG = "every published row is in Kafka, first occurrences in order"
CURSORS = "every cursor stands at the end of its key"
CAUSES = "every effect has its event"
EFFECTS = "every applied event has its effect"
STOCK = "stock adds up"
MONEY = "money adds up"
NUMBERS = "orders add up"
STOCK_AGREES = "orders and stock agree"
MONEY_AGREES = "orders and payments agree"
RESERVATIONS = "orders and reservations agree"
PAYMENTS_HEARD = "orders know their payments"
SALES = "sales add up"
RECOUNT = "analytics equals a recount from the orders"

#: What is broken by hand, and what must be told about it: (rule, words).
BROKEN: dict[str, list[tuple[str, str]]] = {
    "delete from relay_outbox where key = '{confirmed.id}' and type = 'OrderConfirmed.v1'": [
        (EVENTS, "order {confirmed.number} has 0 OrderConfirmed in the outbox, not 1"),
        (STREAMS, "stream shop.orders/{confirmed.id} should hold 1 to 2 and lacks [2]"),
        (CAUSES, "a movement of order {confirmed.id} carries event "),
    ],
    "delete from relay_outbox where key = '{confirmed.id}' and topic = 'shop.payments' and sequence = 2": [
        (STREAMS, "stream shop.payments/{confirmed.id} should hold 1 to 2 and lacks [2]"),
    ],
    "update relay_outbox set sequence = 1 where key = '{confirmed.id}' and topic = 'shop.payments'": [
        (STREAMS, "stream shop.payments/{confirmed.id} should hold 1 to 2 and lacks [2]"),
    ],
    "update relay_outbox set event_id = (select event_id from relay_outbox limit 1) where type like 'OrderS%'": [
        (STREAMS, "stands in the outbox 2 times"),
    ],
    "update relay_outbox set type = 'OrderShipped.v1' where key = '{confirmed.id}' and type = 'OrderConfirmed.v1'": [
        (EVENTS, "order {confirmed.number} has 1 OrderShipped in the outbox, not 0"),
    ],
    "update relay_outbox set key = '01976f2e-0000-7000-8000-000000000001' where type = 'OrderDelivered.v1'": [
        (
            EVENTS,
            "the outbox holds OrderDelivered.v1 of order 01976f2e-0000-7000-8000-000000000001, which does not exist",
        ),
    ],
    "delete from relay_stream where topic = 'shop.orders' and key = '{confirmed.id}'": [
        (STREAMS, "stream shop.orders/{confirmed.id} should hold 1 to 0 and holds [1, 2]"),
    ],
    "update relay_stream set last = 7 where topic = 'shop.orders' and key = '{confirmed.id}'": [
        (STREAMS, "stream shop.orders/{confirmed.id} should hold 1 to 7 and lacks [3, 4, 5, 6, 7]"),
    ],
    "update relay_cursor set last = 1 where consumer = 'inventory' and key = '{confirmed.id}'": [
        (
            CURSORS,
            "inventory stands at 1 of 2 in shop.orders/{confirmed.id}, but has gone past the next event in Kafka",
        ),
    ],
    "delete from relay_cursor where consumer = 'analytics' and key = '{confirmed.id}'": [
        (
            CURSORS,
            "analytics stands at 0 of 2 in shop.orders/{confirmed.id}, but has gone past the next event in Kafka",
        ),
    ],
    "update relay_cursor set last = 1, parked_at = now(), reason = 'Boom: bad page'"
    " where consumer = 'inventory' and key = '{confirmed.id}'": [
        (CURSORS, "inventory stands at 1 of 2 in shop.orders/{confirmed.id}, parked: Boom: bad page"),
    ],
    "update relay_cursor set last = 9 where consumer = 'payments' and key = '{confirmed.id}'": [
        (STREAMS, "payments stands at 9 in shop.orders/{confirmed.id}, which ends at 2"),
    ],
    "delete from inventory_movement where order_id = '{confirmed.id}' and kind = 'sold'": [
        (STOCK, "order {confirmed.id}, MUG: 2 sold, but its movements add up to +0 on hand and +2 reserved"),
        (EFFECTS, "of order {confirmed.id} without leaving a movement"),
    ],
    "delete from analytics_sale where order_id = '{sold_out.id}' and kind = 'cancelled'": [
        (EFFECTS, "of order {sold_out.id} without leaving a sale"),
        (SALES, "sales cancelled at "),
    ],
    "delete from notifications_message where order_id = '{delivered.id}' and kind = 'shipped'": [
        (EFFECTS, "notifications has passed OrderShipped "),
        (EFFECTS, "of order {delivered.id} without leaving a message"),
    ],
    "delete from orders_transition where order_id = '{confirmed.id}' and event = 'PaymentCaptured'": [
        (EFFECTS, "of order {confirmed.id} without leaving a transition"),
    ],
    "update payments_payment set event_id = gen_random_uuid() where order_id = '{declined.id}'": [
        (CAUSES, "a payment of order {declined.id} carries event "),
        (EFFECTS, "of order {declined.id} without leaving a payment"),
    ],
    "update orders_order set total = total + 1 where id = '{confirmed.id}'": [
        (NUMBERS, "order {confirmed.number} has 2501 without discount and shipping, its lines add up to 2500"),
        (NUMBERS, "order {confirmed.number} has the total 2991, its OrderPlaced says 2990"),
        (MONEY_AGREES, "order {confirmed.number} over 2991 is confirmed, its payment over 2990 is captured"),
        (RECOUNT, "confirmed EUR: analytics has "),
    ],
    "update orders_orderline set quantity = 3 where order_id = '{confirmed.id}'": [
        (NUMBERS, "order {confirmed.number} has 1 lines that are not quantity times price"),
        (STOCK_AGREES, "order {confirmed.number} of 3 MUG is confirmed, inventory has 2 sold"),
    ],
    "update orders_order set status = 'cancelled', cancelled_at = now() where id = '{confirmed.id}'": [
        (NUMBERS, "order {confirmed.number} is cancelled, its history ends with confirmed"),
        (STOCK_AGREES, "order {confirmed.number} of 2 MUG is cancelled, inventory has 2 sold"),
        (MONEY_AGREES, "order {confirmed.number} over 2990 is cancelled, its payment over 2990 is captured"),
        (EVENTS, "order {confirmed.number} has 0 OrderCancelled in the outbox, not 1"),
    ],
    "delete from inventory_reservation where order_id = '{confirmed.id}'": [
        (STOCK_AGREES, "order {confirmed.number} of 2 MUG is confirmed, inventory has 0 reserved"),
        (RESERVATIONS, "order {confirmed.number} was told that its stock is reserved, but 2 MUG are not reserved"),
    ],
    "update orders_order set stock = 'rejected' where id = '{declined.id}'": [
        (RESERVATIONS, "order {declined.number} was told that its stock is rejected, but 2 LAMP are released"),
    ],
    "update inventory_reservation set sku = 'GONE' where order_id = '{confirmed.id}'": [
        (RESERVATIONS, "2 GONE are sold for order {confirmed.id}, which has no such line"),
        (STOCK, "order {confirmed.id}, MUG: movements, but no reservation"),
    ],
    "update inventory_reservation set state = 'held' where order_id = '{declined.id}'": [
        (STOCK_AGREES, "order {declined.number} of 2 LAMP is cancelled, inventory has 2 held"),
    ],
    "update inventory_stock set on_hand = on_hand + 1 where sku = 'LAMP'": [
        (STOCK, "stock of LAMP: "),
    ],
    "update orders_order set payment = 'refunded' where id = '{confirmed.id}'": [
        (PAYMENTS_HEARD, "order {confirmed.number} knows a payment that is refunded, it is captured"),
    ],
    "update payments_payment set status = 'voided' where order_id = '{confirmed.id}'": [
        (MONEY, "of order {confirmed.id} is voided, but the gateway "),
        (PAYMENTS_HEARD, "order {confirmed.number} knows a payment that is captured, it is voided"),
    ],
    "update analytics_salesminute set revenue = revenue + 1 where kind = 'confirmed'": [
        (SALES, "sales confirmed at "),
    ],
    "update analytics_salesminute set units = 0 where kind = 'placed'": [
        (RECOUNT, "placed EUR: analytics has "),
    ],
}
