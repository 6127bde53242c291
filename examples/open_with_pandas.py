"""Opens a package of `tuman export --format csv --folder FOLDER` with pandas.

    python open_with_pandas.py FOLDER
"""

import json
import sys
from pathlib import Path

import pandas as pd

folder = Path(sys.argv[1])
package = json.loads((folder / "datapackage.json").read_text())
print(package["title"], "- epsilon a day:", package["epsilon"]["day"])


def read(release):
    # Values are text in a CSV: say what a column is where pandas would guess.
    return pd.read_csv(folder / "releases" / f"{release}.csv", parse_dates=["date"], dtype={"breakdown": "string"})


# Values of different breakdowns overlap: choose one.
active = read("active_devices")
by_platform = active[active["breakdown"] == "platform"]
print(by_platform.pivot_table(index="date", columns="platform", values="value"))

# Days add up; their margins do as the root of the sum of squares.
region = read("region")
margin = (region["margin"] ** 2).sum() ** 0.5
print(f"region: {region['value'].sum()} +- {margin:.4f} device-days on {len(region)} days")
