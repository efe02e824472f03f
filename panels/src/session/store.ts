// Gets decoded assets of a run: fetches, has them verified and decoded, and keeps what was read, bounded by bytes.
import type { Decoder } from "../decode/decoder";
import { AssetSchemaError, AssetTooLarge, NotRecordedError } from "../decode/errors";
import type { LayerResults, Results, TableResults } from "../decode/jobs";
import { LIMITS } from "../decode/limits";
import { findAsset } from "../decode/manifest";
import type { Place } from "../decode/place";
import { type BatchKind, batchJob } from "../decode/read";
import type {
  AssetRecord,
  BatchPart,
  Commit,
  HiddenLayer,
  IndexTable,
  InputRecord,
  Output,
  PictureTable,
  RollUp,
  StateLayer,
  StatePlace,
  VectorLayer,
  WeightLayer,
} from "../decode/types";
import type { ByteRange, Source } from "../host/source";
import { ByteCache } from "./lru";
import { Progress } from "./progress";
import { axisOf, type LayerEntry, partOf, type Scene } from "./scene";

const FILES_KEPT = 64_000_000;
const DECODED_KEPT = 256_000_000;

export class Store {
  private readonly files = new ByteCache<Promise<Uint8Array>>(FILES_KEPT);
  private readonly decoded = new ByteCache<Promise<unknown>>(DECODED_KEPT);

  constructor(
    private readonly source: Source,
    private readonly run: string,
    private readonly decoder: Decoder,
    private readonly progress: Progress = new Progress(),
  ) {}

  inputs(commit: Commit): Promise<InputRecord[]> {
    return this.whole("inputs", commit.inputs, 0);
  }

  index(commit: Commit, priority = 0): Promise<IndexTable> {
    const record = findAsset(commit, "index");
    if (!record) return Promise.reject(new NotRecordedError(`Step ${commit.step} has no index.`));
    return this.whole("index", record, priority);
  }

  pictures(commit: Commit): Promise<PictureTable> {
    const record = findAsset(commit, "pictures");
    if (!record) return Promise.reject(new NotRecordedError(`No pictures were recorded at step ${commit.step}.`));
    return this.whole("pictures", record, 0);
  }

  /** A writer's roll-up of indexes. */
  rollUp(record: AssetRecord): Promise<RollUp> {
    return this.whole("indexes", record, 2);
  }

  /** Weights of a layer, all of them or the greatest of each row; null when none were written. */
  weights(scene: Scene, entry: LayerEntry): Promise<WeightLayer> | null {
    return this.layer("attention", scene, entry, 0) ?? this.layer("sparse", scene, entry, 0);
  }

  /** Queries, keys and values of a layer; null when none were written. */
  vectors(scene: Scene, entry: LayerEntry): Promise<VectorLayer> | null {
    return this.layer("vectors", scene, entry, 1);
  }

  /** Statistics of hidden states of a step; none where none were recorded. */
  async states(scene: Scene): Promise<StateLayer[]> {
    const found = (await this.all("states", scene.commit)).flat();
    checkFits("states", scene, found);
    return found;
  }

  /** Predictions, losses and saliency of a step; none where none were recorded. */
  async outputs(scene: Scene): Promise<Output[]> {
    const found = (await this.all("outputs", scene.commit)).flat();
    checkFits("outputs", scene, found);
    return found;
  }

  /** Hidden states of a layer; null when only their statistics were written. */
  hidden(scene: Scene, layer: StateLayer): Promise<HiddenLayer> | null {
    const { statistics: _, hidden, ...place } = layer;
    if (!hidden) return null;
    const share = 1 / Math.max(1, findAsset(scene.commit, "hidden", hidden.path)?.rows ?? 1);
    return this.batch("hidden", scene.commit, hidden, place, share, 1).then(([one]) => one!);
  }

  /** Begins to fetch what will be asked for as soon as the index is read. */
  warm(commit: Commit): void {
    const record = findAsset(commit, "pictures");
    if (record && this.carries(record.path)) void this.fetch(record).catch(() => undefined);
  }

  /** Whether the source carries this asset. */
  carries(path: string): boolean {
    return this.source.has?.(this.run, path) ?? true;
  }

  /** What lacks an asset that is not carried, in words. */
  get carrier(): string {
    return this.source.carrier ?? "this file";
  }

  carriesIndex(commit: Commit): boolean {
    const record = findAsset(commit, "index");
    return record !== null && this.carries(record.path);
  }

  private all<K extends "states" | "outputs">(kind: K, commit: Commit): Promise<TableResults[K][]> {
    const records = commit.assets.filter((one) => one.kind === kind);
    return Promise.all(records.map((one) => this.whole<K>(kind, one, 1)));
  }

  private whole<K extends keyof TableResults>(
    kind: K,
    record: AssetRecord,
    priority: number,
  ): Promise<TableResults[K]> {
    return this.remember(record.path, record.decoded, async () => {
      this.refuseAbsent(record.path);
      refuseLong(record);
      const bytes = await this.fetch(record);
      return this.decoder.run(
        {
          kind,
          asset: record.path,
          parts: [{ bytes, expected: { asset: record.path, bytes: record.bytes, sha256: record.sha256 } }],
          decoded: record.decoded,
          rows: record.rows,
          limits: LIMITS,
        },
        priority,
      );
    });
  }

  private layer<K extends keyof LayerResults>(
    kind: K,
    scene: Scene,
    entry: LayerEntry,
    priority: number,
  ): Promise<LayerResults[K]> | null {
    const found = partOf(scene, kind, entry);
    if (!found) return null;
    const { part, place } = found;
    // What one layer takes, of what all rows of the asset take.
    const rows = findAsset(scene.commit, kind, part.path)?.rows ?? 1;
    return this.batch(kind, scene.commit, part, place, Math.min(1, place.heads.length / Math.max(1, rows)), priority);
  }

  /** One record batch, which has to be what `place` says. */
  private batch<K extends BatchKind>(
    kind: K,
    commit: Commit,
    part: BatchPart,
    place: Place | StatePlace,
    share: number,
    priority: number,
  ): Promise<Results[K]> {
    const record = findAsset(commit, kind, part.path);
    const schema = record?.schema;
    if (!record || !schema) {
      return Promise.reject(
        new AssetSchemaError(`The index names ${part.path}, which the manifest of step ${commit.step} does not.`),
      );
    }
    const { path } = record;
    // The layer stands in the key: an index may name one place for two, and only one of them can be there.
    const key = `${path}#${part.offset} ${place.input} ${"axis" in place ? place.axis : place.kind} ${place.layer}`;
    return this.remember(key, record.decoded * share, async () => {
      this.refuseAbsent(path);
      const job = batchJob(kind, record, part, place);
      const [head, body] = await Promise.all([this.slice(record, schema), this.slice(record, part)]);
      return this.decoder.run(job(head, body), priority);
    });
  }

  private refuseAbsent(path: string): void {
    if (this.carries(path)) return;
    throw new NotRecordedError(
      `The data of this step are not in ${this.carrier}.`,
      this.source.absent || this.source.leftOut || "To see everything, open the run itself: attnlog view <run>",
    );
  }

  private fetch(record: AssetRecord): Promise<Uint8Array> {
    const known = this.files.get(record.path);
    if (known) return known;
    const bytes = this.progress.follow(record.bytes, (arrived) =>
      this.source.get(this.run, record.path, undefined, arrived),
    );
    this.files.set(record.path, bytes, record.bytes);
    bytes.catch(() => this.files.delete(record.path));
    return bytes;
  }

  private async slice(record: AssetRecord, range: ByteRange): Promise<Uint8Array> {
    if (this.source.ranges) {
      // The schema message is the same few hundred bytes for every layer.
      const key = `${record.path}#${range.offset}+${range.length}`;
      const known = this.files.get(key);
      if (known) return known;
      const { offset, length } = range;
      const bytes = this.progress.follow(length, (arrived) =>
        this.source.get(this.run, record.path, { offset, length }, arrived),
      );
      if (range.length < 20_000) {
        this.files.set(key, bytes, range.length);
        bytes.catch(() => this.files.delete(key));
      }
      return bytes;
    }
    refuseLong(record);
    const bytes = await this.fetch(record);
    return bytes.slice(range.offset, range.offset + range.length);
  }

  private remember<T>(key: string, bytes: number, make: () => Promise<T>): Promise<T> {
    const known = this.decoded.get(key) as Promise<T> | undefined;
    if (known) return known;
    const made = make();
    this.decoded.set(key, made, bytes + 1_000);
    made.catch(() => this.decoded.delete(key));
    return made;
  }
}

/** Fails where more or fewer tokens are told of than the inputs have. */
function checkFits(kind: string, scene: Scene, found: { input: number; axis: string; tokens: number }[]): void {
  for (const { input, axis, tokens } of found) {
    const known = axisOf(scene, input, axis)?.tokens.length;
    if (known === tokens) continue;
    throw new AssetSchemaError(
      `The ${kind} of step ${scene.commit.step} say of ${axis} of input ${input} ${tokens} tokens, where its inputs have ${known ?? "no such axis"}.`,
      "Copy the run again from where it was written.",
    );
  }
}

function refuseLong({ path, bytes }: AssetRecord): void {
  if (bytes > LIMITS.bytes) throw new AssetTooLarge(`${path} has ${bytes} bytes, more than the cap of ${LIMITS.bytes}`);
}
