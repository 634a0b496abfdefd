// Builds ../static from src and the two libraries: `npm ci && npm run build`. The result is committed, with their licences.
import { build } from "esbuild";
import { readFileSync, writeFileSync } from "node:fs";

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
