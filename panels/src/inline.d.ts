// Modules that the bundler makes: the worker's code and style sheets, both as text.
declare module "inline:worker" {
  const source: string;
  export default source;
}
declare module "*.css" {
  const text: string;
  export default text;
}
