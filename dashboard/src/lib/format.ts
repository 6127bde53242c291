// Numbers and dates as the reader's language writes them.
//
// Chromium brings no Kazakh: `Intl` would write M11 in place of a month. Kazakh writes numbers as Russian does, and its
// months stand here.
import { view } from "./state.svelte";
import type { Plural } from "./texts";

const tag = () => ({ en: "en-GB", ru: "ru-RU", kk: "ru-RU" })[view.lang];
const months = ["қаңтар", "ақпан", "наурыз", "сәуір", "мамыр", "маусым", "шілде", "тамыз", "қыркүйек", "қазан", "қараша", "желтоқсан"];
const shortMonths = ["қаң.", "ақп.", "нау.", "сәу.", "мам.", "мау.", "шіл.", "там.", "қыр.", "қаз.", "қар.", "жел."];

export const number = (value: number, digits = 0) =>
    new Intl.NumberFormat(tag(), { maximumFractionDigits: digits }).format(value);

/** A count as people read it: noise can take it below zero. */
export const count = (value: number) => number(Math.max(0, Math.round(value)));

export const withMargin = (value: number, margin: number) => `${count(value)}\u00a0±\u00a0${count(margin)}`;

export const percent = (share: number, signed = false) =>
    new Intl.NumberFormat(tag(), {
        style: "percent",
        maximumFractionDigits: 1,
        signDisplay: signed ? "exceptZero" : "auto",
    }).format(share);

/** A local day of the collector: no zone of the reader comes in. */
const day = (text: string) => new Date(`${text}T00:00:00Z`);
const written = (at: Date, form: Intl.DateTimeFormatOptions) => new Intl.DateTimeFormat(tag(), { timeZone: "UTC", ...form }).format(at);
const inKazakh = (at: Date, names: string[]) => `${at.getUTCDate()} ${names[at.getUTCMonth()]}`;

export function date(text: string): string {
    const at = day(text);
    if (view.lang === "kk") return `${at.getUTCFullYear()} ж. ${inKazakh(at, months)}`;
    return written(at, { day: "numeric", month: "long", year: "numeric" });
}

export function shortDate(text: string): string {
    return view.lang === "kk" ? inKazakh(day(text), shortMonths) : written(day(text), { day: "numeric", month: "short" });
}

export function range(from: string, to: string): string {
    if (view.lang === "kk") return `${shortDate(from)} – ${shortDate(to)} ${day(to).getUTCFullYear()}`;
    const form = new Intl.DateTimeFormat(tag(), { day: "numeric", month: "short", year: "numeric", timeZone: "UTC" });
    return form.formatRange(day(from), day(to));
}

/** A moment, as the clocks of the collector's zone show it. */
export function moment(text: string, zone: string): string {
    const at = new Date(text);
    if (view.lang !== "kk") return written(at, { dateStyle: "medium", timeStyle: "short", timeZone: zone });
    // The Swedish form is that of ISO 8601.
    const local = new Intl.DateTimeFormat("sv-SE", { dateStyle: "short", timeStyle: "short", timeZone: zone }).format(at);
    const [on, time] = local.split(" ");
    return `${shortDate(on ?? "")} ${(on ?? "").slice(0, 4)}, ${time}`;
}

/** Kazakh counts as Turkish does: one, and any other number. */
export const plural = (value: number, forms: Plural) => {
    const rule = new Intl.PluralRules(view.lang === "kk" ? "tr" : tag()).select(value);
    const form = forms[rule === "two" || rule === "zero" ? "other" : rule] ?? forms.other;
    return form.replace("{n}", number(value));
};

/** Fills `{name}` in a text. */
export const fill = (text: string, values: Record<string, string>) =>
    // A text that ends in an abbreviation brings its full stop along.
    text.replace(/\{(\w+)\}/g, (whole, name: string) => values[name] ?? whole).replaceAll("..", ".");

/** The day that is so many days after another. */
export const shifted = (text: string, days: number) =>
    new Date(day(text).getTime() + days * 86_400_000).toISOString().slice(0, 10);

/** Both ends counted. */
export const daysBetween = (from: string, to: string) =>
    Math.round((day(to).getTime() - day(from).getTime()) / 86_400_000) + 1;
