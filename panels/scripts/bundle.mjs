// Builds the one classic script that every host page loads, or (--check) says whether the committed one is stale.
import { readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";

const panels = join(dirname(fileURLToPath(import.meta.url)), "..");
const target = join(panels, "..", "attnlog", "view", "static", "studio.js");
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

function licences() {
  const parts = ["@uwdata/flechette", "@noble/hashes"].map((name) => {
    const folder = join(panels, "node_modules", name);
    const { version } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
    return `${name} ${version}\n\n${readFileSync(join(folder, "LICENSE"), "utf8").trim()}\n`;
  });
  return `studio.js contains code of these projects.\n\n${parts.join("\n----\n\n")}`;
}

const text = await bundle();
const legal = licences();
const size = gzipSync(text, { level: 9 }).length;
if (size > maxGzip) {
  console.error(`studio.js is ${size} bytes gzipped, more than ${maxGzip}`);
  process.exit(1);
}
if (process.argv.includes("--check")) {
  const read = (path) => {
    try {
      return readFileSync(path, "utf8");
    } catch {
      return "";
    }
  };
  if (read(target) !== text || read(notices) !== legal) {
    console.error(
      "attnlog/view/static/studio.js is not what panels/src builds: run `npm run build` in panels and commit it",
    );
    process.exit(1);
  }
  console.log("studio.js is fresh");
} else {
  writeFileSync(target, text);
  writeFileSync(notices, legal);
  console.log(`studio.js ${text.length} bytes, ${size} gzipped`);
}
