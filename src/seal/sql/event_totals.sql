-- Events by name; a device adds at most `bound` events in all. Beyond, its names are filled in an order chosen by the
-- seal's salt.
SELECT name AS event, toInt64(sum(kept)) AS n
FROM (
    SELECT
        arraySort(groupArray((sipHash64Keyed(({salt_a:UInt64}, {salt_b:UInt64}), token, event), event, times))) AS chosen,
        arrayCumSum(arrayMap(part -> part.3, chosen)) AS running
    FROM (
        SELECT token, event, toInt64(count()) AS times
        FROM usage_open
        WHERE day = {day:Date} AND app = {app:UInt32} AND token != 0
        GROUP BY token, event
    )
    GROUP BY token
)
ARRAY JOIN
    arrayMap(part -> part.2, chosen) AS name,
    arrayMap(
        (part, upto) -> least(part.3, greatest(toInt64(0), toInt64({bound:UInt32}) - (upto - part.3))), chosen, running
    ) AS kept
GROUP BY name
