"""SQL statements that each break a rule of `verify`, and the expected differences.

Names in braces refer to the orders of the fixture.
"""

EVENTS = "every order has its events"
STREAMS = "every stream is gapless"
ORIGIN = "every record in Kafka is from the outbox"
LOG = "every published row is in Kafka, first occurrences in order"
CURSORS = "every cursor is at the end of its stream"
CAUSES = "every effect has its event"
EFFECTS = "every applied event has its effect"
STOCK = "stock adds up"
MONEY = "money adds up"
NUMBERS = "orders add up"
STOCK_AGREES = "orders and stock agree"
MONEY_AGREES = "orders and payments agree"
RESERVATIONS = "orders and reservations agree"
PAYMENTS_HEARD = "orders record their payments' status"
RECOUNT = "analytics equals a recount of the outbox"

#: The statement, and the differences that `verify` must report: (rule, text).
BROKEN: dict[str, list[tuple[str, str]]] = {
    "delete from relay_outbox where key = '{confirmed.id}' and type = 'OrderConfirmed.v1'": [
        (EVENTS, "order {confirmed.number} has 0 OrderConfirmed events in the outbox, expected 1"),
        (STREAMS, "stream shop.orders/{confirmed.id} should contain 1 to 2, but lacks [2]"),
        (CAUSES, "a movement of order {confirmed.id} carries event "),
    ],
    "delete from relay_outbox where key = '{confirmed.id}' and topic = 'shop.payments' and sequence = 2": [
        (STREAMS, "stream shop.payments/{confirmed.id} should contain 1 to 2, but lacks [2]"),
    ],
    "update relay_outbox set sequence = 1 where key = '{confirmed.id}' and topic = 'shop.payments'": [
        (STREAMS, "stream shop.payments/{confirmed.id} should contain 1 to 2, but lacks [2]"),
    ],
    "update relay_outbox set event_id = (select event_id from relay_outbox limit 1) where type like 'OrderS%'": [
        (STREAMS, "is 2 times in the outbox"),
    ],
    "update relay_outbox set type = 'OrderShipped.v1' where key = '{confirmed.id}' and type = 'OrderConfirmed.v1'": [
        (EVENTS, "order {confirmed.number} has 1 OrderShipped events in the outbox, expected 0"),
    ],
    "update relay_outbox set key = '01976f2e-0000-7000-8000-000000000001' where type = 'OrderDelivered.v1'": [
        (
            EVENTS,
            "the outbox holds OrderDelivered.v1 of order 01976f2e-0000-7000-8000-000000000001, which does not exist",
        ),
    ],
    "delete from relay_stream where topic = 'shop.orders' and key = '{confirmed.id}'": [
        (STREAMS, "stream shop.orders/{confirmed.id} should contain 1 to 0, but contains [1, 2]"),
    ],
    "update relay_stream set last = 7 where topic = 'shop.orders' and key = '{confirmed.id}'": [
        (STREAMS, "stream shop.orders/{confirmed.id} should contain 1 to 7, but lacks [3, 4, 5, 6, 7]"),
    ],
    "update relay_cursor set last = 1 where consumer = 'inventory' and key = '{confirmed.id}'": [
        (
            CURSORS,
            "the cursor of inventory is at 1 of 2 in shop.orders/{confirmed.id},"
            " but the committed offset is past the next event",
        ),
    ],
    "delete from relay_cursor where consumer = 'analytics' and key = '{confirmed.id}'": [
        (
            CURSORS,
            "the cursor of analytics is at 0 of 2 in shop.orders/{confirmed.id},"
            " but the committed offset is past the next event",
        ),
    ],
    "update relay_cursor set last = 1, parked_at = now(), reason = 'Boom: bad page'"
    " where consumer = 'inventory' and key = '{confirmed.id}'": [
        (CURSORS, "the cursor of inventory is at 1 of 2 in shop.orders/{confirmed.id}, parked: Boom: bad page"),
    ],
    "update relay_cursor set last = 9 where consumer = 'payments' and key = '{confirmed.id}'": [
        (STREAMS, "the cursor of payments is at 9 in shop.orders/{confirmed.id}, which ends at 2"),
    ],
    "delete from inventory_movement where order_id = '{confirmed.id}' and kind = 'sold'": [
        (STOCK, "order {confirmed.id}, MUG: 2 sold, but its movements add up to +0 on hand and +2 reserved"),
        (EFFECTS, "of order {confirmed.id}, but the event has no movement"),
    ],
    "delete from analytics_orderfact where order_id = '{sold_out.id}'": [
        (RECOUNT, "order_fact: stored nothing, but the outbox gives ({sold_out.id},"),
    ],
    "delete from notifications_message where order_id = '{delivered.id}' and kind = 'shipped'": [
        (EFFECTS, "notifications has applied OrderShipped "),
        (EFFECTS, "of order {delivered.id}, but the event has no message"),
    ],
    "delete from orders_transition where order_id = '{confirmed.id}' and event = 'PaymentCaptured'": [
        (EFFECTS, "of order {confirmed.id}, but the event has no transition"),
    ],
    "update payments_payment set event_id = gen_random_uuid() where order_id = '{declined.id}'": [
        (CAUSES, "a payment of order {declined.id} carries event "),
        (EFFECTS, "of order {declined.id}, but the event has no payment"),
    ],
    "update orders_order set total = total + 1 where id = '{confirmed.id}'": [
        (NUMBERS, "order {confirmed.number} has the subtotal 2501, but its lines add up to 2500"),
        (NUMBERS, "order {confirmed.number} has the total 2991, but its OrderPlaced says 2990"),
        (
            MONEY_AGREES,
            "order {confirmed.number} with the total 2991 is confirmed, but its payment of 2990 is captured",
        ),
    ],
    "update orders_orderline set quantity = 3 where order_id = '{confirmed.id}'": [
        (NUMBERS, "order {confirmed.number} has 1 lines whose total is not quantity times price"),
        (STOCK_AGREES, "order {confirmed.number} with 3 MUG is confirmed, but inventory has 2 sold"),
    ],
    "update orders_order set status = 'cancelled', cancelled_at = now() where id = '{confirmed.id}'": [
        (NUMBERS, "order {confirmed.number} is cancelled, but its history ends with confirmed"),
        (STOCK_AGREES, "order {confirmed.number} with 2 MUG is cancelled, but inventory has 2 sold"),
        (
            MONEY_AGREES,
            "order {confirmed.number} with the total 2990 is cancelled, but its payment of 2990 is captured",
        ),
        (EVENTS, "order {confirmed.number} has 0 OrderCancelled events in the outbox, expected 1"),
    ],
    "delete from inventory_reservation where order_id = '{confirmed.id}'": [
        (STOCK_AGREES, "order {confirmed.number} with 2 MUG is confirmed, but inventory has 0 reserved"),
        (
            RESERVATIONS,
            "order {confirmed.number} records its stock as reserved, but in inventory 2 MUG are not reserved",
        ),
    ],
    "update orders_order set stock = 'rejected' where id = '{declined.id}'": [
        (RESERVATIONS, "order {declined.number} records its stock as rejected, but in inventory 2 LAMP are released"),
    ],
    "update inventory_reservation set sku = 'GONE' where order_id = '{confirmed.id}'": [
        (RESERVATIONS, "2 GONE are sold for order {confirmed.id}, which has no such line"),
        (STOCK, "order {confirmed.id}, MUG: movements, but no reservation"),
    ],
    "update inventory_reservation set state = 'held' where order_id = '{declined.id}'": [
        (STOCK_AGREES, "order {declined.number} with 2 LAMP is cancelled, but inventory has 2 held"),
    ],
    "update inventory_stock set on_hand = on_hand + 1 where sku = 'LAMP'": [
        (STOCK, "stock of LAMP: "),
    ],
    "update orders_order set payment = 'refunded' where id = '{confirmed.id}'": [
        (PAYMENTS_HEARD, "order {confirmed.number} records its payment as refunded, but the payment is captured"),
    ],
    "update payments_payment set status = 'voided' where order_id = '{confirmed.id}'": [
        (MONEY, "of order {confirmed.id} is voided, but the gateway "),
        (PAYMENTS_HEARD, "order {confirmed.number} records its payment as captured, but the payment is voided"),
    ],
    "update analytics_minute set amount = amount + 1 where kind = 'confirmed'": [
        (RECOUNT, "minute: stored ("),
    ],
    "update analytics_producthour set ordered_units = 0 where sku = 'LAMP'": [
        (RECOUNT, "product_hour: stored ("),
    ],
}
