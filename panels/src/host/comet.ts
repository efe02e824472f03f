// Comet's panel as a host: assets of the chosen experiments, through whichever way of Comet's that keeps their bytes.
import { AssetError, AssetMissing } from "../decode/errors";
import type { Manifest, RunName, Source } from "./source";

/** What a panel's `this.api` gives, as far as it is used. Return types are undocumented, so results are looked at. */
export interface CometApi {
  experimentAssets(key: string): Promise<CometAsset[]>;
  experimentAsset(key: string, assetId: string, returnType?: string): Promise<unknown>;
  experimentName?(key: string): Promise<unknown>;
}

export interface CometAsset {
  assetId: string;
  fileName: string;
  dir?: string | null;
  fileSize?: number | null;
  createdAt?: number | null;
  link?: string | null;
}

/** What `Comet.Panel` gives its subclasses. */
export interface CometPanel {
  api: CometApi;
  id?: string;
  options?: Record<string, unknown>;
  print?(html: string): void;
}

export interface Studio {
  mount(element: HTMLElement, source: Source, options?: { fill?: boolean; state?: string }): { state(): string };
}

type Fetch = (url: string, init?: RequestInit) => Promise<Response>;
type Way = "arraybuffer" | "blob" | "link";

const ROOT = "attnlog/";
const MANIFEST = /^manifest-[a-z0-9][a-z0-9-]{0,63}\.jsonl$/;
const WAYS: Way[] = ["arraybuffer", "blob", "link"];
const MAGIC = [0x41, 0x52, 0x52, 0x4f, 0x57, 0x31]; // ARROW1
const TWIN = "ATTNLOG_COMET_TWIN=1";

/** No way of this Comet gave the asset's bytes as they were logged. */
export class CometTransportError extends AssetError {
  static override errorName = "CometTransportError";
}

interface Listing {
  /** Path inside the run → its asset, the newest of several. */
  assets: Map<string, CometAsset>;
  /** Path → length in bytes, as manifests say. */
  sizes: Map<string, number>;
}

export class CometSource implements Source {
  readonly ranges = false;
  readonly poll = 30_000;
  private readonly listings = new Map<string, Promise<Listing>>();
  /** The way that worked last: asked first. */
  private way: Way = "arraybuffer";

  constructor(
    private readonly api: CometApi,
    private readonly experiments: readonly string[],
    private readonly download: Fetch = (url, init) => fetch(url, init),
  ) {}

  async runs(): Promise<RunName[]> {
    const named = this.experiments.map(async (id) => ({ id, name: await this.name(id) }));
    return Promise.all(named);
  }

  async manifests(run: string): Promise<Manifest[]> {
    // Asked again whenever the session looks for new steps: the list is read anew, too.
    const listing = this.list(run);
    this.listings.set(run, listing);
    const { assets, sizes } = await listing;
    const names = [...assets.keys()].filter((path) => MANIFEST.test(path));
    const found = await Promise.all(names.sort().map(async (name) => ({ name, text: await this.text(run, name) })));
    for (const manifest of found) noteSizes(manifest.text, sizes);
    return found;
  }

  async get(run: string, path: string): Promise<Uint8Array> {
    const { assets, sizes } = await this.listing(run);
    const asset = assets.get(path);
    if (!asset && !assets.has(`${path}.json`)) {
      throw new AssetMissing(
        `${path} is not among the experiment's assets.`,
        "It may still be on its way: look again later.",
      );
    }
    const size = sizes.get(path);
    const refusals: string[] = [];
    for (const way of asset ? [this.way, ...WAYS.filter((other) => other !== this.way)] : []) {
      try {
        const bytes = await toBytes(await this.ask(run, asset!, way));
        const wrong = whyNotArrow(bytes, size);
        if (!wrong) {
          this.way = way;
          return bytes;
        }
        refusals.push(`${way}: ${wrong}`);
      } catch (error) {
        refusals.push(`${way}: ${reason(error)}`);
      }
    }
    try {
      const bytes = await this.twin(run, path);
      if (bytes) {
        const wrong = whyNotArrow(bytes, size);
        if (!wrong) return bytes;
        refusals.push(`base64 copy: ${wrong}`);
      } else refusals.push("base64 copy: none was logged");
    } catch (error) {
      refusals.push(`base64 copy: ${reason(error)}`);
    }
    throw new CometTransportError(
      `Comet did not give ${path} as it was logged (${refusals.join("; ")}). ` +
        `Train with ${TWIN} set, which logs a copy as text that every Comet passes on.`,
    );
  }

  has(run: string, path: string): boolean {
    const known = this.known.get(run);
    return !known || known.has(path) || known.has(`${path}.json`);
  }

  private readonly known = new Map<string, Map<string, CometAsset>>();

  private async name(key: string): Promise<string> {
    try {
      const name = await this.api.experimentName?.(key);
      if (typeof name === "string" && name) return name;
    } catch {
      // A name is a courtesy.
    }
    return key.slice(0, 9);
  }

  private listing(run: string): Promise<Listing> {
    let listing = this.listings.get(run);
    if (!listing) {
      listing = this.list(run);
      this.listings.set(run, listing);
    }
    return listing;
  }

  private async list(run: string): Promise<Listing> {
    const before = await this.listings.get(run)?.catch(() => undefined);
    const assets = new Map<string, CometAsset>();
    for (const asset of await this.api.experimentAssets(run)) {
      const path = pathOf(asset);
      const other = path === null ? undefined : assets.get(path);
      if (path !== null && (!other || isNewer(asset, other))) assets.set(path, asset);
    }
    this.known.set(run, assets);
    return { assets, sizes: before?.sizes ?? new Map() };
  }

  private async ask(run: string, asset: CometAsset, way: Way): Promise<unknown> {
    if (way !== "link") return this.api.experimentAsset(run, asset.assetId, way);
    if (!asset.link) throw new Error("the asset has no link");
    const answer = await this.download(asset.link, { credentials: "include" });
    if (!answer.ok) throw new Error(`HTTP ${answer.status}`);
    return answer.arrayBuffer();
  }

  private async twin(run: string, path: string): Promise<Uint8Array | null> {
    const { assets } = await this.listing(run);
    if (!assets.has(`${path}.json`)) return null;
    const said = JSON.parse(await this.text(run, `${path}.json`)) as { base64?: unknown };
    if (typeof said.base64 !== "string") throw new Error("it has no base64");
    return Uint8Array.from(atob(said.base64), (letter) => letter.charCodeAt(0));
  }

  /** Text survives every way; what an API parsed as JSON on its own is written out again. */
  private async text(run: string, path: string): Promise<string> {
    const { assets } = await this.listing(run);
    const asset = assets.get(path)!;
    const refusals: string[] = [];
    for (const way of ["text", "arraybuffer", "blob", "link"] as const) {
      try {
        const given = await (way === "text"
          ? this.api.experimentAsset(run, asset.assetId, way)
          : this.ask(run, asset, way));
        if (typeof given === "string") return given;
        if (isPlainObject(given)) return JSON.stringify(given);
        return new TextDecoder().decode(await toBytes(given));
      } catch (error) {
        refusals.push(`${way}: ${reason(error)}`);
      }
    }
    throw new CometTransportError(
      `Comet did not give ${path} (${refusals.join("; ")}). Reload the page, or sign in again.`,
    );
  }
}

/** Bytes of whatever an API returned. Text is undone where each character stands for one byte. */
export async function toBytes(given: unknown): Promise<Uint8Array> {
  if (given instanceof ArrayBuffer) return new Uint8Array(given);
  if (ArrayBuffer.isView(given)) return new Uint8Array(given.buffer, given.byteOffset, given.byteLength).slice();
  if (typeof Blob !== "undefined" && given instanceof Blob) return new Uint8Array(await given.arrayBuffer());
  if (typeof given === "string") {
    if (given.includes("\ufffd")) throw new Error("it came as text, in which bytes were replaced");
    const bytes = new Uint8Array(given.length);
    for (let i = 0; i < given.length; i++) {
      const code = given.charCodeAt(i);
      if (code > 255) throw new Error("it came as text, not as bytes");
      bytes[i] = code;
    }
    return bytes;
  }
  if (isPlainObject(given) && "data" in given) return toBytes(given.data);
  if (isPlainObject(given) && typeof given.arrayBuffer === "function") return new Uint8Array(await given.arrayBuffer());
  throw new Error(`it came as ${given === null ? "null" : typeof given}`);
}

/** Why these bytes are not a whole Arrow file of the declared length; null when they may be. */
export function whyNotArrow(bytes: Uint8Array, size: number | undefined): string | null {
  if (size !== undefined && bytes.length !== size) return `it has ${bytes.length} bytes instead of ${size}`;
  const end = bytes.length - MAGIC.length;
  if (end < MAGIC.length || !MAGIC.every((byte, i) => bytes[i] === byte)) return "it does not begin as an Arrow file";
  if (!MAGIC.every((byte, i) => bytes[end + i] === byte)) return "it does not end as an Arrow file";
  return null;
}

let drawn: { state(): string } | null = null;

/** Draws the studio in a panel; called again when the chosen experiments change, and then keeps what is shown. */
export async function drawPanel(panel: CometPanel, experiments: readonly string[], studio: Studio): Promise<void> {
  const element = document.getElementById("attnlog") ?? document.body.appendChild(document.createElement("div"));
  element.id = "attnlog";
  const state = drawn?.state() ?? "";
  drawn = studio.mount(element, new CometSource(panel.api, experiments), { fill: true, state });
}

/** Of several assets with one name (a manifest that was replaced) the longest counts: manifests only grow. */
function isNewer(asset: CometAsset, than: CometAsset): boolean {
  const longer = (asset.fileSize ?? 0) - (than.fileSize ?? 0);
  return longer > 0 || (longer === 0 && (asset.createdAt ?? 0) >= (than.createdAt ?? 0));
}

function pathOf(asset: CometAsset): string | null {
  const names = [asset.fileName, `${asset.dir ?? ""}/${asset.fileName}`];
  const name = names.find((candidate) => candidate?.startsWith(ROOT));
  return name === undefined ? null : name.slice(ROOT.length);
}

function noteSizes(text: string, sizes: Map<string, number>): void {
  for (const line of text.split("\n")) {
    try {
      const said = JSON.parse(line) as { inputs?: unknown; asset?: unknown; assets?: unknown[] };
      for (const record of [said.inputs, said.asset, ...(said.assets ?? [])] as { path?: unknown; bytes?: unknown }[]) {
        if (typeof record?.path === "string" && typeof record.bytes === "number") sizes.set(record.path, record.bytes);
      }
    } catch {
      // The session reads the manifest by the rules and says what is wrong with it.
    }
  }
}

function isPlainObject(
  value: unknown,
): value is Record<string, unknown> & { arrayBuffer?: () => Promise<ArrayBuffer> } {
  return (
    typeof value === "object" &&
    value !== null &&
    !ArrayBuffer.isView(value) &&
    !(value instanceof ArrayBuffer) &&
    !(typeof Blob !== "undefined" && value instanceof Blob)
  );
}

/** Said without addresses: an asset's link can carry a credential. */
function reason(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return text.replace(/https?:\/\/\S+/g, "…").slice(0, 200);
}

Object.assign(globalThis, { AttnlogComet: { CometSource, drawPanel } });
