// The errors a reader raises by name; the same names as attnlog/errors.py, so that docs and reports need only one list.

export class AttnlogError extends Error {
  /** What the user can do about it, as one sentence; shown under the message. */
  remedy = "";
  constructor(message: string, remedy = "") {
    super(message);
    this.name = new.target.errorName;
    this.remedy = remedy;
    let type: unknown = new.target;
    for (; typeof type === "function" && type !== Error; type = Object.getPrototypeOf(type))
      this.kinds.push((type as typeof AttnlogError).errorName);
  }
  /** Names of the error's classes, its own first. */
  readonly kinds: string[] = [];
  /** By name: a host's script has classes of its own, and what it throws is the same error. */
  static override [Symbol.hasInstance](value: unknown): boolean {
    const kinds = (value as { kinds?: unknown } | null | undefined)?.kinds;
    // biome-ignore lint/complexity/noThisInStatic: the class that is asked for, which may be one that extends this.
    return value instanceof Error && Array.isArray(kinds) && kinds.includes(this.errorName);
  }
  /** Written out, because minifying renames classes and hosts show this name. */
  static errorName = "AttnlogError";
}

export class NotRecordedError extends AttnlogError {
  static override errorName = "NotRecordedError";
}
export class RunError extends AttnlogError {
  static override errorName = "RunError";
}
export class RunNotFoundError extends RunError {
  static override errorName = "RunNotFoundError";
}
export class AssetError extends AttnlogError {
  static override errorName = "AssetError";
}
export class AssetMissing extends AssetError {
  static override errorName = "AssetMissing";
}
export class AssetTruncated extends AssetError {
  static override errorName = "AssetTruncated";
}
export class AssetDigestMismatch extends AssetError {
  static override errorName = "AssetDigestMismatch";
}
export class AssetTooLarge extends AssetError {
  static override errorName = "AssetTooLarge";
}
export class AssetSchemaError extends AssetError {
  static override errorName = "AssetSchemaError";
}
export class AssetValueError extends AssetError {
  static override errorName = "AssetValueError";
}
export class AssetVersionError extends AssetError {
  static override errorName = "AssetVersionError";
}

const byName = new Map<string, typeof AttnlogError>(
  [
    NotRecordedError,
    RunError,
    RunNotFoundError,
    AssetError,
    AssetMissing,
    AssetTruncated,
    AssetDigestMismatch,
    AssetTooLarge,
    AssetSchemaError,
    AssetValueError,
    AssetVersionError,
  ].map((type) => [type.errorName, type]),
);

export interface ErrorRecord {
  name: string;
  message: string;
  remedy: string;
}

/** An error as plain data, to cross from the worker. */
export function toRecord(error: unknown): ErrorRecord {
  if (error instanceof AttnlogError) return { name: error.name, message: error.message, remedy: error.remedy };
  const message = error instanceof Error ? error.message : String(error);
  return { name: "AssetError", message, remedy: "" };
}

export function fromRecord(record: ErrorRecord): AttnlogError {
  const type = byName.get(record.name) ?? AssetError;
  return new type(record.message, record.remedy);
}
