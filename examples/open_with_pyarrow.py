"""Opens a package of `tuman export --format arrow --folder FOLDER` with pyarrow, without a copy.

    python open_with_pyarrow.py FOLDER
"""

import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

path = Path(sys.argv[1]) / "releases" / "region.arrow"
with pa.memory_map(str(path)) as source:
    region = pa.ipc.open_file(source).read_all()
for field in region.schema:
    print(f"{field.name}: {field.type} - {field.metadata[b'description'].decode()}")
margin = pc.sum(pc.power(region["margin"], 2)).as_py() ** 0.5
print(f"region: {pc.sum(region['value']).as_py()} +- {margin:.4f} device-days on {region.num_rows} days")
