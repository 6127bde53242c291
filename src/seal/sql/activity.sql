-- Devices by platform and version; a device counts once, in one pair chosen by the seal's salt.
SELECT chosen.1 AS platform, chosen.2 AS version, toInt64(count()) AS devices
FROM (
    SELECT argMin(
        (platform, version),
        sipHash64Keyed(({salt_a:UInt64}, {salt_b:UInt64}), token, platform, version)
    ) AS chosen
    FROM usage_open
    WHERE day = {day:Date} AND app = {app:UInt32} AND token != 0
    GROUP BY token
)
GROUP BY chosen
