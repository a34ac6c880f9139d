/**
 * What a workflow wrote, made safe for a terminal: an escape sequence in a message or an id must not move the cursor,
 * change colours, or write to the clipboard.
 */
export function printable(text: string): string {
  return text.replaceAll(unprintable, (character) => escapes[character] ?? toCode(character));
}

/** The same in one line, no longer than `lengthMax`. */
export function oneLine(text: string, lengthMax: number): string {
  const line = printable(text).replaceAll("\n", "\\n");
  return line.length <= lengthMax ? line : `${line.slice(0, Math.max(0, lengthMax - 1))}…`;
}

/** "1 run", "2 runs". */
export function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}

// C0 but for the line feed, DEL, C1, and the marks that turn the direction of text around.
// oxlint-disable-next-line no-control-regex -- control characters are exactly what is sought
const unprintable = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;
const escapes: Readonly<Record<string, string>> = { "\t": "  ", "\r": "\\r" };

function toCode(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
}
