// The columns of every asset of format version 1, in one place: what a reader checks before it takes a number (docs/format.md).
import { METRICS, STATISTICS } from "./types";

export type TypeName =
  | "uint8"
  | "uint16"
  | "uint32"
  | "uint64"
  | "int8"
  | "int32"
  | "float16"
  | "float32"
  | "bool"
  | "utf8"
  | `list<${string}>`;

export interface ColumnRule {
  name: string;
  types: TypeName[];
  /** May hold nulls. */
  nullable: boolean;
  /** May be absent, and is all null then. Columns of one name here are absent together. */
  absent: string | null;
}

const column = (name: string, ...types: TypeName[]): ColumnRule => ({ name, types, nullable: false, absent: null });
const nullable = (name: string, ...types: TypeName[]): ColumnRule => ({ ...column(name, ...types), nullable: true });
const optional = (rule: ColumnRule, together: string = rule.name): ColumnRule => ({ ...rule, absent: together });

const HEAD = [
  column("input", "uint16"),
  column("kind", "utf8"),
  column("layer", "uint16"),
  column("head", "uint16"),
  column("call", "uint16"),
];
const SHAPE = [column("queries", "uint32"), column("keys", "uint32")];
const STATE = [
  column("input", "uint16"),
  column("axis", "utf8"),
  column("layer", "uint16"),
  column("tokens", "uint32"),
  column("width", "uint32"),
];
const PICTURE = [column("rows", "uint16"), column("columns", "uint16"), column("picture", "list<uint8>")];
const WEIGHTS = column("weights", "list<uint8>", "list<float16>", "list<float32>");

const place = (name: string): ColumnRule[] => [
  nullable(`${name}_path`, "utf8"),
  nullable(`${name}_offset`, "uint64"),
  nullable(`${name}_length`, "uint32"),
  nullable(`${name}_sha256`, "utf8"),
];

const METRIC_COLUMNS = [
  ...HEAD,
  ...SHAPE,
  column("group", "uint16"),
  column("tap", "utf8"),
  column("module", "utf8"),
  nullable("check", "float32"),
  nullable("explained", "float32"),
  ...METRICS.map((name) => nullable(name, "float32")),
  optional(nullable("left_out", "float32")),
];

export const SCHEMAS = {
  inputs: [
    column("input", "uint16"),
    column("axis", "utf8"),
    nullable("text", "utf8"),
    nullable("pair", "utf8"),
    column("tokens", "list<utf8>"),
    nullable("ids", "list<int32>"),
    nullable("starts", "list<int32>"),
    nullable("ends", "list<int32>"),
    nullable("segments", "list<uint8>"),
    nullable("special", "list<bool>"),
    nullable("generated", "list<bool>"),
    nullable("labels", "list<utf8>"),
    column("cut", "uint32"),
  ],
  index: [
    ...METRIC_COLUMNS,
    ...place("attention"),
    ...place("sparse").map((rule) => optional(rule, "sparse_*")),
    ...place("vectors"),
  ],
  indexes: [column("n", "uint32"), column("step", "uint64"), ...METRIC_COLUMNS],
  pictures: [...HEAD, ...PICTURE],
  attention: [...HEAD, ...SHAPE, WEIGHTS],
  sparse: [
    ...HEAD,
    ...SHAPE,
    ...PICTURE,
    column("counts", "list<uint32>"),
    column("indices", "list<uint32>"),
    WEIGHTS,
    column("left_out", "list<float32>"),
  ],
  vectors: [
    ...HEAD,
    column("role", "utf8"),
    column("tokens", "uint32"),
    column("width", "uint32"),
    column("values", "list<float16>", "list<int8>", "list<float32>"),
    optional(nullable("scales", "list<float32>")),
    nullable("scale", "float32"),
    nullable("softcap", "float32"),
    nullable("causal", "bool"),
    nullable("window", "uint32"),
    nullable("sink", "float32"),
    nullable("rotary", "bool"),
    optional(nullable("norms", "list<float32>")),
  ],
  states: [...STATE, ...STATISTICS.map((name) => column(name, "list<float32>")), ...place("hidden")],
  hidden: [...STATE, column("values", "list<float16>", "list<float32>")],
  outputs: [
    column("input", "uint16"),
    column("axis", "utf8"),
    column("role", "utf8"),
    column("name", "utf8"),
    column("tokens", "uint32"),
    nullable("values", "list<float32>"),
    nullable("rows", "uint32"),
    nullable("top", "uint32"),
    nullable("ids", "list<int32>"),
    nullable("labels", "list<utf8>"),
    nullable("probabilities", "list<float32>"),
    nullable("target", "utf8"),
    nullable("position", "uint32"),
    nullable("steps", "uint32"),
    nullable("error", "float32"),
  ],
} satisfies Record<string, ColumnRule[]>;

export type AssetKind = keyof typeof SCHEMAS;
