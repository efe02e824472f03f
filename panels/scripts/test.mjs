// Bundles tests/*.test.ts with esbuild and runs them under node:test; the last line says how many passed and failed.
import { spawnSync } from "node:child_process";
import { mkdirSync, readdirSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { noWorker } from "./no-worker.mjs";

const panels = join(dirname(fileURLToPath(import.meta.url)), "..");
const out = join(panels, "node_modules", ".attnlog-tests");
rmSync(out, { recursive: true, force: true });
mkdirSync(out, { recursive: true });
const names = readdirSync(join(panels, "tests")).filter((name) => name.endsWith(".test.ts"));
await build({
  absWorkingDir: panels,
  entryPoints: names.map((name) => join("tests", name)),
  outdir: out,
  outExtension: { ".js": ".mjs" },
  bundle: true,
  platform: "node",
  format: "esm",
  target: "node20",
  sourcemap: "inline",
  loader: { ".css": "text" },
  plugins: [noWorker],
  logLevel: "warning",
});
const files = names.map((name) => join(out, name.replace(/\.ts$/, ".mjs")));
const result = spawnSync(process.execPath, ["--enable-source-maps", "--test", "--test-reporter=tap", ...files], {
  cwd: panels,
  encoding: "utf8",
  maxBuffer: 1 << 28,
});
const count = (word) => Number(new RegExp(`^# ${word} (\\d+)$`, "m").exec(result.stdout)?.[1] ?? 0);
if (result.status !== 0) console.log(result.stdout + result.stderr);
console.log(`panels: ${count("pass")} passed, ${count("fail") + count("cancelled")} failed`);
process.exit(result.status ?? 1);
