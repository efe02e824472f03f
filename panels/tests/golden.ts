// Reads the golden runs of the format, which the Python reader passes too.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { Decoder } from "../src/decode/decoder";
import { mergeManifests } from "../src/decode/manifest";
import type { Commit, RollUpRecord } from "../src/decode/types";
import type { ByteRange, Source } from "../src/host/source";
import { makeScene, type Scene } from "../src/session/scene";
import { Store } from "../src/session/store";

export const GOLDEN = join(process.cwd(), "..", "tests", "golden");

export const goldenRuns = (): string[] =>
  readdirSync(GOLDEN).filter((name) => existsSync(join(GOLDEN, name, "expected.json")));

export interface ExpectedSparse {
  counts: number[];
  indices: number[];
  weights: number[];
  left_out: number[];
  picture_sha256: string;
  picture_shape: number[];
}

export interface Expected {
  name: string;
  steps: Record<
    string,
    {
      loss: number;
      inputs: Record<string, string[]>[];
      missing: string[];
      layers: {
        input: number;
        kind: string;
        layer: number;
        heads: number[];
        groups: number[];
        shape: [number, number];
        weights: number[] | null;
        sparse?: ExpectedSparse | null;
        q: number[] | null;
        scale: number | null;
        causal: boolean | null;
        metrics: Record<string, (number | null)[]>;
      }[];
    }
  >;
}

export const expected = (name: string): Expected =>
  JSON.parse(readFileSync(join(GOLDEN, name, "expected.json"), "utf8")) as Expected;

export function manifests(name: string): { name: string; text: string }[] {
  return readdirSync(join(GOLDEN, name))
    .filter((file) => file.startsWith("manifest-"))
    .map((file) => ({ name: file, text: readFileSync(join(GOLDEN, name, file), "utf8") }));
}

export type Damage = (path: string, bytes: Uint8Array) => Uint8Array;

/** A source over a golden run's folder; `damage` changes bytes on their way. */
export function source(
  name: string,
  ranges: boolean,
  damage: Damage = (_path, bytes) => bytes,
): Source & { gets: string[] } {
  const gets: string[] = [];
  return {
    gets,
    ranges,
    runs: async () => [{ id: name, name }],
    manifests: async () => manifests(name),
    get: async (_run: string, path: string, range?: ByteRange) => {
      gets.push(range ? `${path} ${range.offset}+${range.length}` : path);
      const file = Uint8Array.from(readFileSync(join(GOLDEN, name, path)));
      const bytes = damage(path, file);
      return range ? bytes.slice(range.offset, range.offset + range.length) : bytes;
    },
  };
}

export interface Opened {
  store: Store;
  commits: Commit[];
  rollUps: RollUpRecord[];
  scene(step: number): Promise<Scene>;
  gets: string[];
}

export function open(name: string, ranges = true, damage?: Damage): Opened {
  const from = source(name, ranges, damage);
  const store = new Store(from, name, new Decoder(false));
  const { commits, rollUps } = mergeManifests(manifests(name));
  return {
    store,
    commits,
    rollUps,
    gets: from.gets,
    async scene(step: number) {
      const commit = commits.find((one) => one.step === step)!;
      const [inputs, index] = await Promise.all([store.inputs(commit), store.index(commit)]);
      return makeScene(commit, inputs, index);
    },
  };
}
