// The dashboard in Chromium, against the program itself with the demo's data: every page in every language, theme and
// width; signing in and out; keys; files; errors; and that no request leaves the host.
//
//   node dashboard/tests/dashboard.mjs             TUMAN names the program, CHROMIUM the browser
//   PICTURES=docs/pictures node ...                writes the pictures of the README too
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { after, before, test } from "node:test";
import { chromium } from "playwright-core";

const root = resolve(import.meta.dirname, "../..");
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const program = process.env.TUMAN ?? join(root, "target/debug/tuman");
const pages = ["overview", "places", "events", "connect", "data", "privacy"];
const titles = {
    en: ["Overview", "Where devices are", "Events", "Connect an app", "Data quality", "Privacy"],
    ru: ["Обзор", "Где устройства", "События", "Подключить приложение", "Качество данных", "Приватность"],
    kk: ["Шолу", "Құрылғылар қайда", "Оқиғалар", "Қосымшаны қосу", "Деректер сапасы", "Құпиялылық"],
};

const folder = mkdtempSync(join(tmpdir(), "tuman-dashboard-"));
let demo, browser, base, tokens;

before(async () => {
    const given = ["demo", "--folder", folder, "--listen", "127.0.0.1:0", "--listen-internal", "127.0.0.1:0", "--json"];
    demo = spawn(program, given, { cwd: root, stdio: ["ignore", "pipe", "inherit"] });
    const ended = new Promise((_, fail) => demo.once("exit", (code) => fail(new Error(`the demo ended with ${code}`))));
    ended.catch(() => {});
    const said = new Promise((done) => createInterface({ input: demo.stdout }).once("line", done));
    tokens = JSON.parse(await Promise.race([said, ended]));
    base = `http://${tokens.public}`;
    browser = await chromium.launch({
        executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
        // There is no user to protect in a container that runs as root.
        args: process.getuid() === 0 ? ["--no-sandbox"] : [],
    });
});

after(async () => {
    await browser?.close();
    if (demo && demo.exitCode === null) {
        demo.removeAllListeners("exit");
        demo.kill("SIGTERM");
        await new Promise((done) => demo.once("exit", done));
    }
    rmSync(folder, { recursive: true, force: true });
});

/** A browser of its own. What it asks for, and what goes wrong in it, fails the test. */
async function open({ theme = "light", width = 1200, token, allowed = [] } = {}) {
    const context = await browser.newContext({ viewport: { width, height: 900 }, colorScheme: theme, acceptDownloads: true });
    const page = await context.newPage();
    const wrong = [];
    const asked = [];
    page.on("request", (request) => asked.push(request.url()));
    page.on("pageerror", (error) => wrong.push(error.message));
    page.on("console", (message) => {
        if (message.type() === "error" && !allowed.some((text) => message.text().includes(text))) wrong.push(message.text());
    });
    if (token) await signIn(page, token);
    const close = async () => {
        await context.close();
        assert.deepEqual(wrong, []);
        assert.ok(asked.length > 0);
        const away = asked.filter((url) => !url.startsWith(`${base}/`) && !url.startsWith("blob:"));
        assert.deepEqual(away, [], "no request leaves the host");
    };
    return { context, page, close };
}

const pageOf = { officer_token: "privacy", operator_token: "data", analyst_token: "overview" };

/** Through the link that the demo prints. */
async function signIn(page, token) {
    await page.goto(`${base}/#token=${tokens[token]}`);
    await page.waitForURL((url) => url.hash.startsWith(`#/${pageOf[token]}`));
    assert.ok(!page.url().includes(tokens[token]), "the token is taken out of the address");
    await page.locator("form button").click();
    await page.locator(".sign-in").waitFor({ state: "detached" });
}

/** Until all that a page asks for is there. */
async function show(page, view, lang = "en", more = "") {
    await page.goto(`${base}/#/${view}?lang=${lang}${more}`);
    await page.locator("main h1").waitFor();
    await page.locator("[aria-busy]").first().waitFor({ state: "detached" });
    await page.waitForLoadState("networkidle");
}

async function violations(page) {
    await page.evaluate(axe);
    const found = await page.evaluate(() => globalThis.axe.run({ resultTypes: ["violations"] }));
    return found.violations.map((one) => `${one.id}: ${one.nodes.map((node) => node.html).join(" ")}`);
}

for (const [theme, width] of [["light", 1200], ["dark", 1200], ["light", 360], ["dark", 360]]) {
    test(`every page in every language, ${theme}, ${width} pixels wide`, async () => {
        for (const [view, token] of [["privacy", "officer_token"], ["data", "operator_token"], ["", ""]]) {
            const { page, close } = await open({ theme, width, token });
            for (const one of view ? [view] : ["overview", "places", "events", "connect"]) {
                for (const lang of ["en", "ru", "kk"]) {
                    await show(page, one, lang);
                    const place = `${one} ${lang} ${theme} ${width}`;
                    assert.equal(await page.locator("main h1").innerText(), titles[lang][pages.indexOf(one)], place);
                    assert.equal(await page.evaluate(() => document.documentElement.lang), lang);
                    const over = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
                    assert.ok(over <= 0, `${place}: ${over} pixels too wide`);
                    const text = await page.locator("body").innerText();
                    assert.ok(!/undefined|NaN|\{\w+\}|M1[0-2] /.test(text), `${place}: a hole in a text`);
                    if (lang === "en") assert.deepEqual(await violations(page), [], place);
                }
            }
            await close();
        }
    });
}

test("numbers are those that the collector answers", async () => {
    const { page, close } = await open();
    await show(page, "overview");
    const answer = await (await fetch(`${base}/v1/stats/activity`)).json();
    const last = answer.series.at(-1);
    await page.locator("details summary").first().click();
    const row = page.locator("figure + details table tbody tr").filter({ hasText: last.devices.toLocaleString("en-GB") });
    assert.match(await row.first().innerText(), new RegExp(`± ${Math.round(last.margin)}`));
    const hours = await (await fetch(`${base}/v1/stats/activity?period=today&interval=hour`)).json();
    const today = page.locator("section", { has: page.locator("#today") });
    if (hours.series.length === 0) {
        // Which of the two it says hangs on how early in the day the test runs.
        assert.match(await today.innerText(), /No hour of today is sealed yet|In no hour of today there were enough devices/);
    } else {
        await today.locator("details summary").click();
        const { dims, devices, margin } = hours.series.at(-1);
        const hour = (await today.locator("tbody tr").filter({ hasText: `${dims.hour}:00` }).innerText()).replaceAll("\u00a0", " ");
        assert.ok(hour.includes(devices.toLocaleString("en-GB")) && hour.includes(`± ${Math.round(margin)}`), hour);
    }
    await show(page, "events");
    const events = await (await fetch(`${base}/v1/stats/events`)).json();
    const first = page.locator("main table").first().locator("tbody tr").first();
    const { name, events: sum } = events.events[0];
    const said = (await first.innerText()).replaceAll("\u00a0", " ");
    assert.ok(said.includes(name) && said.includes(`${sum.value.toLocaleString("en-GB")} ± ${Math.round(sum.margin).toLocaleString("en-GB")}`), said);
    await close();
});

test("the map refines with its zoom, by keys alone, and parents keep their rest", async () => {
    const { page, close } = await open();
    await show(page, "places");
    const cells = page.locator("main table").first().locator("tbody th");
    assert.match(await cells.first().innerText(), /^\w{3}$/);
    await page.getByRole("application").focus();
    // Almaty lies right of the middle and below it.
    for (const key of ["ArrowRight", "ArrowRight", "ArrowRight", "ArrowDown", "ArrowDown", "+", "+", "+", "+", "+"]) await page.keyboard.press(key);
    await cells.filter({ hasText: /^\w{4}$/ }).first().waitFor();
    await cells.filter({ hasText: /^rest of \w{3}$/ }).first().waitFor();
    for (const key of ["+", "+", "+", "+"]) await page.keyboard.press(key);
    await cells.filter({ hasText: /^\w{5}$/ }).first().waitFor();
    await page.keyboard.press("0");
    await cells.filter({ hasText: /^\w{5}$/ }).first().waitFor({ state: "detached" });
    const drawn = await page.locator("canvas").evaluate((canvas) => {
        const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
        const colours = new Set();
        for (let at = 0; at < data.length; at += 4) if (data[at + 3] === 255) colours.add(`${data[at]},${data[at + 1]},${data[at + 2]}`);
        return colours.size;
    });
    assert.ok(drawn > 5, "cells of several shades are drawn");
    await close();
});

test("a chart has the colours that are chosen, at once", async () => {
    const { page, close } = await open({ theme: "light" });
    await show(page, "overview");
    const accent = () =>
        page.locator("figure canvas").first().evaluate((canvas) => {
            const probe = document.body.appendChild(document.createElement("i"));
            probe.style.color = "var(--accent)";
            const wanted = getComputedStyle(probe).color.match(/\d+/g).map(Number);
            probe.remove();
            const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
            let found = 0;
            for (let at = 0; at < data.length; at += 4) if (wanted.every((part, channel) => data[at + channel] === part)) found += 1;
            return { wanted: wanted.join(), found };
        });
    const light = await accent();
    await page.locator("footer select").selectOption("dark");
    await page.waitForFunction(() => document.documentElement.dataset.theme === "dark");
    const dark = await accent();
    assert.notEqual(dark.wanted, light.wanted);
    assert.ok(light.found > 50 && dark.found > 50, JSON.stringify({ light, dark }));
    await close();
});

test("what is seen can be saved", async () => {
    const { page, close } = await open();
    await show(page, "places", "en", "&precision=4");
    const save = async (button) => {
        const [file] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name: button }).first().click()]);
        return readFileSync(await file.path(), "utf8");
    };
    const map = JSON.parse(await save("Save as GeoJSON"));
    assert.deepEqual(map, await (await fetch(`${base}/v1/stats/places.geojson?precision=4`)).json());
    const rows = (await save("Save as CSV")).trim().split("\r\n");
    assert.equal(rows[0], "cell,is_rest,lat,lon,devices_per_day,margin,days_published");
    assert.ok(rows.slice(1).every((row) => /^\w{3,4},(true|false),[\d.]+,[\d.]+,-?[\d.]+,[\d.]+,\d+$/.test(row)), rows[1]);
    await close();
});

test("the address holds what is looked at", async () => {
    const { page, close } = await open();
    await show(page, "events", "ru", "&period=last_7_days&release=event_devices&theme=dark");
    const choice = (name) => page.locator("main label", { hasText: new RegExp(`^\\s*${name}\\s`) }).locator("select");
    const chosen = (name) => choice(name).inputValue();
    assert.equal(await chosen("Период"), "last_7_days");
    assert.equal(await chosen("Показать"), "event_devices");
    assert.equal(await page.evaluate(() => document.documentElement.dataset.theme), "dark");
    await choice("Период").selectOption("last_30_days");
    await page.waitForURL(/period=last_30_days/);
    assert.match(page.url(), /release=event_devices/);
    await page.goBack();
    await page.waitForURL(/period=last_7_days/);
    // The address changes before the page does.
    await page.waitForFunction(() => [...document.querySelectorAll("main select")].some((choice) => choice.value === "last_7_days"));
    assert.equal(await chosen("Период"), "last_7_days");
    await close();
});

test("the keyboard reaches everything, the content first", async () => {
    const { page, close } = await open();
    await show(page, "overview");
    await page.keyboard.press("Tab");
    assert.equal(await page.evaluate(() => document.activeElement.className), "skip");
    await page.keyboard.press("Enter");
    assert.equal(await page.evaluate(() => document.activeElement.id), "content");
    await page.locator("nav.pages a", { hasText: "Places" }).focus();
    await page.keyboard.press("Enter");
    await page.getByRole("application").waitFor();
    const reached = new Set();
    for (let step = 0; step < 60; step++) {
        await page.keyboard.press("Tab");
        reached.add(await page.evaluate(() => document.activeElement.getAttribute("role") ?? document.activeElement.tagName));
    }
    for (const kind of ["application", "BUTTON", "SELECT", "group", "SUMMARY", "A"]) assert.ok(reached.has(kind), kind);
    await close();
});

test("a wrong token is refused, a right one opens its pages and no others", async () => {
    const { context, page, close } = await open({ allowed: ["401"] });
    await show(page, "privacy");
    const form = async (token) => {
        await page.getByLabel("Token").fill(token);
        await page.getByRole("button", { name: "Sign in" }).click();
    };
    await form(`tkf_${"0".repeat(64)}`);
    await page.getByRole("alert").waitFor();
    const refused = await page.getByRole("alert").innerText();
    await form(tokens.app_key);
    await page.locator("#token:not(:disabled)").waitFor();
    assert.equal(await page.getByRole("alert").innerText(), refused, "an app's key is refused in the same words");
    assert.deepEqual(await violations(page), []);
    await form(tokens.officer_token);
    await page.getByRole("heading", { name: "Audit log" }).waitFor();
    assert.match(await page.locator("main").innerText(), /The chain is whole: \d+ entries/);
    const [cookie] = await context.cookies(`${base}/v1/session`);
    assert.deepEqual([cookie.name, cookie.httpOnly, cookie.sameSite, cookie.path], ["tuman_session", true, "Strict", "/v1"]);
    assert.equal(await page.evaluate(() => document.cookie + JSON.stringify(localStorage) + JSON.stringify(sessionStorage)), "{}{}");
    await show(page, "data");
    await page.getByRole("heading", { name: "Sign in" }).waitFor();
    await page.getByRole("button", { name: "Sign out" }).click();
    await show(page, "privacy");
    await page.getByRole("heading", { name: "Sign in" }).waitFor();
    await close();
});

test("a preview shows what would become of a report", async () => {
    const { page, close } = await open();
    await show(page, "connect");
    await page.getByLabel("App key").fill(tokens.app_key);
    await page.getByRole("button", { name: "Preview" }).click();
    await page.getByText("The collector would answer 202").waitFor();
    const hashed = page.locator("tr", { hasText: "/device/ids/0/value" });
    assert.match(await hashed.innerText(), /hashed/);
    await close();
});

test("where there is no answer the page says what to do, and goes on", async () => {
    const { page, close } = await open({ allowed: ["ERR_FAILED", "503"] });
    await page.route("**/v1/stats/**", (route) => route.abort());
    await page.goto(`${base}/#/overview?lang=en`);
    await page.getByText("The collector cannot be reached").waitFor();
    await page.unroute("**/v1/stats/**");
    const body = JSON.stringify({ code: "store_unavailable", status: 503 });
    await page.route("**/v1/stats/**", (route) => route.fulfill({ status: 503, contentType: "application/problem+json", body }));
    await page.getByRole("button", { name: "Try again" }).click();
    await page.getByText("The store does not answer").waitFor();
    await page.unroute("**/v1/stats/**");
    await page.getByRole("button", { name: "Try again" }).click();
    await page.getByRole("heading", { name: "Active devices" }).waitFor();
    await close();
});

test("before the first seal the page says what to do", async () => {
    const { page, close } = await open();
    await page.route("**/v1/stats/**", async (route) => {
        const answer = await (await route.fetch()).json();
        const fresh = { sealed_through: null, sealed_days: 0, missing_days: [] };
        const empty = { series: [], events: [], cells: [], values: [], sums: [], numbers: [], releases: [], suppressed: [], region: null };
        const kept = Object.fromEntries(Object.keys(answer).map((key) => [key, key in empty ? empty[key] : answer[key]]));
        await route.fulfill({ json: { ...kept, fresh } });
    });
    for (const view of ["overview", "places", "events"]) {
        await show(page, view);
        await page.getByRole("heading", { name: "Nothing is sealed in this period yet" }).waitFor();
        await page.getByRole("main").getByRole("link", { name: "Connect an app" }).waitFor();
        assert.deepEqual(await violations(page), []);
    }
    await close();
});

test("the first page is under 300 kB, and scripts run by the policy", async () => {
    const { page, close } = await open();
    const wire = await page.context().newCDPSession(page);
    await wire.send("Network.enable");
    let bytes = 0;
    wire.on("Network.loadingFinished", (loaded) => (bytes += loaded.encodedDataLength));
    const response = await page.goto(`${base}/`);
    await page.locator("canvas").first().waitFor();
    await page.waitForLoadState("networkidle");
    console.log(`the first page, with its answers: ${Math.round(bytes / 1000)} kB`);
    assert.ok(bytes > 10_000 && bytes < 300_000, `${bytes} bytes`);
    const policy = response.headers()["content-security-policy"];
    assert.ok(policy.includes("default-src 'none'") && !policy.includes("unsafe"), policy);
    assert.equal(await page.evaluate(() => document.querySelectorAll("[style*='url'], script:not([src])").length), 0);
    await close();
});

// No test: pictures are taken where they are asked for.
if (process.env.PICTURES) test("pictures", async () => {
    const pictures = resolve(process.env.PICTURES);
    for (const [view, lang, theme, width, more, token] of [
        ["overview", "en", "light", 1100, "", undefined],
        ["places", "ru", "dark", 1100, "", undefined],
        ["privacy", "kk", "light", 1100, "", "officer_token"],
    ]) {
        const { page, close } = await open({ theme, width, token });
        await show(page, view, lang, more);
        await page.screenshot({ path: join(pictures, `${view}.png`) });
        await close();
    }
});
