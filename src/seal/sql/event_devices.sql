-- Devices by event name; a device counts in at most {bound} names, chosen by the seal's salt.
SELECT event, toInt64(count()) AS devices
FROM (
    SELECT arrayJoin(arraySlice(arraySort(groupUniqArray(
        (sipHash64Keyed(({salt_a:UInt64}, {salt_b:UInt64}), token, event), event))), 1, {bound:UInt32})).2 AS event
    FROM usage_open
    WHERE day = {day:Date} AND app = {app:UInt32} AND token != 0
    GROUP BY token
)
GROUP BY event
