import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig } from "vite";

// No style or script is written into the page: the policy of its content allows none.
export default defineConfig({
    plugins: [svelte()],
    build: {
        target: "es2022",
        outDir: "dist",
        // `scripts/pack.mjs` empties it, and leaves what git keeps.
        emptyOutDir: false,
        assetsInlineLimit: 0,
        modulePreload: { polyfill: false },
    },
    server: { proxy: { "/v1": process.env.TUMAN ?? "http://127.0.0.1:8080" } },
});
