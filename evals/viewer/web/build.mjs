// Builds ../static from src and the two libraries: `npm ci && npm run build`. The result is committed, with their licences.
import { build } from "esbuild";
import { createHash } from "node:crypto";
import { readFileSync, readdirSync, writeFileSync } from "node:fs";

const LIBRARIES = ["diff", "temml"];

const notices = LIBRARIES.map((name) => {
  const { version, license } = JSON.parse(readFileSync(`node_modules/${name}/package.json`, "utf8"));
  return `${name} ${version} (${license})\n\n${readFileSync(`node_modules/${name}/LICENSE`, "utf8").trim()}\n`;
});
writeFileSync("../static/LICENSES.txt", notices.join(`\n${"-".repeat(80)}\n\n`));

await build({
  entryPoints: { viewer: "src/main.js" },
  outdir: "../static",
  bundle: true,
  minify: true,
  format: "iife",
  target: ["es2022", "chrome110", "firefox115", "safari16.4"],
  legalComments: "none",
  banner: { js: "/* cipher-debate viewer; holds diff and temml, see LICENSES.txt */" },
});
await build({ entryPoints: { viewer: "src/viewer.css" }, outdir: "../static", minify: true });

// What it was built from, so that a test sees where the built files are older than their sources.
const sources = ["package-lock.json", ...readdirSync("src").sort().map((name) => `src/${name}`)];
const hash = createHash("sha256");
for (const name of sources) hash.update(`${name}\0`).update(readFileSync(name)).update("\0");
writeFileSync("../static/SOURCES.sha256", `${hash.digest("hex")}\n`);
