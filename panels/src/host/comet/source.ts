// Comet as a source: assets of the chosen experiments, through whichever way of Comet's that keeps their bytes.
import { AssetError, AssetMissing, RunNotFoundError } from "../../decode/errors";
import type { Manifest, RunName, Source } from "../source";
import { isPlainObject, reason, toBytes, whyNotArrow } from "./bytes";

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

type Fetch = (url: string, init?: RequestInit) => Promise<Response>;
type Way = "arraybuffer" | "blob" | "link";

const ROOT = "attnlog/";
const MANIFEST = /^manifest-[a-z0-9][a-z0-9-]{0,63}\.jsonl$/;
const WAYS: Way[] = ["arraybuffer", "blob", "link"];
const TWIN = "ATTNLOG_COMET_TWIN=1";
/** Experiments whose assets are listed before anything is shown, and how many at a time. */
const LOOKED_AT = 48;
const AT_ONCE = 8;
const HOW =
  'Log it with AttentionCallback(…, tracker="comet"), or later: attnlog sync RUN --tracker comet:EXPERIMENT_KEY';

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
  readonly noun = "experiment";
  readonly carrier = "this experiment";
  readonly absent =
    "They were not logged: above ATTNLOG_COMET_BUDGET only indexes and pictures of a step are. " +
    "Choose another step, or open the run folder where it was trained: attnlog view RUN";
  readonly poll = 30_000;
  /** Listings that nobody has read from yet: as fresh as one can be. */
  private readonly fresh = new Set<string>();
  private readonly listings = new Map<string, Promise<Listing>>();
  /** The way that worked last: asked first. */
  private way: Way = "arraybuffer";

  constructor(
    private readonly api: CometApi,
    private readonly experiments: readonly string[],
    private readonly download: Fetch = (url, init) => fetch(url, init),
    /** What is to be said of the panel's options. */
    readonly leftOut = "",
  ) {}

  /** The experiments with attention in them; those beyond the first few are not looked into before they are chosen. */
  async runs(): Promise<RunName[]> {
    const { experiments } = this;
    if (experiments.length === 0)
      throw new RunNotFoundError(
        "No experiment is chosen.",
        "Show experiments in the table of this project, or widen the panel's query.",
      );
    const looked = experiments.slice(0, LOOKED_AT);
    const refusals: string[] = [];
    const has = new Set<string>();
    for (let at = 0; at < looked.length; at += AT_ONCE) {
      const look = async (id: string): Promise<void> => {
        try {
          if ([...(await this.listing(id)).assets.keys()].some((path) => MANIFEST.test(path))) has.add(id);
          this.fresh.add(id);
        } catch (error) {
          // It may have been removed meanwhile; the others are there.
          this.listings.delete(id);
          refusals.push(reason(error));
        }
      };
      await Promise.all(looked.slice(at, at + AT_ONCE).map(look));
    }
    const found = experiments.filter((id, n) => n >= LOOKED_AT || has.has(id));
    if (found.length === 0 && refusals.length > 0)
      throw new CometTransportError(
        `Comet did not list the assets of ${refusals.length} of ${experiments.length} experiments (${refusals[0]}).`,
        "Reload the page, or sign in again.",
      );
    if (found.length === 0)
      throw new RunNotFoundError(
        experiments.length === 1
          ? "The chosen experiment has no attention that attnlog logged."
          : `None of the ${experiments.length} chosen experiments has attention that attnlog logged.`,
        HOW,
      );
    return Promise.all(found.map(async (id) => ({ id, name: await this.name(id) })));
  }

  async manifests(run: string): Promise<Manifest[]> {
    // Asked again whenever the session looks for new steps: the list is read anew, too.
    if (!this.fresh.delete(run)) {
      const listing = this.list(run);
      await listing; // where it fails, the one before still says what there is
      this.listings.set(run, listing);
    }
    const { assets, sizes } = await this.listing(run);
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
    let answer: Response;
    try {
      answer = await this.download(asset.link, { credentials: "include" });
    } catch {
      // A store that lets everybody read what the link signs refuses cookies.
      answer = await this.download(asset.link, { credentials: "omit" });
    }
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
