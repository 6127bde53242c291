// Colours of the style sheet for what is drawn on a canvas, and when to draw it anew.
import { view } from "./state.svelte";

const dark = matchMedia("(prefers-color-scheme: dark)");
const device = $state({ isDark: dark.matches });
dark.addEventListener("change", (event) => (device.isDark = event.matches));

/** Changes whenever the colours do. */
export const scheme = () => `${view.theme} ${device.isDark}`;

const known = new Map<string, string>();

/** The colour that a variable of the sheet stands for in the scheme of now. */
export function colour(name: string): string {
    const key = `${name} ${getComputedStyle(document.documentElement).colorScheme} ${device.isDark}`;
    const asked = known.get(key);
    if (asked) return asked;
    // Of a variable only its text can be asked for; what it comes to is told by something that has this colour.
    const probe = document.createElement("i");
    probe.style.color = `var(${name})`;
    document.body.append(probe);
    const { color } = getComputedStyle(probe);
    probe.remove();
    known.set(key, color);
    return color;
}
