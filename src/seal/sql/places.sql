-- Devices by cell; a device counts once, in its most frequent cell, ties broken by the seal's salt.
SELECT most AS cell, toInt64(count()) AS devices
FROM (
    SELECT argMax(place, (times, sipHash64Keyed(({salt_a:UInt64}, {salt_b:UInt64}), token, place))) AS most
    FROM (
        SELECT token, cell AS place, sum(n) AS times
        FROM places_open
        WHERE day = {day:Date} AND app = {app:UInt32} AND token BETWEEN {first_token:UInt64} AND {last_token:UInt64}
        GROUP BY token, cell
    )
    GROUP BY token
)
GROUP BY most
