/** The text whose characters have the bytes as their codes. */
export function fromLatin1(bytes: Uint8Array): string {
  let text = "";
  // In portions: a call takes only so many arguments.
  for (let start = 0; start < bytes.length; start += 8_192) {
    text += Reflect.apply(String.fromCharCode, undefined, bytes.subarray(start, start + 8_192)) as string;
  }
  return text;
}
