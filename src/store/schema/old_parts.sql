-- Parts of days that were replaced and are still on disk, with rows.
SELECT name FROM system.parts
WHERE database = currentDatabase() AND table = {table:String} AND NOT active AND rows > 0
  AND has({partitions:Array(String)}, partition_id)
