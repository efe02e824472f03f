// Host: a page served by `attnlog view`, which answers runs, manifests and byte ranges of assets.
import { AssetError, AssetMissing } from "../decode/errors";
import type { ByteRange, Manifest, RunName, Source } from "./source";

const POLL = 5_000;
/** Bodies of more bytes than this are read in pieces. */
const PIECEWISE = 300_000;
/** Runs whose manifests are kept, to be asked for again only where they have changed. */
const KEPT = 3;
/** Longest sentence of a server's that is shown. */
const LONGEST = 300;

/** What a person can do when a server does not give something. */
export interface Remedies {
  /** It does not answer at all. */
  away: string;
  /** It has no such asset. */
  missing: string;
  /** Whoever asks may not read it. */
  refused: string;
}

const REMEDIES: Remedies = {
  away: "Start it again: attnlog view <run>",
  missing: "Copy the run again from where it was written.",
  refused: "Sign in as somebody who may read this run.",
};

interface Held {
  tag: string;
  manifests: Manifest[];
}

export class ServerSource implements Source {
  readonly ranges = true;
  readonly poll: number = POLL;
  private readonly held = new Map<string, Held>();

  constructor(
    /** What stands before the paths of all routes. */
    private readonly base: string,
    private readonly remedies: Remedies = REMEDIES,
  ) {}

  protected async fetched(path: string, headers: Record<string, string> = {}): Promise<Response> {
    // What says by itself which part or version it asks for is no business of the browser's own cache.
    const cache = headers.Range ? "default" : headers["If-None-Match"] ? "no-store" : "no-cache";
    try {
      return await fetch(`${this.base}${path}`, { headers, cache });
    } catch {
      throw new AssetError("The server does not answer.", this.remedies.away);
    }
  }

  /** What is asked for is told by `what` where it is not given. */
  protected async ask(path: string, what: string, headers: Record<string, string> = {}): Promise<Response> {
    const response = await this.fetched(path, headers);
    if (!response.ok && response.status !== 304) throw await this.refusal(response, what);
    return response;
  }

  protected async refusal(response: Response, what: string): Promise<AssetError> {
    const { status } = response;
    const { missing, refused } = this.remedies;
    if (status === 401) return new AssetError(`The server does not know who asks for ${what}.`, "Sign in, and reload.");
    if (status === 403) return new AssetError(`This server does not let you read ${what}.`, refused);
    const said = await sentence(response);
    const more = said ? `: ${said}` : ".";
    // A sentence that names what was asked for says it all.
    const named = said.includes(what);
    if (status === 404) return new AssetMissing(named ? said : `The server has no ${what}${more}`, missing);
    return new AssetError(named ? said : `The server answered ${status} for ${what}${more}`);
  }

  async runs(): Promise<RunName[]> {
    return ((await (await this.ask("runs", "runs")).json()) as { runs: RunName[] }).runs;
  }

  protected manifestsAt(run: string): string {
    return `runs/${encodeURIComponent(run)}/manifests`;
  }

  protected assetAt(run: string, path: string): string {
    return `runs/${encodeURIComponent(run)}/assets/${path}`;
  }

  /** The same array as before where a server that gives entity tags says that nothing has changed. */
  async manifests(run: string): Promise<Manifest[]> {
    const held = this.held.get(run);
    const headers: Record<string, string> = held ? { "If-None-Match": held.tag } : {};
    const response = await this.ask(this.manifestsAt(run), "manifests of this run", headers);
    if (held && response.status === 304) return held.manifests;
    const { manifests } = (await response.json()) as { manifests: Manifest[] };
    const tag = response.headers.get("ETag");
    this.held.delete(run);
    if (tag) this.held.set(run, { tag, manifests });
    for (const oldest of [...this.held.keys()].slice(0, -KEPT)) this.held.delete(oldest);
    return manifests;
  }

  async get(
    run: string,
    path: string,
    range?: ByteRange,
    arrived: (bytes: number) => void = () => undefined,
  ): Promise<Uint8Array> {
    const headers: Record<string, string> = {};
    if (range) headers.Range = `bytes=${range.offset}-${range.offset + range.length - 1}`;
    const response = await this.ask(this.assetAt(run, path), path, headers);
    const bytes = await body(response, arrived);
    // A server or proxy in between may ignore ranges and send the whole file.
    return range && response.status === 200 ? bytes.slice(range.offset, range.offset + range.length) : bytes;
  }
}

/** What the server itself says of a refusal, as a sentence; empty where it says nothing that is meant for people. */
async function sentence(response: Response): Promise<string> {
  try {
    const { error } = (await response.json()) as { error?: unknown };
    if (typeof error !== "string") return "";
    const said = error.trim().slice(0, LONGEST);
    return said === "" || /[.!?…]$/.test(said) ? said : `${said}.`;
  } catch {
    return "";
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
