-- The facts of analytics as one job of Flink 2.3. `script.py` fills in the placeholders.
--
-- Windows with a grace period would drop events that arrive after an outage, and a TTL of the state would replace a
-- count by the part after the TTL. Every table is therefore a plain GROUP BY of event time, and the state has no TTL.

SET 'pipeline.name' = 'shop-analytics';
SET 'execution.runtime-mode' = 'streaming';
SET 'table.local-time-zone' = 'UTC';
SET 'table.exec.mini-batch.enabled' = 'true';
SET 'table.exec.mini-batch.allow-latency' = '500 ms';
SET 'table.exec.mini-batch.size' = '5000';
-- Without this, each table would read and compare all events by itself.
SET 'table.optimizer.reuse-optimize-block-with-digest-enabled' = 'true';
-- An activity has the key of its event, which the view `event` contains once. Nothing must be materialised for it.
SET 'table.exec.sink.require-on-conflict' = 'false';
SET 'table.exec.sink.upsert-materialize' = 'none';

-- The fields of all event classes and versions; a field that a version does not have is null. The time comes from the
-- header, where the relay always writes UTC with six digits.
CREATE TEMPORARY TABLE record (
    currency STRING, discount BIGINT, shipping BIGINT, tax BIGINT, total BIGINT, amount BIGINT, units INT,
    quantity INT, available INT, reason STRING, sku STRING, visitor STRING, order_id STRING, channel STRING,
    nth_order INT, first_order_month STRING, first_this_month BOOLEAN,
    lines ARRAY<ROW<sku STRING, quantity INT, unit_price BIGINT>>,
    shortages ARRAY<ROW<sku STRING, requested INT, available INT>>,
    topic STRING METADATA VIRTUAL,
    headers MAP<STRING, BYTES> METADATA VIRTUAL,
    event_id AS DECODE(headers['ce_id'], 'UTF-8'),
    sequence_number AS CAST(DECODE(headers['ce_sequence'], 'UTF-8') AS BIGINT),
    happened_at AS CAST(REPLACE(SUBSTRING(DECODE(headers['ce_time'], 'UTF-8'), 1, 26), 'T', ' ') AS TIMESTAMP(6)),
    kind AS CASE REGEXP_REPLACE(DECODE(headers['ce_type'], 'UTF-8'), '[.]v[0-9]+$$', '')
        WHEN 'OrderPlaced' THEN 'placed' WHEN 'OrderConfirmed' THEN 'confirmed' WHEN 'OrderCancelled' THEN 'cancelled'
        WHEN 'OrderShipped' THEN 'shipped' WHEN 'OrderDelivered' THEN 'delivered'
        WHEN 'StockReserved' THEN 'reserved' WHEN 'StockRejected' THEN 'rejected'
        WHEN 'StockLow' THEN 'low' WHEN 'StockBack' THEN 'back'
        WHEN 'PaymentAuthorized' THEN 'authorized' WHEN 'PaymentDeclined' THEN 'declined'
        WHEN 'PaymentCaptured' THEN 'captured' WHEN 'PaymentFailed' THEN 'failed'
        WHEN 'PaymentVoided' THEN 'voided' WHEN 'PaymentRefunded' THEN 'refunded'
        WHEN 'ProductViewed' THEN 'viewed' WHEN 'CartChanged' THEN 'cart_changed'
        WHEN 'CheckoutStarted' THEN 'checkout_started' WHEN 'CheckoutCompleted' THEN 'checkout_completed' END,
    read_at AS PROCTIME()
) WITH (
    'connector' = 'kafka',
    'topic' = 'shop.activity;shop.inventory;shop.orders;shop.payments;shop.stock',
    'properties.bootstrap.servers' = ${brokers},
    'properties.group.id' = ${group},
    ${kafka_options}
    'scan.startup.mode' = 'earliest-offset',
    'scan.topic-partition-discovery.interval' = '1 min',
    'format' = 'json',
    'json.ignore-parse-errors' = 'false'
);

-- Each event once: the relay repeats events. After Kafka has lost records, a republished event comes behind later ones
-- of its key, so its sequence number can't tell whether it is new.
CREATE TEMPORARY VIEW event AS
SELECT * FROM (
    SELECT *, ROW_NUMBER() OVER (PARTITION BY event_id ORDER BY read_at) AS copy FROM record WHERE kind IS NOT NULL)
WHERE copy = 1;

CREATE TEMPORARY VIEW placed_line AS
SELECT order_id, happened_at, currency, line.sku AS sku, line.quantity AS quantity, line.unit_price AS unit_price
FROM event CROSS JOIN UNNEST(lines) AS line (sku, quantity, unit_price) WHERE kind = 'placed';

CREATE TEMPORARY VIEW shortage AS
SELECT order_id, happened_at, short.sku AS sku, GREATEST(short.requested - short.available, 0) AS missing
FROM event CROSS JOIN UNNEST(shortages) AS short (sku, requested, available) WHERE kind = 'rejected';

CREATE TEMPORARY VIEW line_fact AS
SELECT order_id, sku, MIN(placed_at) AS placed_at, CAST(SUM(quantity) AS INT) AS quantity,
       MIN(unit_price) AS unit_price, MIN(currency) AS currency, MIN(rejected_at) AS rejected_at, MIN(missing) AS missing
FROM (
    SELECT order_id, sku, happened_at AS placed_at, quantity, unit_price, currency,
           CAST(NULL AS TIMESTAMP(6)) AS rejected_at, CAST(NULL AS INT) AS missing FROM placed_line
    UNION ALL
    SELECT order_id, sku, CAST(NULL AS TIMESTAMP(6)), CAST(NULL AS INT), CAST(NULL AS BIGINT), CAST(NULL AS STRING),
           happened_at, missing FROM shortage)
GROUP BY order_id, sku;

-- The stock of a product in the order of its stream. The partition by the event's id above does not keep this order when
-- several tasks work, so repeated events are found by their sequence number here.
CREATE TEMPORARY VIEW stock_event AS
SELECT * FROM (
    SELECT *, LAG(highest) OVER (PARTITION BY sku ORDER BY read_at) AS known FROM (
        SELECT sku, happened_at, read_at, kind, available, sequence_number,
               MAX(sequence_number) OVER (PARTITION BY sku ORDER BY read_at
                                          ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS highest
        FROM record WHERE kind IN ('low', 'back')))
WHERE known IS NULL OR sequence_number > known;

-- A change of a product between sold out and available.
CREATE TEMPORARY VIEW stock_change AS
SELECT *, LAST_VALUE(CASE WHEN is_out THEN happened_at END)
          OVER (PARTITION BY sku ORDER BY read_at ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS began_at
FROM (
    SELECT *, LAG(is_out) OVER (PARTITION BY sku ORDER BY read_at) AS was_out FROM (
        SELECT sku, happened_at, read_at, kind = 'low' AS is_out FROM stock_event
        WHERE kind = 'back' OR (kind = 'low' AND available <= 0)))
WHERE (is_out AND (was_out IS NULL OR NOT was_out)) OR (NOT is_out AND was_out);

CREATE TEMPORARY TABLE order_fact (
    order_id STRING, placed_at TIMESTAMP(6), reserved_at TIMESTAMP(6), rejected_at TIMESTAMP(6),
    authorized_at TIMESTAMP(6), declined_at TIMESTAMP(6), confirmed_at TIMESTAMP(6), captured_at TIMESTAMP(6),
    shipped_at TIMESTAMP(6), delivered_at TIMESTAMP(6), cancelled_at TIMESTAMP(6), reason STRING, decline_reason STRING,
    currency STRING, discount BIGINT, shipping BIGINT, tax BIGINT, total BIGINT, units INT, refunded BIGINT,
    nth_order INT, first_order_month STRING, first_this_month BOOLEAN, channel STRING,
    PRIMARY KEY (order_id) NOT ENFORCED
) WITH (${database}, 'table-name' = '${schema}.analytics_orderfact');

CREATE TEMPORARY TABLE order_line_fact (
    order_id STRING, sku STRING, placed_at TIMESTAMP(6), quantity INT, unit_price BIGINT, currency STRING,
    rejected_at TIMESTAMP(6), missing INT,
    PRIMARY KEY (order_id, sku) NOT ENFORCED
) WITH (${database}, 'table-name' = '${schema}.analytics_orderlinefact');

CREATE TEMPORARY TABLE activity (
    event_id STRING, `at` TIMESTAMP(6), visitor STRING, kind STRING, sku STRING, quantity INT, amount BIGINT,
    currency STRING, order_id STRING,
    PRIMARY KEY (event_id) NOT ENFORCED
) WITH (${database}, 'table-name' = '${schema}.analytics_activity');

CREATE TEMPORARY TABLE minutes (
    `minute` TIMESTAMP(6), kind STRING, currency STRING, `count` BIGINT, units BIGINT, amount BIGINT,
    PRIMARY KEY (`minute`, kind, currency) NOT ENFORCED
) WITH (${database}, 'table-name' = '${schema}.analytics_minute');

CREATE TEMPORARY TABLE product_hour (
    `hour` TIMESTAMP(6), sku STRING, currency STRING, `views` BIGINT, carts BIGINT, ordered_units BIGINT,
    ordered_amount BIGINT, confirmed_units BIGINT, confirmed_amount BIGINT, rejected_units BIGINT,
    rejected_amount BIGINT,
    PRIMARY KEY (`hour`, sku, currency) NOT ENFORCED
) WITH (${database}, 'table-name' = '${schema}.analytics_producthour');

CREATE TEMPORARY TABLE sold_out (
    sku STRING, began_at TIMESTAMP(6), ended_at TIMESTAMP(6),
    PRIMARY KEY (sku, began_at) NOT ENFORCED
) WITH (${database}, 'table-name' = '${schema}.analytics_soldout');

EXECUTE STATEMENT SET BEGIN

INSERT INTO order_fact
SELECT order_id,
       MIN(CASE WHEN kind = 'placed' THEN happened_at END), MIN(CASE WHEN kind = 'reserved' THEN happened_at END),
       MIN(CASE WHEN kind = 'rejected' THEN happened_at END), MIN(CASE WHEN kind = 'authorized' THEN happened_at END),
       MIN(CASE WHEN kind = 'declined' THEN happened_at END), MIN(CASE WHEN kind = 'confirmed' THEN happened_at END),
       MIN(CASE WHEN kind = 'captured' THEN happened_at END), MIN(CASE WHEN kind = 'shipped' THEN happened_at END),
       MIN(CASE WHEN kind = 'delivered' THEN happened_at END), MIN(CASE WHEN kind = 'cancelled' THEN happened_at END),
       MIN(CASE WHEN kind = 'cancelled' THEN reason END), MIN(CASE WHEN kind = 'declined' THEN reason END),
       MIN(CASE WHEN kind = 'placed' THEN currency END),
       MIN(CASE WHEN kind = 'placed' THEN COALESCE(discount, 0) END),
       MIN(CASE WHEN kind = 'placed' THEN COALESCE(shipping, 0) END),
       MIN(CASE WHEN kind = 'placed' THEN COALESCE(tax, 0) END),
       MIN(CASE WHEN kind = 'placed' THEN total END), CAST(SUM(CASE WHEN kind = 'line' THEN units END) AS INT),
       SUM(CASE WHEN kind = 'refunded' THEN amount ELSE 0 END),
       MIN(nth_order), MIN(first_order_month), MIN(first_this_month) = 1, MIN(channel)
FROM (
    SELECT order_id, kind, happened_at, reason, currency, discount, shipping, tax, total, amount, 0 AS units, nth_order,
           first_order_month, CASE WHEN first_this_month THEN 1 WHEN NOT first_this_month THEN 0 END
               AS first_this_month, channel
    FROM event WHERE topic IN ('shop.orders', 'shop.inventory', 'shop.payments')
    UNION ALL
    SELECT order_id, 'line', happened_at, CAST(NULL AS STRING), CAST(NULL AS STRING), CAST(NULL AS BIGINT),
           CAST(NULL AS BIGINT), CAST(NULL AS BIGINT), CAST(NULL AS BIGINT), CAST(NULL AS BIGINT), quantity,
           CAST(NULL AS INT), CAST(NULL AS STRING), CAST(NULL AS INT), CAST(NULL AS STRING)
    FROM placed_line)
GROUP BY order_id;

INSERT INTO order_line_fact SELECT * FROM line_fact;

INSERT INTO activity
SELECT event_id, happened_at, visitor, kind, COALESCE(sku, ''),
       CASE WHEN kind = 'checkout_started' THEN units ELSE quantity END, total, COALESCE(currency, ''), order_id
FROM event WHERE topic = 'shop.activity';

INSERT INTO minutes
SELECT `minute`, kind, currency, SUM(counted), SUM(units), SUM(amount)
FROM (
    SELECT FLOOR(happened_at TO MINUTE) AS `minute`, kind, COALESCE(currency, '') AS currency, CAST(1 AS BIGINT)
               AS counted,
           CAST(COALESCE(CASE WHEN kind = 'cart_changed' THEN quantity ELSE units END, 0) AS BIGINT) AS units,
           COALESCE(total, amount, 0) AS amount
    FROM event
    UNION ALL
    SELECT FLOOR(happened_at TO MINUTE), 'placed', currency, CAST(0 AS BIGINT), CAST(quantity AS BIGINT),
           CAST(0 AS BIGINT)
    FROM placed_line)
GROUP BY `minute`, kind, currency;

INSERT INTO product_hour
SELECT `hour`, sku, currency, SUM(`views`), SUM(carts), SUM(ordered), SUM(ordered * price), SUM(confirmed),
       SUM(confirmed * price), SUM(rejected), SUM(rejected * price)
FROM (
    SELECT FLOOR(happened_at TO HOUR) AS `hour`, sku, '' AS currency,
           CAST(CASE WHEN kind = 'viewed' THEN 1 ELSE 0 END AS BIGINT) AS `views`,
           CAST(CASE WHEN kind = 'cart_changed' THEN 1 ELSE 0 END AS BIGINT) AS carts, CAST(0 AS BIGINT) AS ordered,
           CAST(0 AS BIGINT) AS confirmed, CAST(0 AS BIGINT) AS rejected, CAST(0 AS BIGINT) AS price
    FROM event WHERE kind = 'viewed' OR (kind = 'cart_changed' AND quantity > 0)
    UNION ALL
    SELECT FLOOR(happened_at TO HOUR), sku, currency, CAST(0 AS BIGINT), CAST(0 AS BIGINT), CAST(quantity AS BIGINT),
           CAST(0 AS BIGINT), CAST(0 AS BIGINT), unit_price
    FROM placed_line
    UNION ALL
    SELECT FLOOR(c.happened_at TO HOUR), l.sku, l.currency, CAST(0 AS BIGINT), CAST(0 AS BIGINT), CAST(0 AS BIGINT),
           CAST(l.quantity AS BIGINT), CAST(0 AS BIGINT), l.unit_price
    FROM placed_line l JOIN (SELECT order_id, happened_at FROM event WHERE kind = 'confirmed') c
        ON c.order_id = l.order_id
    UNION ALL
    SELECT FLOOR(rejected_at TO HOUR), sku, currency, CAST(0 AS BIGINT), CAST(0 AS BIGINT), CAST(0 AS BIGINT),
           CAST(0 AS BIGINT), CAST(missing AS BIGINT), unit_price
    FROM line_fact WHERE rejected_at IS NOT NULL AND unit_price IS NOT NULL)
GROUP BY `hour`, sku, currency;

INSERT INTO sold_out
SELECT sku, began_at, MIN(CASE WHEN NOT is_out THEN happened_at END) FROM stock_change GROUP BY sku, began_at;

END;
