// Draws the studio in Comet's panel, and keeps what is shown when Comet calls again with other experiments.
import { readOptions } from "./options";
import { type CometApi, CometSource } from "./source";

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
  /** What it began with: still what is wanted while nothing can be shown. */
  state: string;
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
  const state = drawn && drawn.options === options ? kept(drawn.mounted, drawn.state, experiments) : asked.state;
  const source = new CometSource(panel.api, experiments, undefined, asked.said);
  const mounted = studio.mount(element, source, { fill: true, state, ...(asked.theme ? { theme: asked.theme } : {}) });
  drawn = { element, experiments: keys, options, mounted, state };
}

/** What is on screen, or was before, as an address that names only experiments that are still chosen. */
export function kept(mounted: Mounted, before: string, experiments: readonly string[]): string {
  const run = (mounted.inspect().run as { id?: string } | null)?.id;
  if (run === undefined) return before;
  const parts = mounted.state().replace(/^#/, "").split("&");
  const compared = (part: string): string | undefined =>
    /^compare=(?:.*;)?run:([^;]+)/.exec(decodeURIComponent(part))?.[1];
  const stays = parts.filter((part) => {
    if (part.startsWith("run=")) return false;
    const other = compared(part);
    return other === undefined || experiments.includes(other);
  });
  if (experiments.includes(run)) stays.push(`run=${encodeURIComponent(run)}`);
  return `#${stays.join("&")}`;
}
