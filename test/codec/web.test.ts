/** The codec of Node and that of browsers are one. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { webAes256gcm } from "../../src/client/index.ts";
import { aes256gcm } from "../../src/codec/index.ts";
import type { KeyRingOptions } from "../../src/codec/index.ts";
import { isAionError } from "../../src/core/errors.ts";
import type { Payload } from "../../src/core/payload.ts";
import { isSameInput } from "../../src/core/payload-codec.ts";

const seed = Number(process.env["AION_TEST_SEED"] ?? 1);
const options: KeyRingOptions = {
  keys: { a: new Uint8Array(32).fill(1), b: Buffer.alloc(32, 2).toString("base64") },
  current: "b",
  scope: "ünïcode",
};
const node = aes256gcm(options);
const web = webAes256gcm(options);
const start = { kind: "start", workflowId: "w" } as const;

async function codeOf(work: () => unknown): Promise<string | undefined> {
  try {
    await work();
    return undefined;
  } catch (error) {
    return isAionError(error) ? error.code : String(error);
  }
}

describe("aes256gcm and webAes256gcm", () => {
  it("decode what the other has encoded, and know each other's inputs again", async () => {
    await fc.assert(
      fc.asyncProperty(fc.json(), async (text) => {
        const [byNode, byWeb] = [node.encode(text, start), await web.encode(text, start)];
        expect(await web.decode(byNode, start)).toBe(text);
        expect(node.decode(byWeb, start)).toBe(text);
        expect(await web.decode(byWeb, start)).toBe(text);
        expect(isSameInput(byNode as Payload, byWeb as Payload)).toBe(true);
        const nested = JSON.stringify([JSON.parse(byNode), 1, { x: JSON.parse(byWeb) as unknown }]);
        expect(JSON.parse(await web.decode(nested, start))).toEqual([
          JSON.parse(text),
          1,
          { x: JSON.parse(text) as unknown },
        ]);
        expect(await web.decode(nested, start)).toBe(node.decode(nested, start));
      }),
      { seed, numRuns: 50 },
    );
  });

  it("refuse the same", async () => {
    const encoded = JSON.parse(node.encode('"text"', start)) as Record<string, string>;
    const { data = "" } = encoded;
    const changed = [
      { ...encoded, data: `${data.startsWith("A") ? "B" : "A"}${data.slice(1)}` },
      { ...encoded, data: data.slice(0, 40) },
      { ...encoded, data: `${data}=` },
      { ...encoded, data: "" },
      { ...encoded, key: "a" },
      { ...encoded, key: "c" },
      { ...encoded, same: {} },
      { ...encoded, more: 1 },
      { ...encoded, $aion: "other" },
    ].map((value) => JSON.stringify(value));
    for (const text of changed) {
      const code = await codeOf(() => node.decode(text, start));
      expect(code).toMatch(/^(payload_undecodable|codec_key_unknown)$/);
      expect(await codeOf(() => web.decode(text, start))).toBe(code);
    }
    for (const wrong of [
      { keys: {}, current: "x" },
      { keys: { a: "AAAA" }, current: "a" },
    ])
      expect(await codeOf(() => webAes256gcm(wrong))).toBe("invalid_argument");
    const strict = webAes256gcm({ ...options, requireEncoded: true });
    expect(await codeOf(() => strict.decode("1", start))).toBe("payload_undecodable");
  });

  it("makes another nonce for each payload", async () => {
    const made = await Promise.all(Array.from({ length: 200 }, async () => await web.encode("1", start)));
    const nonces = made.map((text) => (JSON.parse(text) as { readonly data: string }).data.slice(0, 32));
    expect(new Set(nonces.map((nonce) => nonce.slice(0, 16))).size).toBe(200);
    expect(new Set(nonces.map((nonce) => nonce.slice(16))).size).toBe(200);
  });
});
