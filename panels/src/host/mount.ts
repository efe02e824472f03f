// Puts a studio into an element for any source; hosts and tests hold what this returns.
import { toHash } from "../session/hash";
import { Session } from "../session/session";
import { Studio } from "../ui/studio";
import type { Source } from "./source";

export interface MountOptions {
  theme?: "light" | "dark";
  /** The studio is the whole page. */
  fill?: boolean;
  /** Keep the state in the page's URL hash; only one studio of a page should. */
  hash?: boolean;
  /** State to start from, as a hash; where `hash` is set, what the page's own names wins. */
  state?: string;
  /** Name under which the state is kept as long as the browser's tab; `state` wins over what it says. */
  remember?: string;
  /** False: decode on the main thread. */
  worker?: boolean;
}

export interface Mounted {
  root: HTMLElement;
  /** The state as a URL hash. */
  state(): string;
  /** Changes the state; what the hash does not name stays. */
  show(hash: string): void;
  inspect(): Record<string, unknown>;
  destroy(): void;
}

const mounted = new WeakMap<HTMLElement, Mounted>();

export function mount(root: HTMLElement, source: Source, options: MountOptions = {}): Mounted {
  mounted.get(root)?.destroy();
  const session = new Session(source, options.worker);
  let written = "";
  const stateHash = (): string =>
    toHash(session.state, session.runs.length > 1 || source.findRun ? (session.run?.id ?? null) : null);
  const write = (): void => {
    if (!(options.hash || options.remember) || session.phase !== "ready" || !session.scene) return;
    const hash = stateHash();
    if (hash === written) return;
    written = hash;
    if (options.remember) remember(options.remember, hash);
    if (!options.hash) return;
    try {
      history.replaceState(history.state, "", hash);
    } catch {
      // Opaque origins may not touch their URL; the state then lives in the page only.
    }
  };
  const studio = new Studio(root, session, {
    ...(options.theme ? { theme: options.theme } : {}),
    fill: options.fill === true,
    changed: write,
  });
  const onHash = (): void => {
    if (location.hash === written) return;
    written = "";
    session.apply(location.hash);
  };
  if (options.hash) addEventListener("hashchange", onHash);
  const handle: Mounted = {
    root,
    state: stateHash,
    show: (hash) => session.apply(hash),
    inspect: () => studio.inspect(),
    destroy() {
      removeEventListener("hashchange", onHash);
      studio.destroy();
      mounted.delete(root);
    },
  };
  mounted.set(root, handle);
  // Of what is named twice the later counts.
  const before = options.remember ? remembered(options.remember) : "";
  const said = [before, options.state ?? "", options.hash ? location.hash : ""];
  void session.start(
    said
      .map((hash) => hash.replace(/^#/, ""))
      .filter(Boolean)
      .join("&"),
  );
  return handle;
}

const PREFIX = "attnlog-state-";

function remember(name: string, hash: string): void {
  try {
    sessionStorage.setItem(PREFIX + name, hash);
  } catch {
    // Opaque origins have no storage: the state then lives as long as the page.
  }
}

function remembered(name: string): string {
  try {
    return sessionStorage.getItem(PREFIX + name) ?? "";
  } catch {
    return "";
  }
}

/** The numbers on screen of the studio in this element. */
export function inspect(root: HTMLElement): Record<string, unknown> | null {
  return mounted.get(root)?.inspect() ?? null;
}
