// This reader, given a corpus of hostile assets and runs: says what came of every case, as it is and signed again.
//
// A program of its own (npm run corpus -- <folder>), so that a crash, a hang or too much memory is seen from outside. The
// folder is what tests/hostile writes: bases.json, <base>.arrow, cases.jsonl, lies.json and one run folder for each lie.
import { createHash } from "node:crypto";
import { createReadStream, readFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { Worker } from "node:worker_threads";
import { AttnlogError } from "../../src/decode/errors";
import { type Declaration, readAsset } from "../../src/decode/read";
import { inRange, readRun } from "./outcome";

interface Base {
  name: string;
  kind: string;
  bytes: number;
  sha256: string;
  decoded: number;
  rows: number;
}

interface Case {
  rule: string;
  base: string;
  signed: string[];
  cut: number | null;
  patches: [number, string][];
  tail: string;
  decoded: number | null;
  rows: number | null;
  unsigned: string;
}

/** Seconds after which a case hangs; the process then ends by SIGALRM, whatever it hangs in. */
const HANGS = 60;

function watch(): () => void {
  const beats = new Int32Array(new SharedArrayBuffer(4));
  const code = `
    const { workerData } = require("node:worker_threads");
    let last = -1;
    setInterval(() => {
      if (workerData[0] === last) process.kill(process.pid, "SIGALRM");
      last = workerData[0];
    }, ${HANGS * 1000});`;
  new Worker(code, { eval: true, workerData: beats }).unref();
  return () => {
    beats[0]!++;
  };
}

function bytesOf(one: Case, base: Buffer): Uint8Array {
  const data = Buffer.from(one.cut === null ? base : base.subarray(0, one.cut));
  for (const [offset, hex] of one.patches) Buffer.from(hex, "hex").copy(data, offset);
  return new Uint8Array(Buffer.concat([data, Buffer.from(one.tail, "hex")]));
}

async function outcome(bytes: Uint8Array, record: Declaration): Promise<string> {
  try {
    return inRange(await readAsset(bytes, record)) ? "ok" : "out of range";
  } catch (error) {
    return nameOf(error);
  }
}

function nameOf(error: unknown): string {
  if (error instanceof AttnlogError) return error.name;
  return error instanceof Error ? `${error.name}: ${error.message}` : String(error);
}

async function main(folder: string): Promise<void> {
  const beat = watch();
  const bases = new Map<string, { said: Base; data: Buffer }>();
  for (const said of JSON.parse(readFileSync(join(folder, "bases.json"), "utf8")) as Base[]) {
    bases.set(said.name, { said, data: readFileSync(join(folder, `${said.name}.arrow`)) });
  }
  const counts: Record<string, number> = {};
  const wrong: string[] = [];
  const count = (what: string): void => {
    counts[what] = (counts[what] ?? 0) + 1;
  };
  let slowest = 0;
  let slowestCase = "";
  const before = process.resourceUsage().maxRSS;
  for await (const line of createInterface({ input: createReadStream(join(folder, "cases.jsonl")) })) {
    const one = JSON.parse(line) as Case;
    const { said, data } = bases.get(one.base)!;
    const bytes = bytesOf(one, data);
    beat();
    const unsigned = await outcome(bytes, { path: said.name, ...said });
    const since = performance.now();
    const signed = await outcome(bytes, {
      path: said.name,
      kind: said.kind,
      bytes: bytes.length,
      sha256: createHash("sha256").update(bytes).digest("hex"),
      decoded: one.decoded ?? said.decoded,
      rows: one.rows ?? said.rows,
    });
    const took = performance.now() - since;
    if (took > slowest) [slowest, slowestCase] = [took, `${one.rule} of ${one.base}`];
    count(`as it is: ${unsigned}`);
    count(`signed again: ${signed}`);
    const place = `${one.rule} of ${one.base} ${one.cut ?? ""} ${JSON.stringify(one.patches)}`;
    if (unsigned !== one.unsigned) wrong.push(`${place}, as it is: ${unsigned}, expected ${one.unsigned}`);
    if (!one.signed.includes(signed)) wrong.push(`${place}: ${signed}, expected ${one.signed.join(" or ")}`);
  }
  for (const lie of JSON.parse(readFileSync(join(folder, "lies.json"), "utf8")) as Record<string, string>[]) {
    beat();
    let found = "ok";
    try {
      await readRun(join(folder, lie.folder!));
    } catch (error) {
      found = nameOf(error);
    }
    count(`run that lies: ${found}`);
    if (found !== lie.expected) wrong.push(`${lie.rule}: ${found}, expected ${lie.expected}`);
  }
  const grown = (process.resourceUsage().maxRSS - before) * 1024;
  console.log(JSON.stringify({ counts, wrong, grown, slowest: Math.round(slowest), slowestCase }));
}

await main(process.argv[2] ?? ".");
process.exit(0);
