// Leaves each built file in two compressed forms, which the program embeds, and says how large the first page is.
import { readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";

const dist = new URL("../dist/", import.meta.url).pathname;
const most = 300_000;

const built = [...readdirSync(dist), ...readdirSync(join(dist, "assets")).map((name) => join("assets", name))];
const manifest = readFileSync(join(dist, "index.html"), "utf8");
// What earlier builds left goes: a name is of this build where it has its plain form.
for (const name of built.filter((name) => /\.(br|gz)$/.test(name))) rmSync(join(dist, name));
let first = 0;
for (const name of built.filter((name) => /\.(html|js|css|json|svg)$/.test(name))) {
    const content = readFileSync(join(dist, name));
    const gz = gzipSync(content, { level: 9 });
    const br = brotliCompressSync(content, { params: { [constants.BROTLI_PARAM_QUALITY]: 11 } });
    writeFileSync(join(dist, `${name}.gz`), gz);
    writeFileSync(join(dist, `${name}.br`), br);
    rmSync(join(dist, name));
    // The page, and what it names: parts that a later page loads are not in it.
    if (name === "index.html" || manifest.includes(name)) first += gz.length;
}
console.log(`dashboard: the first page is ${Math.round(first / 1000)} kB with gzip, of ${most / 1000} at most`);
if (first > most) process.exit(1);
