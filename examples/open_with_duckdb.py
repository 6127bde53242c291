"""Opens a package of `tuman export --format parquet --folder FOLDER` with DuckDB.

    python open_with_duckdb.py FOLDER

The statements work as they are in the `duckdb` command, too.
"""

import sys
from pathlib import Path

import duckdb

releases = Path(sys.argv[1]) / "releases"
print(
    duckdb.sql(
        f"""
        SELECT cell, any_value(lat) AS lat, any_value(lon) AS lon, sum(value) AS device_days,
               round(sqrt(sum(margin ** 2)), 1) AS margin
        FROM '{releases}/places_4.parquet'
        GROUP BY cell
        ORDER BY device_days DESC
        LIMIT 5
        """
    )
)
value, margin, days = duckdb.sql(
    f"SELECT sum(value), sqrt(sum(margin ** 2)), count(*) FROM '{releases}/region.parquet'"
).fetchall()[0]
print(f"region: {value} +- {margin:.4f} device-days on {days} days")
