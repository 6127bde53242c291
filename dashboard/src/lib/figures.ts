// Sums of values and margins. A margin of independent values grows with the root of the sum of squares.
import type { Point } from "./Chart.svelte";
import { shifted } from "./format";

export interface Value {
    value: number;
    margin: number;
}

export const sum = (values: Value[]): Value => ({
    value: values.reduce((total, one) => total + one.value, 0),
    margin: Math.hypot(...values.map((one) => one.margin)),
});

export const mean = (values: Value[]): Value | undefined => {
    if (values.length === 0) return undefined;
    const total = sum(values);
    return { value: total.value / values.length, margin: total.margin / values.length };
};

/** The change from one value to another, as a share, with its margin. None where the first may be nothing. */
export function change(before: Value | undefined, after: Value | undefined): Value | undefined {
    if (!before || !after || before.value <= before.margin) return undefined;
    const ratio = after.value / before.value;
    return { value: ratio - 1, margin: Math.hypot(after.margin, ratio * before.margin) / before.value };
}

/** A change that the noise alone could have made is none to speak of. */
export const isClear = (value: Value) => Math.abs(value.value) > value.margin;

/** A value for each day of a period, summed where a day has several. */
export function byDay(from: string, length: number, values: (Value & { day: string })[]): Point[] {
    return Array.from({ length }, (_, at) => {
        const day = shifted(from, at);
        const those = values.filter((one) => one.day === day);
        const total = sum(those);
        return { day, value: those.length === 0 ? null : total.value, margin: total.margin };
    });
}
