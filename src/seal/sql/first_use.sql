-- Devices by the flags that their app sent on the day, and by weeks since the install.
SELECT flags, age, toInt64(count()) AS devices
FROM (
    SELECT groupBitOr(flags) AS flags, min(install_week_age) AS age
    FROM usage_open
    WHERE day = {day:Date} AND app = {app:UInt32} AND token != 0
    GROUP BY token
)
GROUP BY flags, age
