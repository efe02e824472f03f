// Entry of the bundle: offers AttnlogStudio to hosts and starts by itself where the page says which host it is.
import { type EmbeddedHost, EmbeddedSource } from "./embedded";
import { MlflowSource } from "./mlflow";
import { inspect, mount } from "./mount";
import { ServerSource } from "./server";
import type { Source } from "./source";

interface HostRecord extends Partial<EmbeddedHost> {
  host?: string;
  base?: string;
  theme?: "light" | "dark";
  /** State to start from, as a hash; wins over what is remembered. */
  state?: string;
  /** Name under which the state outlives the page: for hosts that write the page anew for each choice of theirs. */
  remember?: string;
}

/** Hosts by name: a new one is its file and one line here. */
const HOSTS: Record<string, (record: HostRecord) => Source> = {
  server: (record) => new ServerSource(`${record.base ?? ""}/api/`),
  mlflow: () => new MlflowSource(),
  embedded: (record) =>
    new EmbeddedSource({ ...record, name: record.name ?? "run", manifests: record.manifests ?? [] }, document),
};

function boot(): void {
  const element = document.getElementById("attnlog-host");
  if (!element) return;
  const root = document.getElementById("attnlog") ?? document.body.appendChild(document.createElement("div"));
  const record = JSON.parse(element.textContent ?? "{}") as HostRecord;
  const make = HOSTS[record.host ?? ""];
  if (!make) {
    root.dataset.attnlogState = "error";
    root.textContent = `This page names the host ${JSON.stringify(record.host)}, which this viewer does not know.`;
    return;
  }
  document.body.classList.add("attnlog-page");
  const { theme, remember } = record;
  // A link may name the run before the hash: /attnlog/?run=…
  const run = new URLSearchParams(location.search).get("run");
  const state = run ? `#run=${encodeURIComponent(run)}` : record.state;
  const options = { ...(theme ? { theme } : {}), ...(state ? { state } : {}), ...(remember ? { remember } : {}) };
  // A page that is written anew has no address of its own to keep the state in.
  mount(root, make(record), { fill: true, hash: !remember, ...options });
}

const api = { mount, inspect, version: 1 };
(globalThis as unknown as { AttnlogStudio: typeof api }).AttnlogStudio = api;

if (typeof document !== "undefined") {
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", boot);
  else boot();
}
