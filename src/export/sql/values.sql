-- Only days whose seal is complete: a release is readable when its line in `seals` is, and until its day is deleted.
SELECT day, breakdown, dims, value, margin
FROM releases
WHERE app = {app:String} AND release = {release:String} AND day BETWEEN {from:Date} AND {to:Date}
    AND (day, window) IN (
        SELECT day, window FROM seals
        WHERE app = {app:String} AND release = {release:String} AND day BETWEEN {from:Date} AND {to:Date}
            AND day NOT IN (SELECT day FROM deletions)
    )
ORDER BY day, breakdown, dims
LIMIT {most:UInt64}
