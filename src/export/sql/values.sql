-- Only days whose seal is complete: a release is readable when its line in `seals` is.
SELECT day, breakdown, dims, value, margin
FROM releases
WHERE app = {app:String} AND release = {release:String} AND day BETWEEN {from:Date} AND {to:Date}
    AND (day, window) IN (
        SELECT day, window FROM seals
        WHERE app = {app:String} AND release = {release:String} AND day BETWEEN {from:Date} AND {to:Date}
    )
ORDER BY day, breakdown, dims
LIMIT {most:UInt64}
