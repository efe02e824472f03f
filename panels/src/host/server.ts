// Host: a page served by `attnlog view`, which answers runs, manifests and byte ranges of assets.
import { AssetError, AssetMissing } from "../decode/errors";
import type { ByteRange, Manifest, RunName, Source } from "./source";

const POLL = 5_000;
/** Bodies of more bytes than this are read in pieces. */
const PIECEWISE = 300_000;

export class ServerSource implements Source {
  readonly ranges = true;
  readonly poll: number = POLL;

  constructor(
    /** What stands before the paths of all routes. */
    private readonly base: string,
    private readonly remedy = "Start it again: attnlog view <run>",
  ) {}

  protected async fetched(path: string, range?: ByteRange): Promise<Response> {
    const headers: Record<string, string> = {};
    if (range) headers.Range = `bytes=${range.offset}-${range.offset + range.length - 1}`;
    try {
      return await fetch(`${this.base}${path}`, { headers, cache: range ? "default" : "no-cache" });
    } catch {
      throw new AssetError("The server does not answer.", this.remedy);
    }
  }

  protected async ask(path: string, range?: ByteRange): Promise<Response> {
    const response = await this.fetched(path, range);
    if (response.status === 404)
      throw new AssetMissing(`The server has no ${path}.`, "Copy the run again from where it was written.");
    if (response.status === 401 || response.status === 403)
      throw new AssetError(`The server does not let you read ${path}.`, "Sign in as somebody who may read this run.");
    if (!response.ok) throw new AssetError(`The server answered ${response.status} for ${path}.`);
    return response;
  }

  async runs(): Promise<RunName[]> {
    return ((await (await this.ask("runs")).json()) as { runs: RunName[] }).runs;
  }

  protected manifestsAt(run: string): string {
    return `runs/${encodeURIComponent(run)}/manifests`;
  }

  protected assetAt(run: string, path: string): string {
    return `runs/${encodeURIComponent(run)}/assets/${path}`;
  }

  async manifests(run: string): Promise<Manifest[]> {
    const answer = await (await this.ask(this.manifestsAt(run))).json();
    return (answer as { manifests: Manifest[] }).manifests;
  }

  async get(
    run: string,
    path: string,
    range?: ByteRange,
    arrived: (bytes: number) => void = () => undefined,
  ): Promise<Uint8Array> {
    const response = await this.ask(this.assetAt(run, path), range);
    const bytes = await body(response, arrived);
    // A server or proxy in between may ignore ranges and send the whole file.
    return range && response.status === 200 ? bytes.slice(range.offset, range.offset + range.length) : bytes;
  }
}

/** Reads a long body in pieces, so that people see it come; a short one at once. */
async function body(response: Response, arrived: (bytes: number) => void): Promise<Uint8Array> {
  const length = Number(response.headers.get("Content-Length") ?? 0);
  if (!(length > PIECEWISE) || !response.body || response.headers.get("Content-Encoding"))
    return new Uint8Array(await response.arrayBuffer());
  const bytes = new Uint8Array(length);
  const reader = response.body.getReader();
  let at = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    if (at + value.length > length) throw new AssetError("The server sent more bytes than it had announced.");
    bytes.set(value, at);
    at += value.length;
    arrived(at);
  }
  return bytes.subarray(0, at);
}
