-- For each day: rows in the open tables less rows booked in the ledger.
SELECT day, sum(n) AS difference
FROM (
    SELECT day, toInt64(count()) AS n FROM usage_open WHERE day >= {from:Date} GROUP BY day
    UNION ALL
    SELECT day, toInt64(count()) AS n FROM places_open WHERE day >= {from:Date} GROUP BY day
    UNION ALL
    SELECT day, -sum(n) AS n FROM ledger
    WHERE outcome IN ('usage_rows', 'place_rows') AND day >= {from:Date} GROUP BY day
)
GROUP BY day
