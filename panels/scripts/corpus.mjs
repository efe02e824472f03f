// Bundles the corpus reader and runs it over a folder of hostile assets and runs; its last line is JSON about what came of them.
import { spawnSync } from "node:child_process";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { noWorker } from "./no-worker.mjs";

const panels = join(dirname(fileURLToPath(import.meta.url)), "..");
const outfile = join(panels, "node_modules", ".attnlog-corpus", "reader.mjs");
await build({
  absWorkingDir: panels,
  entryPoints: [join("tests", "corpus", "reader.ts")],
  outfile,
  bundle: true,
  platform: "node",
  format: "esm",
  target: "node20",
  sourcemap: "inline",
  plugins: [noWorker],
  logLevel: "warning",
});
const folder = resolve(process.argv[2] ?? ".");
const result = spawnSync(process.execPath, ["--enable-source-maps", outfile, folder], { stdio: "inherit" });
if (result.signal) process.kill(process.pid, result.signal);
process.exit(result.status ?? 1);
