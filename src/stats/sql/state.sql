-- What the answers about an app and period are made of: another where a day is sealed, or values or seals are deleted.
SELECT
    toString(count()) || '-' || toString(groupBitXor(cityHash64(day, release, sealed_at, published))) || '-' || (
        SELECT toString(sum(rows)) FROM system.parts
        WHERE active AND database = currentDatabase() AND table IN ('releases', 'seals')
    ) AS state
FROM seals
WHERE app = {app:String} AND day BETWEEN {from:Date} AND {to:Date}
