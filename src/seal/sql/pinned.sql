-- With what the hours of each release were sealed on a day: what its first one was sealed with, and the last that is.
SELECT
    app, release, argMin(dims, window) AS dims, argMin(bound, window) AS bound,
    toUInt32(argMin(windows, window)) AS windows, argMin(epsilon, window) AS epsilon,
    argMin(threshold, window) AS threshold, max(window) AS last
FROM seals
WHERE day = {day:Date} AND window < {hours:UInt8}
GROUP BY app, release
ORDER BY app, release
