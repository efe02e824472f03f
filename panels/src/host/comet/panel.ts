// Draws the studio in Comet's panel, and keeps what is shown when Comet calls again with other experiments.
import type { CometApi } from "./api";
import { readOptions } from "./options";
import { CometSource } from "./source";

/** What `Comet.Panel` gives its subclasses. */
export interface CometPanel {
  api: CometApi;
  id?: string;
  options?: Record<string, unknown>;
  print?(html: string): void;
}

export interface Mounted {
  state(): string;
  inspect(): Record<string, unknown>;
  destroy(): void;
}

export interface Studio {
  mount(
    element: HTMLElement,
    source: CometSource,
    options?: { fill?: boolean; state?: string; theme?: "light" | "dark" },
  ): Mounted;
}

interface Drawn {
  element: HTMLElement;
  experiments: string;
  options: string;
  mounted: Mounted;
  /** What is wanted as long as nothing is on screen, whichever experiments are chosen. */
  wanted: string;
}

let drawn: Drawn | null = null;

/** Draws the studio in a panel; called again whenever the chosen experiments or the options change, or the page likes. */
export async function drawPanel(
  panel: CometPanel,
  given: readonly string[] | undefined,
  studio: Studio,
): Promise<void> {
  const element = document.getElementById("attnlog") ?? document.body.appendChild(document.createElement("div"));
  element.id = "attnlog";
  const experiments = [...new Set(given ?? [])];
  const asked = readOptions(panel.options);
  const [keys, options] = [JSON.stringify(experiments), JSON.stringify(asked)];
  // The studio looks for new steps by itself: the same again is no reason to begin anew.
  if (drawn?.element === element && drawn.experiments === keys && drawn.options === options) return;
  // Options that were changed by hand are what is wanted now; else what is on screen stays.
  const wanted = drawn && drawn.options === options ? (shown(drawn.mounted) ?? drawn.wanted) : asked.state;
  // Where the page has put another element in its place, the studio before still has its worker and its keys.
  drawn?.mounted.destroy();
  const source = new CometSource(panel.api, experiments, undefined, asked.said);
  const state = among(wanted, experiments);
  const mounted = studio.mount(element, source, { fill: true, state, ...(asked.theme ? { theme: asked.theme } : {}) });
  drawn = { element, experiments: keys, options, mounted, wanted };
}

/** What is on screen, as an address that names the experiment; null while there is nothing. */
export function shown(mounted: Pick<Mounted, "state" | "inspect">): string | null {
  const run = (mounted.inspect().run as { id?: string } | null)?.id;
  if (run === undefined) return null;
  const rest = parts(mounted.state()).filter((part) => !part.startsWith("run="));
  return `#${[...rest, `run=${encodeURIComponent(run)}`].join("&")}`;
}

/** An address without what it says of experiments that are not chosen. */
export function among(address: string, experiments: readonly string[]): string {
  const named = (part: string): string | undefined => {
    const said = decodeURIComponent(part);
    return /^run=(.*)/.exec(said)?.[1] ?? /^compare=(?:.*;)?run:([^;]+)/.exec(said)?.[1];
  };
  const stays = parts(address).filter((part) => {
    const id = named(part);
    return id === undefined || experiments.includes(id);
  });
  return stays.length > 0 ? `#${stays.join("&")}` : "";
}

const parts = (address: string): string[] => address.replace(/^#/, "").split("&").filter(Boolean);
