-- Devices by event name; a device counts in at most `bound` names, chosen by the seal's salt.
SELECT name AS event, toInt64(count()) AS n
FROM (
    SELECT arraySlice(
        arraySort(groupUniqArray((sipHash64Keyed(({salt_a:UInt64}, {salt_b:UInt64}), token, event), event))),
        1, {bound:UInt32}
    ) AS chosen
    FROM usage_open
    WHERE day = {day:Date} AND app = {app:UInt32} AND token != 0
    GROUP BY token
)
ARRAY JOIN arrayMap(pair -> pair.2, chosen) AS name
GROUP BY name
