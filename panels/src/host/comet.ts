// Entry of Comet's panel: what the panel's class, which Comet reads as text, calls.
import { drawPanel } from "./comet/panel";
import { CometSource } from "./comet/source";

Object.assign(globalThis, { AttnlogComet: { CometSource, drawPanel } });
