// Sums of values and margins. A margin of independent values grows with the root of the sum of squares.
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
    const relative = Math.hypot(after.margin / after.value, before.margin / before.value);
    return { value: ratio - 1, margin: Math.abs(ratio) * relative };
}

/** A change that the noise alone could have made is none to speak of. */
export const isClear = (value: Value) => Math.abs(value.value) > value.margin;
