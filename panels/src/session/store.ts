// Gets decoded assets of a run: fetches, has them verified and decoded, and keeps what was read, bounded by bytes.
import type { Decoder } from "../decode/decoder";
import { AssetError, AssetTruncated, NotRecordedError } from "../decode/errors";
import type { JobKind, Results } from "../decode/jobs";
import { LIMITS } from "../decode/limits";
import { findAsset } from "../decode/manifest";
import type {
  AssetRecord,
  AttentionLayer,
  BatchPart,
  Commit,
  IndexTable,
  InputRecord,
  PictureTable,
  VectorLayer,
} from "../decode/types";
import type { ByteRange, Source } from "../host/source";
import { ByteCache } from "./lru";

const FILES_KEPT = 64_000_000;
const DECODED_KEPT = 256_000_000;

export class Store {
  private readonly files = new ByteCache<Promise<Uint8Array>>(FILES_KEPT);
  private readonly decoded = new ByteCache<Promise<unknown>>(DECODED_KEPT);

  constructor(
    private readonly source: Source,
    private readonly run: string,
    private readonly decoder: Decoder,
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

  attention(commit: Commit, part: BatchPart): Promise<AttentionLayer> {
    return this.part("attention", commit, part, 0);
  }

  vectors(commit: Commit, part: BatchPart): Promise<VectorLayer> {
    return this.part("vectors", commit, part, 1);
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

  private whole<K extends "inputs" | "index" | "pictures">(
    kind: K,
    record: AssetRecord,
    priority: number,
  ): Promise<Results[K]> {
    return this.remember(record.path, record.decoded, async () => {
      this.refuseAbsent(record.path);
      if (record.bytes > LIMITS.bytes) throw tooLong(record);
      const bytes = await this.fetch(record);
      return this.decoder.run(
        {
          kind,
          asset: record.path,
          parts: [{ bytes, expected: { asset: record.path, bytes: record.bytes, sha256: record.sha256 } }],
          decoded: record.decoded,
          limits: LIMITS,
        },
        priority,
      );
    });
  }

  private part<K extends JobKind>(kind: K, commit: Commit, part: BatchPart, priority: number): Promise<Results[K]> {
    const record = findAsset(commit, kind, part.path);
    if (!record?.schema) {
      return Promise.reject(
        new AssetError(`The index names ${part.path}, which the manifest of step ${commit.step} does not.`),
      );
    }
    const { path, schema } = record;
    const end = Math.max(part.offset + part.length, schema.offset + schema.length);
    if (end > record.bytes) {
      return Promise.reject(new AssetTruncated(`${path} has ${record.bytes} bytes; the index points to byte ${end}`));
    }
    return this.remember(`${path}#${part.offset}`, record.decoded / Math.max(1, record.rows), async () => {
      this.refuseAbsent(path);
      const [head, body] = await Promise.all([this.slice(record, schema), this.slice(record, part)]);
      const name = `${path} (bytes ${part.offset}–${part.offset + part.length})`;
      return this.decoder.run(
        {
          kind,
          asset: name,
          parts: [
            { bytes: head, expected: { asset: `${path} (schema)`, bytes: schema.length, sha256: schema.sha256 } },
            { bytes: body, expected: { asset: name, bytes: part.length, sha256: part.sha256 } },
          ],
          decoded: record.decoded,
          limits: LIMITS,
        },
        priority,
      );
    });
  }

  private refuseAbsent(path: string): void {
    if (this.carries(path)) return;
    throw new NotRecordedError(
      "This file does not carry the data of this step.",
      this.source.leftOut || "To see everything, open the run itself: attnlog view <run>",
    );
  }

  private fetch(record: AssetRecord): Promise<Uint8Array> {
    const known = this.files.get(record.path);
    if (known) return known;
    const bytes = this.source.get(this.run, record.path);
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
      const bytes = this.source.get(this.run, record.path, { offset: range.offset, length: range.length });
      if (range.length < 20_000) {
        this.files.set(key, bytes, range.length);
        bytes.catch(() => this.files.delete(key));
      }
      return bytes;
    }
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

function tooLong(record: AssetRecord): AssetError {
  return new AssetError(`${record.path} has ${record.bytes} bytes, more than the cap of ${LIMITS.bytes}`);
}
