SELECT day, release, dims, bound, epsilon, scale, threshold, mechanism, domain, published, suppressed, window, windows
FROM seals
WHERE app = {app:String} AND day BETWEEN {from:Date} AND {to:Date}
    AND day NOT IN (SELECT day FROM deletions)
ORDER BY day, release, window
