-- Devices by the furthest step that they reached, in order, within the day. Rows hold the hour and no finer time: a step
-- counts where its event lies in the same hour as the step before, or in a later one. The earliest such hour is taken.
SELECT reached, toInt64(count()) AS devices
FROM (
    SELECT
        arrayFold(
            (done, step, number) -> if(
                done.1 + 1 = number
                    AND arrayExists(seen -> seen.1 = step AND seen.2 >= done.2, times),
                (toUInt32(number), arrayMin(arrayMap(seen -> seen.2, arrayFilter(seen -> seen.1 = step AND seen.2 >= done.2, times)))),
                done
            ),
            {steps:Array(UInt32)}, arrayEnumerate({steps:Array(UInt32)}), (toUInt32(0), toUInt8(0))
        ).1 AS reached
    FROM (
        SELECT token, groupUniqArray((event, hour)) AS times
        FROM usage_open
        WHERE day = {day:Date} AND app = {app:UInt32} AND token BETWEEN {first_token:UInt64} AND {last_token:UInt64} AND has({steps:Array(UInt32)}, event)
        GROUP BY token
    )
)
WHERE reached > 0
GROUP BY reached
