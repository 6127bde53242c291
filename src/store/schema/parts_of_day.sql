-- Parts of a partition that are still on disk, with rows, whether or not a question can still see them.
SELECT
    (SELECT count() FROM system.parts
     WHERE database = currentDatabase() AND table = {table:String} AND partition_id = {partition:String} AND rows > 0)
  + (SELECT count() FROM system.detached_parts
     WHERE database = currentDatabase() AND table = {table:String} AND partition_id = {partition:String})
    AS parts;
