// Cells: geohashes, as rectangles of degrees.
const alphabet = "0123456789bcdefghjkmnpqrstuvwxyz";

export interface Box {
    west: number;
    south: number;
    east: number;
    north: number;
}

export function box(cell: string): Box {
    let [west, east, south, north] = [-180, 180, -90, 90];
    let isLongitude = true;
    for (const letter of cell) {
        const value = alphabet.indexOf(letter);
        for (let bit = 16; bit >= 1; bit /= 2) {
            const isUpper = (value & bit) !== 0;
            if (isLongitude) {
                const middle = (west + east) / 2;
                if (isUpper) west = middle;
                else east = middle;
            } else {
                const middle = (south + north) / 2;
                if (isUpper) south = middle;
                else north = middle;
            }
            isLongitude = !isLongitude;
        }
    }
    return { west, south, east, north };
}
