-- How many open rows of a day an app has, of usage or of places, whichever are more.
SELECT greatest(
    (SELECT count() FROM usage_open WHERE day = {day:Date} AND app = {app:UInt32}),
    (SELECT count() FROM places_open WHERE day = {day:Date} AND app = {app:UInt32})
) AS n
