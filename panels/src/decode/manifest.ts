// Manifests: parses each writer's JSON lines and merges them into one list of commits, newest commit of a step winning.
import { AssetSchemaError, AssetTooLarge, AssetVersionError } from "./errors";
import { FORMAT_VERSION, LIMITS } from "./limits";
import type { AssetRecord, Commit, Missing, RollUpRecord, RunRecord, SchemaPart, Writer } from "./types";

const WRITER = "[a-z0-9][a-z0-9-]{0,63}";
const PATH = new RegExp(
  `^(inputs-[0-9a-f]{16}\\.arrow|indexes-${WRITER}\\.arrow|step-[0-9]{8,}/${WRITER}-[0-9]+/[a-z0-9-]+\\.arrow)$`,
);
const NAME = new RegExp(`^manifest-(${WRITER})\\.jsonl$`);
/** Objects and lists of a line, one inside another. */
const DEEPEST = 64;

type Json = Record<string, unknown>;

const isObject = (value: unknown): value is Json =>
  typeof value === "object" && value !== null && !Array.isArray(value);

const isCount = (value: unknown): value is number =>
  typeof value === "number" && Number.isSafeInteger(value) && value >= 0;

/** Whether a manifest may name this path: nothing outside the run folder can match. */
export function isAssetPath(path: unknown): path is string {
  return typeof path === "string" && PATH.test(path);
}

function asset(value: unknown, where: string): AssetRecord {
  if (!isObject(value)) throw new AssetSchemaError(`${where}: an asset record is not an object`);
  const { path, kind, bytes, sha256, decoded, rows, schema } = value;
  if (!isAssetPath(path)) {
    throw new AssetSchemaError(`${where}: refused asset path ${JSON.stringify(path ?? null).slice(0, 120)}`);
  }
  if (typeof kind !== "string" || !isCount(bytes) || !isCount(decoded) || !isCount(rows)) {
    throw new AssetSchemaError(`${where}: the record of ${path} lacks kind, bytes, decoded or rows`);
  }
  if (typeof sha256 !== "string") {
    throw new AssetSchemaError(`${where}: the record of ${path} has no SHA-256`);
  }
  let part: SchemaPart | null = null;
  if (isObject(schema) && isCount(schema.offset) && isCount(schema.length) && typeof schema.sha256 === "string") {
    part = { offset: schema.offset, length: schema.length, sha256: schema.sha256 };
  }
  return { path, kind, bytes, sha256, decoded, rows, schema: part };
}

const textOrNull = (value: unknown): string | null => (typeof value === "string" ? value : null);

/** A number or null, and of numbers none that JSON cannot say. */
function numberOrNull(value: unknown, where: string): number | null {
  if (value === null || value === undefined) return null;
  if (typeof value !== "number") throw new AssetSchemaError(`${where}: ${JSON.stringify(value)} stands for a number`);
  return Number.isFinite(value) ? value : null;
}

function numbers(value: unknown, where: string): Record<string, number> {
  const result: Record<string, number> = {};
  if (value === null || value === undefined) return result;
  if (!isObject(value)) throw new AssetSchemaError(`${where}: metrics are not an object`);
  for (const [key, item] of Object.entries(value)) {
    const number = numberOrNull(item, where);
    if (number !== null) result[key] = number;
  }
  return result;
}

function missing(value: unknown): Missing[] {
  if (!Array.isArray(value)) return [];
  return value.filter(isObject).map((item) => ({
    kind: String(item.kind ?? ""),
    layer: isCount(item.layer) ? item.layer : null,
    what: String(item.what ?? ""),
    reason: String(item.reason ?? ""),
  }));
}

function commit(line: Json, writer: string, where: string): Commit {
  if (!isCount(line.n) || !isCount(line.step)) throw new AssetSchemaError(`${where}: a commit lacks n or step`);
  if (!Array.isArray(line.assets)) throw new AssetSchemaError(`${where}: a commit has no list of assets`);
  return {
    writer,
    n: line.n,
    step: line.step,
    epoch: numberOrNull(line.epoch, where),
    loss: numberOrNull(line.loss, where),
    checkpoint: textOrNull(line.checkpoint),
    metrics: numbers(line.metrics, where),
    time: numberOrNull(line.time, where) ?? 0,
    precision: textOrNull(line.precision) ?? "u8",
    complete: line.complete !== false,
    inputs: asset(line.inputs, where),
    assets: line.assets.map((item) => asset(item, where)),
    missing: missing(line.missing),
  };
}

/** What an update adds to its commit: metrics are merged, a checkpoint replaces. */
function update(target: Commit, line: Json, where: string): void {
  Object.assign(target.metrics, numbers(line.metrics, where));
  if (typeof line.checkpoint === "string") target.checkpoint = line.checkpoint;
}

function rollUp(line: Json, writer: string, where: string): RollUpRecord {
  const { commits } = line;
  if (!Array.isArray(commits) || !commits.every(isCount)) {
    throw new AssetSchemaError(`${where}: a roll-up does not say which commits it covers`);
  }
  return { writer, commits, asset: asset(line.asset, where) };
}

function parse(line: string, where: string): Json {
  if (line.length > LIMITS.line) throw new AssetTooLarge(`${where}: the line is longer than ${LIMITS.line} bytes`);
  if (isDeep(line)) throw new AssetSchemaError(`${where}: the line nests more than ${DEEPEST} deep`);
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    throw new AssetSchemaError(`${where}: the line is not JSON`, "Copy the run again from where it was written.");
  }
  if (!isObject(value) || typeof value.type !== "string") {
    throw new AssetSchemaError(`${where}: the line is not an object that says its type`);
  }
  return value;
}

const [QUOTE, ESCAPE, OPEN, CLOSE] = [0x22, 0x5c, [0x5b, 0x7b], [0x5d, 0x7d]];

/** Whether brackets nest deeper than any manifest needs; read before the line is parsed. */
function isDeep(line: string): boolean {
  let depth = 0;
  let inText = false;
  for (let i = 0; i < line.length; i++) {
    const code = line.charCodeAt(i);
    if (code === QUOTE) inText = !inText;
    else if (inText) i += code === ESCAPE ? 1 : 0;
    else if (OPEN.includes(code)) {
      if (++depth > DEEPEST) return true;
    } else if (CLOSE.includes(code)) depth--;
  }
  return false;
}

/** What one writer's manifest says; of several roll-ups the last counts. */
export interface ManifestRecord {
  writer: Writer;
  commits: Commit[];
  rollUp: RollUpRecord | null;
}

/** One writer's manifest. Null when not even its first line is finished yet. */
export function parseManifest(name: string, text: string): ManifestRecord | null {
  const lines = text.split("\n");
  lines.pop(); // A last line without its line feed is unfinished; with it, this is the empty rest.
  let writer: Writer | null = null;
  const commits: Commit[] = [];
  const byNumber = new Map<number, Commit>();
  let rolled: RollUpRecord | null = null;
  lines.forEach((raw, i) => {
    if (raw.trim() === "") return;
    const where = `${name} line ${i + 1}`;
    const line = parse(raw, where);
    if (!writer) {
      if (line.type !== "writer" || typeof line.writer !== "string" || !isCount(line.attnlog)) {
        throw new AssetSchemaError(`${where}: the first line does not say who writes`);
      }
      if (line.attnlog > FORMAT_VERSION) {
        throw new AssetVersionError(
          `${name} was written in format version ${line.attnlog}; this viewer reads up to ${FORMAT_VERSION}`,
          "Open the run with a newer attnlog: pip install -U attnlog.",
        );
      }
      if ((NAME.exec(name)?.[1] ?? line.writer) !== line.writer) {
        throw new AssetSchemaError(`${where}: the first line names another writer`);
      }
      writer = {
        writer: line.writer,
        run: textOrNull(line.run) ?? "",
        model: isObject(line.model) ? line.model : {},
        time: numberOrNull(line.time, where) ?? 0,
      };
    } else if (line.type === "commit") {
      const made = commit(line, writer.writer, where);
      commits.push(made);
      byNumber.set(made.n, made);
    } else if (line.type === "update" && isCount(line.n)) {
      const target = byNumber.get(line.n);
      if (target) update(target, line, where);
    } else if (line.type === "indexes") rolled = rollUp(line, writer.writer, where);
  });
  return writer ? { writer, commits, rollUp: rolled } : null;
}

/** Whether `a` is newer than `b`: greatest time, then greatest writer, then greatest n. */
function isNewer(a: Commit, b: Commit): boolean {
  if (a.time !== b.time) return a.time > b.time;
  if (a.writer !== b.writer) return a.writer > b.writer;
  return a.n > b.n;
}

/** All manifests of a run as one list of commits. */
export function mergeManifests(manifests: { name: string; text: string }[]): RunRecord {
  const writers: Writer[] = [];
  const rollUps: RollUpRecord[] = [];
  const newest = new Map<number, Commit>();
  for (const { name, text } of manifests) {
    const parsed = parseManifest(name, text);
    if (!parsed) continue;
    writers.push(parsed.writer);
    if (parsed.rollUp) rollUps.push(parsed.rollUp);
    for (const made of parsed.commits) {
      const known = newest.get(made.step);
      if (!known || isNewer(made, known)) newest.set(made.step, made);
    }
  }
  writers.sort((a, b) => a.time - b.time);
  return { writers, rollUps, commits: [...newest.values()].sort((a, b) => a.step - b.step) };
}

/** The asset of a kind in a commit; for a name such as "attention-3.arrow" the one with that file name. */
export function findAsset(made: Commit, kind: string, fileName?: string): AssetRecord | null {
  for (const record of made.assets) {
    if (record.kind === kind && (fileName === undefined || record.path.endsWith(`/${fileName}`))) return record;
  }
  return null;
}
