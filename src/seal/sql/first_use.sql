-- Devices by the flags that their app sent on the day, and by weeks since the install.
SELECT all_flags AS flags, least_age AS age, toInt64(count()) AS devices
FROM (
    SELECT groupBitOr(flags) AS all_flags, min(install_week_age) AS least_age
    FROM usage_open
    WHERE day = {day:Date} AND app = {app:UInt32} AND token BETWEEN {first_token:UInt64} AND {last_token:UInt64}
    GROUP BY token
)
GROUP BY all_flags, least_age
