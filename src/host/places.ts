import { SourceMap } from "node:module";
import type { SourceMapPayload } from "node:module";
import { packageFrame } from "../program/border.ts";

const places = new RegExp(packageFrame.source.replace(String.raw`:\d+:\d+`, String.raw`:(\d+):(\d+)`), "g");

export function readSourceMap(text: string | undefined): SourceMap | undefined {
  return text === undefined ? undefined : new SourceMap(JSON.parse(text) as SourceMapPayload);
}

/** Turns places in a package's script into places in the author's files. */
export function mapPlaces(text: string, sourceMap: SourceMap | undefined): string {
  if (!text.includes("aion-package:")) return text;
  return text.replaceAll(places, (place, line: string, column: string) => {
    const found = sourceMap?.findEntry(Number(line) - 1, Number(column) - 1);
    if (found === undefined || !("originalSource" in found)) return place;
    return `${found.originalSource}:${found.originalLine + 1}:${found.originalColumn + 1}`;
  });
}
