-- What the answers about an app and period are made of: another where a day or an hour is sealed, or a day is deleted.
SELECT toString(count()) || '-' || toString(groupBitXor(cityHash64(day, window, release, sealed_at, published))) AS state
FROM seals
WHERE app = {app:String} AND day BETWEEN {from:Date} AND {to:Date} AND day NOT IN (SELECT day FROM deletions)
