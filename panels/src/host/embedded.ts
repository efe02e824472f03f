// Host: one HTML file that carries its data in script elements; no network, no storage.
import { AssetMissing } from "../decode/errors";
import type { ByteRange, Manifest, RunName, Source } from "./source";

export interface EmbeddedHost {
  name: string;
  manifests: Manifest[];
  left_out?: string;
  /** More runs to compare with; their assets say which of them they belong to. */
  others?: { id: string; name: string; manifests: Manifest[] }[];
  /** What this page is, what to do about what it does not carry, and what it calls a run. */
  carrier?: string;
  absent?: string;
  noun?: string;
}

const RUN = "run";

export class EmbeddedSource implements Source {
  readonly ranges = true;
  readonly leftOut: string;
  readonly carrier?: string;
  readonly absent?: string;
  readonly noun?: string;
  private readonly elements = new Map<string, Element>();

  constructor(
    private readonly host: EmbeddedHost,
    page: Document,
  ) {
    this.leftOut = host.left_out ?? "";
    for (const name of ["carrier", "absent", "noun"] as const) if (host[name]) this[name] = host[name];
    for (const element of page.querySelectorAll("script[data-attnlog-asset]")) {
      const run = element.getAttribute("data-attnlog-run") ?? RUN;
      this.elements.set(`${run} ${element.getAttribute("data-attnlog-asset")}`, element);
    }
  }

  async runs(): Promise<RunName[]> {
    return [{ id: RUN, name: this.host.name }, ...(this.host.others ?? []).map(({ id, name }) => ({ id, name }))];
  }

  async manifests(run: string): Promise<Manifest[]> {
    return this.host.others?.find(({ id }) => id === run)?.manifests ?? this.host.manifests;
  }

  has(run: string, path: string): boolean {
    return this.elements.has(`${run} ${path}`);
  }

  async get(run: string, path: string, range?: ByteRange): Promise<Uint8Array> {
    const element = this.elements.get(`${run} ${path}`);
    if (!element) throw new AssetMissing(`${path} is not in this file.`);
    const text = unwrapped(element.textContent ?? "");
    if (!range) return fromBase64(text);
    // Four letters hold three bytes: only the letters of the range are decoded.
    const first = Math.floor(range.offset / 3);
    const last = Math.ceil((range.offset + range.length) / 3);
    const bytes = fromBase64(text.slice(first * 4, last * 4));
    const from = range.offset - first * 3;
    return bytes.slice(from, from + range.length);
  }
}

/** Base64 without line breaks. Looking at the first lines is enough to know whether there are any: texts can be long. */
function unwrapped(text: string): string {
  return text.length % 4 === 0 && !/\s/.test(text.slice(0, 256)) ? text : text.replace(/\s+/g, "");
}

export function fromBase64(text: string): Uint8Array {
  const native = (Uint8Array as unknown as { fromBase64?(text: string): Uint8Array }).fromBase64;
  if (native) return native.call(Uint8Array, text);
  const binary = atob(text);
  const bytes = new Uint8Array(binary.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = binary.charCodeAt(i);
  return bytes;
}
