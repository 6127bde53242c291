// What is seen, as a file: with a full stop and no grouping, whatever the language.
export type Row = (string | number | null | undefined)[];

const cell = (value: Row[number]) => {
    if (value === null || value === undefined) return "";
    const text = String(value);
    // A spreadsheet takes what begins like this for a formula.
    const safe = typeof value === "string" && /^[=+@\t-]/.test(text) ? `'${text}` : text;
    return /[",\n\r]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
};

export const csv = (rows: Row[]) => rows.map((row) => row.map(cell).join(",") + "\r\n").join("");

export function download(name: string, content: string, type = "text/csv"): void {
    const address = URL.createObjectURL(new Blob([content], { type }));
    const anchor = document.createElement("a");
    anchor.href = address;
    anchor.download = name;
    anchor.click();
    URL.revokeObjectURL(address);
}
