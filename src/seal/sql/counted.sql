-- Devices or events over up to four columns, and over the flags of first use where they are asked for.
--
-- `a` to `d` are indexes into the public values that are bound: from one on, zero for a value that is none of them. A
-- device adds at most `bound` in all: its cells are filled in an order chosen by the seal's salt; where devices are
-- counted, a cell takes one.
--
-- With `windows`, each of the hours `from` to `upto` is counted on its own, and of each the devices that were seen in fewer
-- than so many hours before it. A row that comes late can only add to those hours: so a device is in at most so many hours,
-- whenever each is counted. Late events have hours of another day, and are in no hour of this one.
SELECT
    part.2 AS a, part.3 AS b, part.4 AS c, part.5 AS d, first, slot AS hour,
    toInt64(sum(kept)) AS n, toInt64(count()) AS devices
FROM (
    SELECT
        slot,
        if({with_first:UInt8} = 1, groupBitOr(said), 0) AS first,
        arraySort(groupArrayIf(
            (sipHash64Keyed(({salt_a:UInt64}, {salt_b:UInt64}), token, a, b, c, d), a, b, c, d, weight), is_counted
        )) AS chosen,
        arrayCumSum(arrayMap(part -> part.6, chosen)) AS running
    FROM (
        SELECT
            token, a, b, c, d,
            ({event:UInt32} = 0 OR event = {event:UInt32})
                AND (a > 0 OR {other_a:UInt8} = 1) AND (b > 0 OR {other_b:UInt8} = 1)
                AND (c > 0 OR {other_c:UInt8} = 1) AND (d > 0 OR {other_d:UInt8} = 1)
                AND ({windows:UInt32} = 0 OR (
                    hour >= {from:UInt8} AND hour < {upto:UInt8} AND bitAnd(flags, {late:UInt16}) = 0
                    AND (token, hour) IN (
                        SELECT token, arrayJoin(arraySlice(arraySort(groupUniqArray(hour)), 1, {windows:UInt32}))
                        FROM usage_open
                        WHERE {windows:UInt32} > 0 AND day = {day:Date} AND app = {app:UInt32} AND token BETWEEN {first_token:UInt64} AND {last_token:UInt64}
                            AND bitAnd(flags, {late:UInt16}) = 0
                        GROUP BY token
                    )
                )) AS is_counted,
            if({windows:UInt32} = 0, toUInt8(0), hour) AS slot,
            if({devices:UInt8} = 1, toInt64(1), toInt64(count())) AS weight,
            groupBitOr(flags) AS said
        FROM (
            SELECT
                token, event, flags, hour,
                [toUInt32(platform), version, toUInt32(language), toUInt32(class), event, toUInt32(hour), 0] AS columns,
                toUInt32(if({property_a:UInt8} = 1,
                    arrayMax(arrayMap(code -> indexOf({codes_a:Array(UInt32)}, code), props)),
                    indexOf({codes_a:Array(UInt32)}, columns[{column_a:UInt8}]))) AS a,
                toUInt32(if({property_b:UInt8} = 1,
                    arrayMax(arrayMap(code -> indexOf({codes_b:Array(UInt32)}, code), props)),
                    indexOf({codes_b:Array(UInt32)}, columns[{column_b:UInt8}]))) AS b,
                toUInt32(if({property_c:UInt8} = 1,
                    arrayMax(arrayMap(code -> indexOf({codes_c:Array(UInt32)}, code), props)),
                    indexOf({codes_c:Array(UInt32)}, columns[{column_c:UInt8}]))) AS c,
                toUInt32(if({property_d:UInt8} = 1,
                    arrayMax(arrayMap(code -> indexOf({codes_d:Array(UInt32)}, code), props)),
                    indexOf({codes_d:Array(UInt32)}, columns[{column_d:UInt8}]))) AS d
            FROM usage_open
            WHERE day = {day:Date} AND app = {app:UInt32} AND token BETWEEN {first_token:UInt64} AND {last_token:UInt64}
        )
        GROUP BY token, a, b, c, d, is_counted, slot
    )
    GROUP BY token, slot
)
ARRAY JOIN
    chosen AS part,
    arrayMap(
        (part, upto) -> least(part.6, greatest(toInt64(0), toInt64({bound:UInt32}) - (upto - part.6))), chosen, running
    ) AS kept
WHERE kept > 0
GROUP BY a, b, c, d, first, hour
