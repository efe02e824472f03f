// Builds the one classic script that every host page loads, and Comet's own part beside it, or (--check) says which of the committed ones is stale.
import { readFileSync, writeFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";

const panels = join(dirname(fileURLToPath(import.meta.url)), "..");
const target = join(panels, "..", "attnlog", "view", "static", "studio.js");
// Comet's panel begins its class with this text, so it is a script of its own.
const comet = join(panels, "..", "integrations", "attnlog_integrations", "comet", "panel.js");
const notices = join(panels, "..", "attnlog", "view", "static", "studio.licenses.txt");
const maxGzip = 150_000;

const common = {
  absWorkingDir: panels,
  bundle: true,
  minify: true,
  write: false,
  format: "iife",
  platform: "browser",
  target: ["chrome109", "firefox115", "safari16.4"],
  charset: "ascii",
  legalComments: "none",
  loader: { ".css": "text" },
  logLevel: "warning",
};

/** The worker's code as a string inside the bundle: hosts forbid a second file, and often any second request. */
async function workerSource() {
  const result = await build({ ...common, entryPoints: ["src/decode/worker.ts"] });
  return result.outputFiles[0].text;
}

const css = {
  name: "minified-css",
  setup(plugin) {
    plugin.onLoad({ filter: /\.css$/ }, async (args) => {
      const result = await build({ ...common, format: undefined, loader: { ".css": "css" }, entryPoints: [args.path] });
      return { contents: result.outputFiles[0].text.trim(), loader: "text" };
    });
  },
};

const worker = {
  name: "inline-worker",
  setup(plugin) {
    plugin.onResolve({ filter: /^inline:worker$/ }, () => ({ path: "worker", namespace: "inline" }));
    plugin.onLoad({ filter: /.*/, namespace: "inline" }, async () => ({
      contents: await workerSource(),
      loader: "text",
    }));
  },
};

export async function bundle() {
  const result = await build({
    ...common,
    entryPoints: ["src/host/main.ts"],
    plugins: [css, worker],
    banner: { js: "/* attnlog studio, Apache-2.0. Parts under other licences: see studio.licenses.txt */" },
  });
  const text = result.outputFiles[0].text;
  // The script is also put inline into exported pages: nothing in it may end or comment out its own element.
  if (/<\/script|<!--/i.test(text)) throw new Error("the bundle contains </script or <!--");
  return text;
}

async function cometPart() {
  const result = await build({ ...common, entryPoints: ["src/host/comet.ts"] });
  return result.outputFiles[0].text;
}

function licences() {
  const parts = ["@uwdata/flechette", "@noble/hashes"].map((name) => {
    const folder = join(panels, "node_modules", name);
    const { version } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
    return `${name} ${version}\n\n${readFileSync(join(folder, "LICENSE"), "utf8").trim()}\n`;
  });
  return `studio.js contains code of these projects.\n\n${parts.join("\n----\n\n")}`;
}

const text = await bundle();
const size = gzipSync(text, { level: 9 }).length;
if (size > maxGzip) {
  console.error(`studio.js is ${size} bytes gzipped, more than ${maxGzip}`);
  process.exit(1);
}
const files = [
  [target, text],
  [notices, licences()],
  [comet, await cometPart()],
];
if (process.argv.includes("--check")) {
  const read = (path) => {
    try {
      return readFileSync(path, "utf8");
    } catch {
      return "";
    }
  };
  const stale = files
    .filter(([path, built]) => read(path) !== built)
    .map(([path]) => relative(join(panels, ".."), path));
  if (stale.length) {
    console.error(`${stale.join(", ")}: not what panels/src builds. Run \`npm run build\` in panels and commit it`);
    process.exit(1);
  }
  console.log("studio.js and panel.js are fresh");
} else {
  for (const [path, built] of files) writeFileSync(path, built);
  console.log(`studio.js ${text.length} bytes, ${size} gzipped`);
}
