// What a corpus asks of a reader: whether decoded numbers can be, said apart from the reader's own checks, and reading all of a run.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { Decoder } from "../../src/decode/decoder";
import { AssetMissing, AssetSchemaError } from "../../src/decode/errors";
import { mergeManifests } from "../../src/decode/manifest";
import type {
  AttentionLayer,
  HiddenLayer,
  Prediction,
  Saliency,
  SparseLayer,
  StateLayer,
  VectorLayer,
} from "../../src/decode/types";
import { decodeWeights } from "../../src/decode/weights";
import type { ByteRange, Source } from "../../src/host/source";
import { kindsOf, makeScene } from "../../src/session/scene";
import { Store } from "../../src/session/store";

const isMass = (value: number): boolean => value >= 0 && value < 1.0011;

/** Whether every number of what was read is one that can be. Metrics that are null are NaN here. */
export function inRange(value: unknown): boolean {
  if (Array.isArray(value)) return value.every(inRange);
  if (value instanceof Float32Array || value instanceof Float64Array) {
    return value.every((one) => Number.isNaN(one) || Number.isFinite(one));
  }
  if (typeof value === "number") return Number.isFinite(value);
  if (!value || typeof value !== "object" || ArrayBuffer.isView(value)) return true;
  if ("stored" in value) {
    const layer = value as AttentionLayer | SparseLayer;
    const left = layer.stored === "sparse" ? layer.leftOut : new Float32Array(0);
    return decodeWeights(layer.precision, layer.codes).every(isMass) && left.every(isMass);
  }
  if ("probabilities" in value) return (value as Prediction).probabilities.every(isMass);
  if ("role" in value && value.role === "saliency") return (value as Saliency).values.every(Number.isFinite);
  if ("statistics" in value) {
    const { cosine, ...others } = (value as StateLayer).statistics;
    const cosines = cosine.every((one) => Number.isNaN(one) || Math.abs(one) < 1.0011);
    return cosines && Object.values(others).every((one) => one.every(Number.isFinite));
  }
  if ("width" in value && "axis" in value) return (value as HiddenLayer).values.every(Number.isFinite);
  if ("q" in value) {
    const { q, k, v } = value as VectorLayer;
    const norms = q.every((one) => one.norms === null || one.norms.every((norm) => norm >= 0 && Number.isFinite(norm)));
    return norms && [...q, ...k, ...v].every((one) => one.values.every(Number.isFinite));
  }
  return Object.values(value).every(inRange);
}

function folderSource(folder: string): Source {
  return {
    ranges: true,
    runs: async () => [{ id: "run", name: "run" }],
    manifests: async () =>
      readdirSync(folder)
        .filter((name) => /^manifest-.*\.jsonl$/.test(name))
        .map((name) => ({ name, text: textOf(readFileSync(join(folder, name))) })),
    get: async (_run: string, path: string, range?: ByteRange) => {
      let data: Buffer;
      try {
        data = readFileSync(join(folder, path));
      } catch {
        throw new AssetMissing(`there is no ${path}`);
      }
      const bytes = new Uint8Array(data);
      return range ? bytes.slice(range.offset, range.offset + range.length) : bytes;
    },
  };
}

function textOf(data: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(data);
  } catch {
    throw new AssetSchemaError("a manifest is no UTF-8");
  }
}

/** Reads everything that a run's manifests name. */
export async function readRun(folder: string): Promise<void> {
  const source = folderSource(folder);
  const { commits, rollUps } = mergeManifests(await source.manifests("run"));
  const store = new Store(source, "run", new Decoder(false));
  for (const { asset } of rollUps) await store.rollUp(asset);
  for (const commit of commits) {
    const scene = makeScene(commit, await store.inputs(commit), await store.index(commit));
    if (commit.assets.some((one) => one.kind === "pictures")) await store.pictures(commit);
    for (const layer of await store.states(scene)) await store.hidden(scene, layer);
    await store.outputs(scene);
    for (const input of scene.numbers) {
      for (const { layers } of kindsOf(scene, input)) {
        for (const layer of layers) {
          await store.weights(scene, layer);
          await store.vectors(scene, layer);
        }
      }
    }
  }
}
