// Says in words why there is nothing to draw: what is missing, or which asset is bad and what to do.
import { AttnlogError, NotRecordedError } from "../decode/errors";
import { h } from "./dom";

/** What was not recorded is no fault: it is said quietly. Everything else is an error with its name. */
export function isQuiet(error: unknown): boolean {
  return error instanceof NotRecordedError;
}

export function notice(error: unknown): HTMLElement {
  const known = error instanceof AttnlogError;
  const message = error instanceof Error ? error.message : String(error);
  const quiet = isQuiet(error);
  return h(
    "div",
    { class: `notice ${quiet ? "notice-quiet" : "notice-error"}`, role: quiet ? "note" : "alert" },
    quiet ? null : h("strong", {}, known ? error.name : "The viewer failed"),
    h("p", {}, message),
    known && error.remedy ? h("p", { class: "remedy" }, error.remedy) : null,
  );
}

export function words(text: string, more = ""): HTMLElement {
  return notice(new NotRecordedError(text, more));
}
