// Cells of three sizes in one picture: the finest that is asked for, and what is left of their parents.
import type { Cell, Places } from "./api";
import { sum, type Value } from "./figures";

export type Precision = 3 | 4 | 5;
export type Levels = Record<Precision, Places>;

export interface Shown extends Value {
    cell: string;
    lat: number;
    lon: number;
    /** On so many days of the period it was published. */
    days: number;
    /** What a parent has beside its published children. */
    isRest: boolean;
}

/**
 * Devices on a day of the period: a day on which a cell was not published counts as none of it, and its devices are in
 * what is left of the parent. So that a cell of few published days says less than there were.
 */
const daily = (cell: Cell, days: number): Shown => ({
    cell: cell.cell,
    lat: cell.lat,
    lon: cell.lon,
    days: cell.days,
    value: cell.device_days / days,
    margin: cell.margin / days,
    isRest: false,
});

function minus(whole: Value, parts: Value[]): Value {
    const total = sum(parts);
    return { value: whole.value - total.value, margin: Math.hypot(whole.margin, total.margin) };
}

/** What is drawn at a size: parents' remainders first, so that smaller cells lie over them. */
export function shown(levels: Levels, precision: Precision): Shown[] {
    const days = Math.max(1, levels[3].fresh.sealed_days);
    const all: Shown[] = [];
    for (let size = 3; size < precision; size++) {
        const children = levels[(size + 1) as Precision].cells;
        for (const parent of levels[size as Precision].cells) {
            const inside = children.filter((child) => child.cell.startsWith(parent.cell)).map((child) => daily(child, days));
            const whole = daily(parent, days);
            all.push({ ...whole, ...minus(whole, inside), isRest: inside.length > 0 });
        }
    }
    return [...all, ...levels[precision].cells.map((cell) => daily(cell, days))];
}

export function region(levels: Levels): Value | undefined {
    const whole = levels[3].region;
    const days = Math.max(1, levels[3].fresh.sealed_days);
    return whole ? { value: whole.device_days / days, margin: whole.margin / days } : undefined;
}

/** What the region has beside its published cells. */
export function elsewhere(levels: Levels): Value | undefined {
    const whole = region(levels);
    const days = Math.max(1, levels[3].fresh.sealed_days);
    return whole ? minus(whole, levels[3].cells.map((cell) => daily(cell, days))) : undefined;
}

/** Four round thresholds below the largest value, for five shades. */
export function thresholds(values: number[]): number[] {
    const most = Math.max(0, ...values);
    const round: number[] = [];
    for (let power = 1; power <= most; power *= 10) for (const digit of [1, 2, 5]) if (digit * power <= most) round.push(digit * power);
    return round.slice(-4);
}

export const shade = (value: number, steps: number[]) => steps.filter((step) => value >= step).length;
