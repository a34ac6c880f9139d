import { createCipheriv, createDecipheriv, createHmac, randomBytes } from "node:crypto";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { isAionError } from "../core/errors.ts";
import type { Payload } from "../core/payload.ts";
import { isSameInput } from "../core/payload-codec.ts";
import { aes256gcm } from "./aes256gcm.ts";

const seed = Number(process.env["AION_TEST_SEED"] ?? 1);
const context = { kind: "input", workflowId: "order-42" } as const;
const start = { kind: "start", workflowId: "order-42" } as const;
const keyOf = (byte: number): Uint8Array => new Uint8Array(32).fill(byte);
const codec = aes256gcm({ keys: { a: keyOf(1) }, current: "a" });
const strict = aes256gcm({ keys: { a: keyOf(1) }, current: "a", requireEncoded: true });

function codeOf(work: () => unknown): string | undefined {
  try {
    work();
    return undefined;
  } catch (error) {
    if (isAionError(error)) return error.code;
    throw error;
  }
}

const jsonText = fc.oneof(
  fc.json(),
  fc.jsonValue().map((value) => JSON.stringify(value)),
  // What is encoded already, and what looks like it.
  fc.json().map((text) => codec.encode(text, context)),
  fc
    .dictionary(fc.constantFrom("$aion", "key", "data", "same"), fc.json())
    .map((fields) => JSON.stringify(fields)),
);

/** As the document and C2SP have it, written a second time: shares no line with the codec. */
function reference(key: Buffer, nonce: Buffer): { readonly key: Buffer; readonly nonce: Buffer } {
  const encrypt = (block: Buffer): Buffer => {
    const cipher = createCipheriv("aes-256-cbc", key, Buffer.alloc(16));
    return Buffer.concat([cipher.update(block), cipher.final()]).subarray(0, 16);
  };
  let subkey = BigInt(`0x${encrypt(Buffer.alloc(16)).toString("hex")}`) << 1n;
  if (subkey >> 128n === 1n) subkey = (subkey & ((1n << 128n) - 1n)) ^ 0x87n;
  const half = (counter: string): Buffer => {
    const block = BigInt(`0x00${counter}5800${nonce.subarray(0, 12).toString("hex")}`) ^ subkey;
    return encrypt(Buffer.from(block.toString(16).padStart(32, "0"), "hex"));
  };
  return { key: Buffer.concat([half("01"), half("02")]), nonce: nonce.subarray(12) };
}

describe("AES-256-GCM for payloads", () => {
  it("gives back every JSON text that it was given", () => {
    fc.assert(
      fc.property(jsonText, (text) => {
        for (const of of [context, start]) {
          const encoded = codec.encode(text, of);
          expect(codec.decode(encoded, of)).toBe(text);
          expect(strict.decode(encoded, of)).toBe(text);
        }
      }),
      { seed },
    );
  });

  it("makes JSON of which nothing of the text can be read, and another one each time", () => {
    const marked = JSON.stringify({ marker: "PLAINTEXT-MARKER" });
    const encoded = Array.from({ length: 500 }, () => codec.encode(marked, context));
    expect(new Set(encoded).size).toBe(500);
    const nonces = encoded.map((text) => {
      const { $aion, key, data } = JSON.parse(text) as Record<string, string>;
      expect({ $aion, key }).toEqual({ $aion: "xaes-256-gcm", key: "a" });
      const bytes = Buffer.from(data ?? "", "base64");
      expect(bytes.includes("MARKER")).toBe(false);
      return bytes.subarray(0, 24).toString("hex");
    });
    expect(new Set(nonces).size).toBe(500);
    // Both halves: the one of which the key is made, and the one that AES-256-GCM takes.
    expect(new Set(nonces.map((nonce) => nonce.slice(0, 24))).size).toBe(500);
    expect(new Set(nonces.map((nonce) => nonce.slice(24))).size).toBe(500);
  });

  it("is XAES-256-GCM: the reference that fits its published vectors decrypts what it makes", () => {
    for (const [byte, aad, expected] of [
      [1, "", "ce546ef63c9cc60765923609b33a9a1974e96e52daf2fcf7075e2271"],
      [3, "c2sp.org/XAES-256-GCM", "986ec1832593df5443a179437fd083bf3fdb41abd740a21f71eb769d"],
    ] as const) {
      const of = reference(Buffer.alloc(32, byte), Buffer.from("ABCDEFGHIJKLMNOPQRSTUVWX"));
      const cipher = createCipheriv("aes-256-gcm", of.key, of.nonce).setAAD(Buffer.from(aad));
      const sealed = [cipher.update("XAES-256-GCM"), cipher.final(), cipher.getAuthTag()];
      expect(Buffer.concat(sealed).toString("hex")).toBe(expected);
    }
    for (let round = 0; round < 50; round++) {
      const key = randomBytes(32);
      const made = aes256gcm({ keys: { k: key.toString("base64") }, current: "k", scope: "s" });
      const { data, same, check } = JSON.parse(made.encode('"text"', start)) as Record<string, string> & {
        readonly same: Record<string, string>;
      };
      const bytes = Buffer.from(data ?? "", "base64");
      const of = reference(key, bytes.subarray(0, 24));
      const decipher = createDecipheriv("aes-256-gcm", of.key, of.nonce);
      decipher.setAAD(
        Buffer.from(JSON.stringify(["aion payload", "xaes-256-gcm", "k", check, "s", Object.entries(same)])),
      );
      decipher.setAuthTag(bytes.subarray(-16));
      expect(decipher.update(bytes.subarray(24, -16)).toString() + decipher.final().toString()).toBe(
        '"text"',
      );
      const hash = (by: Buffer, text: string): Buffer => createHmac("sha256", by).update(text).digest();
      const fingerprint = hash(hash(key, "aion payload: the same input"), 'order-42\u0000"text"');
      expect(same["k"]).toBe(fingerprint.subarray(0, 16).toString("base64"));
      expect(check).toBe(hash(key, "aion payload: which key").subarray(0, 6).toString("base64"));
    }
  });

  // Payloads are kept for years: what one version encoded every later one decodes. Lines may be added here, and none changed.
  it.each([
    [
      '{"$aion":"xaes-256-gcm","key":"2026-11","check":"uTsfPKi4","same":{"2026-05":"WI0YqWSb+et42jGZIfleMg==","2026-11":"q2L4aADFQGuEkjG0ZtAOgw=="},"data":"kTdu4CAoVDWpb/+V8MEaA54QQV08M1CzdZEc6hQoNFcr8d81H2+lNUxtM35N1fPofaAbX7YBq3AIGi6n9L7whIhB"}',
      "golden",
      '{"amount":5,"to":"ann ü"}',
    ],
    [
      '{"$aion":"xaes-256-gcm","key":"2026-11","check":"uTsfPKi4","data":"qNjwRWzVsT/nnOfMbUoZ5XQchXKcqen1OT9OgwkhLWq/+A5RrSEB+p3Q/bgtcwtDAvcqFTytGplVW8rWetYH2RNI"}',
      "golden",
      '{"amount":5,"to":"ann ü"}',
    ],
    [
      '{"$aion":"xaes-256-gcm","key":"2026-05","check":"8qrOW2gx","data":"NJvljfiK63kj57ismcwSVxrkM6IAYt4IAGeGJyiB6fzuejd0LYIyf/nKD60="}',
      "",
      "null",
    ],
  ])("decodes %s", (encoded, scope, text) => {
    const keys = { "2026-05": keyOf(5), "2026-11": keyOf(11) };
    const now = aes256gcm({ keys, current: "2026-05", scope, requireEncoded: true });
    expect(now.decode(encoded, context)).toBe(text);
    const again = now.encode(text, start);
    if (encoded.includes('"same"')) expect(isSameInput(encoded as Payload, again as Payload)).toBe(true);
  });

  it("gives back or refuses with a code whatever JSON it is given", () => {
    const piece = fc.oneof(
      fc.json().map((text): unknown => JSON.parse(text)),
      fc.constantFrom<unknown>("xaes-256-gcm", "a", "", "AAAA", {}, null, 1),
    );
    const names = fc.constantFrom("$aion", "key", "check", "same", "data", "__proto__", "more");
    const lookalike = fc
      .array(fc.tuple(names, piece))
      .map((fields) => JSON.stringify(Object.fromEntries(fields)));
    fc.assert(
      fc.property(fc.oneof(lookalike, jsonText), (text) => {
        const code = codeOf(() => expect(typeof codec.decode(text, context)).toBe("string"));
        expect([undefined, "payload_undecodable", "codec_key_unknown"]).toContain(code);
      }),
      { seed, numRuns: 500 },
    );
  });

  it("refuses what was changed at any of its bytes", () => {
    for (const of of [context, start]) {
      const encoded = codec.encode(JSON.stringify({ amount: 5, to: "ann" }), of);
      for (let at = 0; at < encoded.length; at++) {
        for (const flip of [1, 2, 4, 8, 16, 32]) {
          const unit = String.fromCharCode(encoded.charCodeAt(at) ^ flip);
          const changed = encoded.slice(0, at) + unit + encoded.slice(at + 1);
          let outcome: unknown;
          try {
            outcome = strict.decode(changed, of);
          } catch (error) {
            // Text that is no JSON any more never reaches a codec.
            if (error instanceof SyntaxError) continue;
            if (isAionError(error)) outcome = error.code;
          }
          expect(["payload_undecodable", "codec_key_unknown"], `byte ${at}: ${changed}`).toContain(outcome);
        }
        const shorter = encoded.slice(0, at) + encoded.slice(at + 1);
        expect(() => strict.decode(shorter, of)).toThrow(/./);
      }
    }
  });

  it("refuses every change of the bytes within the base64", () => {
    const encoded = JSON.parse(codec.encode('"abc"', context)) as { readonly data: string };
    const bytes = Buffer.from(encoded.data, "base64");
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const changed = Buffer.from(bytes);
      changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      const text = JSON.stringify({ ...encoded, data: changed.toString("base64") });
      expect(codeOf(() => codec.decode(text, context))).toBe("payload_undecodable");
    }
    for (let length = 0; length < bytes.length; length++) {
      const text = JSON.stringify({ ...encoded, data: bytes.subarray(0, length).toString("base64") });
      expect(codeOf(() => codec.decode(text, context))).toBe("payload_undecodable");
    }
    const more = JSON.stringify({ ...encoded, comment: "not authenticated" });
    expect(codeOf(() => codec.decode(more, context))).toBe("payload_undecodable");
  });

  it("does not mind in which order a transport puts the fields", () => {
    const encoded = JSON.parse(codec.encode('"abc"', start)) as Record<string, unknown>;
    const turned = JSON.stringify(Object.fromEntries(Object.entries(encoded).toReversed()));
    expect(turned.startsWith('{"$aion"')).toBe(false);
    expect(codec.decode(turned, start)).toBe('"abc"');
  });

  it("tells a key that is missing, or another of the same name, from a payload that was changed", () => {
    const encoded = codec.encode('"abc"', context);
    const other = aes256gcm({ keys: { b: keyOf(1) }, current: "b" });
    expect(codeOf(() => other.decode(encoded, context))).toBe("codec_key_unknown");
    const wrong = aes256gcm({ keys: { a: keyOf(2) }, current: "a" });
    expect(codeOf(() => wrong.decode(encoded, context))).toBe("codec_key_unknown");
    // Whoever claims the other key's check does not get past the tag.
    const check = (JSON.parse(wrong.encode("1", context)) as { readonly check: string }).check;
    const forged = JSON.stringify({ ...(JSON.parse(encoded) as object), check });
    expect(codeOf(() => wrong.decode(forged, context))).toBe("payload_undecodable");
    expect(codeOf(() => codec.decode('{"$aion":"rot13","data":"nop"}', context))).toBe("payload_undecodable");
  });

  it("decodes in the scope in which it was encoded, and in no other", () => {
    const of = (scope?: string) =>
      aes256gcm({ keys: { a: keyOf(1) }, current: "a", ...(scope === undefined ? {} : { scope }) });
    const encoded = of("payments").encode('"abc"', context);
    expect(of("payments").decode(encoded, context)).toBe('"abc"');
    for (const scope of [undefined, "", "payment", "payments2"])
      expect(codeOf(() => of(scope).decode(encoded, context))).toBe("payload_undecodable");
  });

  it("rotates: a new key encodes, and the old ones decode what was encoded with them", () => {
    const before = aes256gcm({ keys: { old: keyOf(1) }, current: "old" });
    const during = aes256gcm({ keys: { old: keyOf(1), new: keyOf(2) }, current: "old" });
    const after = aes256gcm({ keys: { old: keyOf(1), new: keyOf(2) }, current: "new" });
    const done = aes256gcm({ keys: { new: keyOf(2) }, current: "new" });
    const [first, second] = [before.encode("1", context), after.encode("2", context)];
    for (const each of [during, after])
      expect([each.decode(first, context), each.decode(second, context)]).toEqual(["1", "2"]);
    expect(codeOf(() => done.decode(first, context))).toBe("codec_key_unknown");
    expect(codeOf(() => before.decode(second, context))).toBe("codec_key_unknown");
  });

  it("chooses the key by the workflow, if it is told how", () => {
    const perCustomer = aes256gcm({
      keys: { ann: keyOf(1), bob: keyOf(2) },
      current: ({ workflowId = "" }) => workflowId.split(":")[0] ?? "",
    });
    const encoded = perCustomer.encode("1", { kind: "start", workflowId: "bob:order-1" });
    expect(JSON.parse(encoded)).toMatchObject({ key: "bob" });
    expect(perCustomer.decode(encoded, context)).toBe("1");
    const unknown = () => perCustomer.encode("1", { kind: "start", workflowId: "eve:order-1" });
    expect(codeOf(unknown)).toBe("codec_key_unknown");
  });

  it("knows the input of a start again, within one workflow id and over a rotation, and tells nothing across ids", () => {
    const before = aes256gcm({ keys: { old: keyOf(1) }, current: "old" });
    const after = aes256gcm({ keys: { old: keyOf(1), new: keyOf(2) }, current: "new" });
    const encode = (by: typeof codec, text: string, workflowId?: string): Payload =>
      by.encode(text, { kind: "start", ...(workflowId === undefined ? {} : { workflowId }) }) as Payload;
    expect(isSameInput(encode(before, "1", "w"), encode(before, "1", "w"))).toBe(true);
    expect(isSameInput(encode(before, "1", "w"), encode(after, "1", "w"))).toBe(true);
    expect(isSameInput(encode(after, "1", "w"), encode(before, "1", "w"))).toBe(true);
    expect(isSameInput(encode(before, "1", "w"), encode(after, "2", "w"))).toBe(false);
    expect(isSameInput(encode(before, "1", "w"), encode(before, "1", "v"))).toBe(false);
    expect(isSameInput(encode(before, "1"), encode(before, "1"))).toBe(false);
    expect(isSameInput("1" as Payload, encode(before, "1", "w"))).toBe(false);
    for (const kind of [
      "input",
      "result",
      "signal",
      "query",
      "answer",
      "heartbeat",
      "value",
      "failure",
    ] as const)
      expect(before.encode("1", { kind, workflowId: "w" })).not.toContain('"same"');
  });

  it("decodes what others have put encoded into a plain value", () => {
    const inner = JSON.parse(codec.encode('{"card":"4111"}', context)) as unknown;
    const text = JSON.stringify({ order: inner, list: [1, inner, "x"] });
    const card = { card: "4111" };
    expect(JSON.parse(codec.decode(text, context))).toEqual({ order: card, list: [1, card, "x"] });
    expect(codeOf(() => strict.decode(text, context))).toBe("payload_undecodable");
    const broken = JSON.stringify({ order: { ...(inner as object), data: "AAAA" } });
    expect(codeOf(() => codec.decode(broken, context))).toBe("payload_undecodable");
  });

  it("takes what is not encoded as it is, unless it is to take nothing else", () => {
    fc.assert(
      fc.property(fc.json(), (text) => {
        fc.pre(!text.includes('"$aion"'));
        expect(codec.decode(text, context)).toBe(text);
        expect(codeOf(() => strict.decode(text, context))).toBe("payload_undecodable");
      }),
      { seed },
    );
  });

  it("says how much text fits into a limit", () => {
    const many = Object.fromEntries(Array.from({ length: 7 }, (_, n) => [`key-${n}-é`, keyOf(n)]));
    for (const by of [codec, aes256gcm({ keys: many, current: "key-3-é" })]) {
      for (const limit of [2_000, 4_096, 65_537, 1_000_001]) {
        const fits = by.plainLimitBytes?.(limit) ?? Number.NaN;
        expect(fits).toBeGreaterThan(limit / 2 - 1_000);
        const encoded = by.encode(JSON.stringify("x".repeat(fits - 2)), start);
        expect(Buffer.byteLength(encoded)).toBeLessThanOrEqual(limit);
      }
    }
  });

  it.each([
    ["a short key", { keys: { a: keyOf(1).subarray(1) }, current: "a" }],
    ["a key that is no base64", { keys: { a: "%".repeat(44) }, current: "a" }],
    [
      "base64 with something after it",
      { keys: { a: `${Buffer.from(keyOf(1)).toString("base64")}\n` }, current: "a" },
    ],
    ["a current key that is not there", { keys: { a: keyOf(1) }, current: "b" }],
    ["no keys", { keys: {}, current: "a" }],
    ["a name with control characters", { keys: { "a\n": keyOf(1) }, current: "a\n" }],
  ])("refuses %s", (_what, options) => {
    expect(codeOf(() => aes256gcm(options))).toBe("invalid_argument");
  });
});
