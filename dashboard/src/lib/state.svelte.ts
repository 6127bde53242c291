// What is looked at: it stands in the address, behind the `#`, so that a link shows the same and no server is told.
import type { Session } from "./api";
import { languages, type Language } from "./texts";

export const pages = ["overview", "places", "events", "connect", "data", "privacy"] as const;
export type Page = (typeof pages)[number];
export const periods = ["last_7_days", "last_30_days", "last_90_days"] as const;
export const themes = ["auto", "light", "dark"] as const;

export interface View {
    page: Page;
    app: string | undefined;
    period: (typeof periods)[number];
    lang: Language;
    theme: (typeof themes)[number];
    /** Of places: characters of a cell; by the zoom where it is none. */
    precision: string | undefined;
    /** Of events: the release that is shown. */
    release: string | undefined;
}

function one<T extends string>(all: readonly T[], text: string | null, otherwise: T): T {
    return all.find((word) => word === text) ?? otherwise;
}

function spoken(): Language {
    const asked = navigator.languages.map((tag) => tag.slice(0, 2).toLowerCase());
    return languages.find((language) => language === asked.find((code) => languages.includes(code as Language))) ?? "en";
}

function read(): View {
    const [path, query] = location.hash.replace(/^#\/?/, "").split("?");
    const given = new URLSearchParams(query ?? "");
    return {
        page: one(pages, path ?? null, "overview"),
        app: given.get("app") ?? undefined,
        period: one(periods, given.get("period"), "last_30_days"),
        lang: one(languages, given.get("lang"), spoken()),
        theme: one(themes, given.get("theme"), "auto"),
        precision: one(["3", "4", "5", ""], given.get("precision"), "") || undefined,
        release: given.get("release") ?? undefined,
    };
}

export const view: View = $state(read());

/**
 * A token that came with the address, such as the demo's: it is taken out of it, and waits in the form of the page that
 * it is for. It is not sent before somebody says so: a link of a stranger must not sign anyone in.
 */
export const offered = $state({ token: "" });

function look(): void {
    const found = /^#token=(tk([rof])_[0-9a-f]{64})$/.exec(location.hash);
    if (!found) {
        Object.assign(view, read());
        return;
    }
    offered.token = found[1] ?? "";
    view.page = found[2] === "f" ? "privacy" : found[2] === "o" ? "data" : "overview";
    history.replaceState(null, "", link({}));
}
look();
addEventListener("hashchange", look);

/** The address of a view that differs from this one. */
export function link(change: Partial<View>): string {
    const next = { ...view, ...change };
    const query = new URLSearchParams();
    for (const name of ["app", "period", "lang", "theme", "precision", "release"] as const) {
        const value = next[name];
        if (value !== undefined) query.set(name, value);
    }
    return `#/${next.page}?${query}`;
}

export function go(change: Partial<View>): void {
    location.hash = link(change);
}

/** Who is signed in; none until the collector has said. */
export const known: { session: Session | undefined } = $state({ session: undefined });
