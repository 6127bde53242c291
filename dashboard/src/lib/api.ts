// Asks the collector. Types are those of its OpenAPI document; nothing is asked of another host.
import type { components, paths } from "./schema";

export type Schemas = components["schemas"];
export type Session = Schemas["Session"];
export type Activity = Schemas["Activity"];
export type Events = Schemas["Events"];
export type Places = Schemas["Places"];
export type Cell = Schemas["Cell"];
export type Release = Schemas["ReleaseValues"];
export type Ledger = Schemas["Ledger"];
export type Preview = Schemas["Preview"];
export type Made = Pick<Activity, "fresh" | "releases" | "suppressed" | "period">;

/** The paths that answer a GET with JSON. */
type Asked = {
    [Path in keyof paths]: paths[Path] extends {
        get: { responses: { 200: { content: { "application/json": infer Answer } } } };
    }
        ? Answer
        : never;
};

/** Why there is no answer: the collector's stable code, or `offline`. */
export class Failure extends Error {
    constructor(
        readonly code: string,
        readonly status: number,
    ) {
        super(code);
    }
}

/** What went wrong, for people. */
export function said(error: unknown, texts: Record<(typeof told)[number] | "unknown", string>): string {
    const code = error instanceof Failure ? told.find((one) => one === error.code) : undefined;
    // Also where a part of the page is not there any more, since a newer version runs: it is loaded anew.
    return texts[code ?? "unknown"];
}
const told = ["offline", "unauthorized", "rate_limited", "store_unavailable", "invalid_query"] as const;

async function send(path: string, init: RequestInit = {}): Promise<Response> {
    let response: Response;
    try {
        response = await fetch(path, { credentials: "same-origin", redirect: "error", ...init });
    } catch {
        throw new Failure("offline", 0);
    }
    if (response.ok) return response;
    const problem: unknown = await response.json().catch(() => null);
    const code = problem && typeof problem === "object" && "code" in problem ? String(problem.code) : "internal";
    throw new Failure(code, response.status);
}

/** Asks a path of the document. */
export async function ask<Path extends keyof Asked>(
    path: Path,
    query: Record<string, string | undefined> = {},
    name?: string,
): Promise<Asked[Path]> {
    const given = Object.entries(query).filter((pair): pair is [string, string] => pair[1] !== undefined);
    const search = given.length > 0 ? `?${new URLSearchParams(given)}` : "";
    const answer = await send(path.replace("{name}", encodeURIComponent(name ?? "")) + search);
    return (await answer.json()) as Asked[Path];
}

export async function signIn(token: string): Promise<Session> {
    const headers = { "Content-Type": "application/json" };
    const answer = await send("/v1/session", { method: "POST", headers, body: JSON.stringify({ token }) });
    return (await answer.json()) as Session;
}

export async function signOut(): Promise<void> {
    await send("/v1/session", { method: "DELETE" });
}

/** Asks what would become of a report. The key goes into this request and nowhere else. */
export async function preview(key: string, report: string): Promise<Preview> {
    const headers = { "Content-Type": "application/json", Authorization: `Bearer ${key}` };
    const answer = await send("/v1/collect/preview", { method: "POST", headers, body: report, credentials: "omit" });
    return (await answer.json()) as Preview;
}
