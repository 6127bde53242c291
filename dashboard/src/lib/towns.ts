// Towns for orientation. Data: GeoNames, CC BY 4.0; the table says where it comes from.
import { box } from "./geohash";
import table from "../../../src/demo/cities.tsv?raw";

export interface Town {
    name: string;
    lat: number;
    lon: number;
    population: number;
}

export const towns: Town[] = table
    .split("\n")
    .filter((line) => line !== "" && !line.startsWith("#"))
    .map((line) => line.split("\t"))
    .map(([, name, lat, lon, population]) => ({ name: name ?? "", lat: Number(lat), lon: Number(lon), population: Number(population) }))
    .sort((a, b) => b.population - a.population);

/** Further away, a town says nothing of a place. */
const farthestKm = 200;

const kmBetween = (lat: number, lon: number, town: Town) => {
    const north = (town.lat - lat) * 111.2;
    const east = (town.lon - lon) * 111.2 * Math.cos((lat * Math.PI) / 180);
    return Math.hypot(north, east);
};

/** The largest town in a cell, else the one nearest to its middle. */
export function townNear(cell: string): string {
    const { west, south, east, north } = box(cell);
    const [lat, lon] = [(south + north) / 2, (west + east) / 2];
    const inside = towns.find((town) => town.lon >= west && town.lon < east && town.lat >= south && town.lat < north);
    if (inside) return inside.name;
    let nearest: Town | undefined;
    for (const town of towns) if (!nearest || kmBetween(lat, lon, town) < kmBetween(lat, lon, nearest)) nearest = town;
    return nearest && kmBetween(lat, lon, nearest) <= farthestKm ? nearest.name : "";
}
