// The map: cells, borders and towns on a canvas. Cells are rectangles of degrees, so that a plain projection with true
// shapes at the middle of the region does; no tile is asked for anywhere.
import { mesh } from "topojson-client";
import type { GeometryCollection, Topology } from "topojson-specification";
import borders from "world-atlas/countries-50m.json?url";
import { colour } from "./colours.svelte";
import { box, type Box } from "./geohash";
import { shade, type Precision, type Shown } from "./levels";
import { towns } from "./towns";

type Line = [number, number][];

/** Borders and coasts of the world. Loaded with the map, from this host. */
export async function outlines(): Promise<Line[]> {
    // Without them the cells and towns are there all the same.
    const answer = await fetch(borders, { redirect: "error" }).catch(() => undefined);
    if (!answer?.ok) return [];
    const world = (await answer.json()) as Topology<{ countries: GeometryCollection }>;
    return mesh(world, world.objects.countries).coordinates as Line[];
}

export interface Frame {
    lon: number;
    lat: number;
    /** Pixels of a degree of latitude. */
    scale: number;
}

const widthOf: Record<Precision, number> = { 3: 360 / 2 ** 8, 4: 360 / 2 ** 10, 5: 360 / 2 ** 13 };

/** The smallest cells that can be told apart at a scale. */
export function fitting(frame: Frame): Precision {
    const perDegree = frame.scale * Math.cos((frame.lat * Math.PI) / 180);
    if (widthOf[5] * perDegree >= 4) return 5;
    return widthOf[4] * perDegree >= 8 ? 4 : 3;
}

/** A frame that holds a box. */
export function around([west, south, east, north]: [number, number, number, number], width: number, height: number): Frame {
    const lat = (south + north) / 2;
    const shrunk = Math.cos((lat * Math.PI) / 180);
    return { lon: (west + east) / 2, lat, scale: Math.min(width / ((east - west) * shrunk), height / (north - south)) };
}

/** A frame that was moved by pixels. */
export function moved(frame: Frame, x: number, y: number): Frame {
    const shrunk = Math.cos((frame.lat * Math.PI) / 180);
    const lat = Math.min(80, Math.max(-80, frame.lat + y / frame.scale));
    return { ...frame, lon: Math.min(180, Math.max(-180, frame.lon - x / (frame.scale * shrunk))), lat };
}

/** A frame that was zoomed, with one point of the picture kept in its place. */
export function zoomed(frame: Frame, factor: number, x: number, y: number): Frame {
    const scale = Math.min(20_000, Math.max(6, frame.scale * factor));
    const real = scale / frame.scale;
    return moved({ ...frame, scale }, x * (1 - real), y * (1 - real));
}

interface Projected {
    x: number;
    y: number;
    width: number;
    height: number;
}

/** From degrees to pixels of a picture of this size. */
function projection(frame: Frame, width: number, height: number) {
    const perDegree = frame.scale * Math.cos((frame.lat * Math.PI) / 180);
    const x = (lon: number) => width / 2 + (lon - frame.lon) * perDegree;
    const y = (lat: number) => height / 2 - (lat - frame.lat) * frame.scale;
    const rectangle = (cell: Box): Projected => ({
        x: x(cell.west),
        y: y(cell.north),
        width: x(cell.east) - x(cell.west),
        height: y(cell.south) - y(cell.north),
    });
    return { x, y, rectangle };
}

/** The cell under a point; the smallest, where one lies over another. */
export function cellAt(cells: Shown[], frame: Frame, width: number, height: number, x: number, y: number): Shown | undefined {
    const { rectangle } = projection(frame, width, height);
    return cells.findLast((one) => {
        const place = rectangle(box(one.cell));
        return x >= place.x && x < place.x + place.width && y >= place.y && y < place.y + place.height;
    });
}

export function draw(canvas: HTMLCanvasElement, frame: Frame, cells: Shown[], steps: number[], lines: Line[]): void {
    const brush = canvas.getContext("2d");
    if (!brush) return;
    const [width, height] = [canvas.clientWidth, canvas.clientHeight];
    const ratio = devicePixelRatio || 1;
    if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
        canvas.width = Math.round(width * ratio);
        canvas.height = Math.round(height * ratio);
    }
    brush.setTransform(ratio, 0, 0, ratio, 0, 0);
    const shades = [0, 1, 2, 3, 4].map((at) => colour(`--shade-${at}`));
    const at = projection(frame, width, height);
    brush.clearRect(0, 0, width, height);
    for (const one of cells) {
        const place = at.rectangle(box(one.cell));
        if (place.x > width || place.y > height || place.x + place.width < 0 || place.y + place.height < 0) continue;
        // What the noise alone could be is not shown as something.
        if (one.isRest && one.value <= one.margin) continue;
        brush.fillStyle = shades[shade(one.value, steps)] ?? "";
        if (one.isRest) hatch(brush, place, width, height);
        else brush.fillRect(place.x, place.y, Math.max(2, place.width - 0.5), Math.max(2, place.height - 0.5));
    }
    brush.strokeStyle = colour("--quiet");
    brush.lineWidth = 1;
    brush.beginPath();
    for (const line of lines) stroke(brush, line, at, width, height);
    brush.stroke();
    label(brush, at, frame, colour("--text"), colour("--halo"), width, height);
}

/** Stripes: seen as other than a fill also without colours. */
function hatch(brush: CanvasRenderingContext2D, place: Projected, width: number, height: number): void {
    brush.save();
    brush.beginPath();
    brush.rect(place.x, place.y, place.width, place.height);
    brush.clip();
    brush.strokeStyle = brush.fillStyle;
    brush.lineWidth = 2;
    brush.strokeRect(place.x, place.y, place.width, place.height);
    brush.lineWidth = 1.5;
    brush.beginPath();
    const [left, right] = [Math.max(0, place.x), Math.min(width, place.x + place.width)];
    const [top, bottom] = [Math.max(0, place.y), Math.min(height, place.y + place.height)];
    // Along x + y, so that the stripes of neighbours meet and stay where they are while the map moves.
    for (let along = Math.ceil((left + top) / 7) * 7; along < right + bottom; along += 7) {
        brush.moveTo(along - top, top);
        brush.lineTo(along - bottom, bottom);
    }
    brush.stroke();
    brush.restore();
}

function stroke(brush: CanvasRenderingContext2D, line: Line, at: ReturnType<typeof projection>, width: number, height: number): void {
    let isDown = false;
    for (const [lon, lat] of line) {
        const [x, y] = [at.x(lon), at.y(lat)];
        const isNear = x > -width && x < 2 * width && y > -height && y < 2 * height;
        if (isNear && isDown) brush.lineTo(x, y);
        else if (isNear) brush.moveTo(x, y);
        isDown = isNear;
    }
}

/** Names of towns, the largest first, where there is room. */
function label(brush: CanvasRenderingContext2D, at: ReturnType<typeof projection>, frame: Frame, text: string, halo: string, width: number, height: number): void {
    brush.font = "13px system-ui, sans-serif";
    brush.textBaseline = "middle";
    brush.lineWidth = 3;
    brush.lineJoin = "round";
    const least = frame.scale > 300 ? 0 : frame.scale > 90 ? 40_000 : 200_000;
    const taken: Projected[] = [];
    for (const town of towns) {
        if (town.population < least) break;
        const [x, y] = [at.x(town.lon), at.y(town.lat)];
        if (x < 0 || y < 0 || x > width || y > height) continue;
        const place = { x: x + 5, y: y - 8, width: brush.measureText(town.name).width + 4, height: 16 };
        const isFree = taken.every(
            (other) => place.x > other.x + other.width || other.x > place.x + place.width || place.y > other.y + other.height || other.y > place.y + place.height,
        );
        if (!isFree || place.x + place.width > width) continue;
        taken.push(place);
        brush.strokeStyle = halo;
        brush.fillStyle = text;
        brush.beginPath();
        brush.arc(x, y, 2, 0, 2 * Math.PI);
        brush.stroke();
        brush.fill();
        brush.strokeText(town.name, place.x, y);
        brush.fillText(town.name, place.x, y);
    }
}
