import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  fromPayload,
  messageOf,
  nullPayload,
  parsePayload,
  payloadLimitBytesDefault,
  toPayload,
} from "./payload.ts";

const seed = Number(process.env["AION_TEST_SEED"] ?? 1);

describe("a payload", () => {
  it("gives back what JSON can hold", () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        // JSON itself writes -0 as 0.
        expect(fromPayload(toPayload(value, "it"))).toEqual(JSON.parse(JSON.stringify(value)));
      }),
      { seed },
    );
  });

  it("is made anew at each reading, so that no reader changes what another reads", () => {
    const payload = toPayload({ list: [1] }, "it");
    (fromPayload(payload) as { list: number[] }).list.push(2);
    expect(fromPayload(payload)).toEqual({ list: [1] });
  });

  it("holds null for nothing at all", () => {
    expect(toPayload(undefined, "it")).toBe(nullPayload);
    expect(fromPayload(nullPayload)).toBe(null);
  });

  it.each([
    [
      "a cycle",
      () => {
        const cycle: Record<string, unknown> = {};
        cycle["self"] = cycle;
        return cycle;
      },
    ],
    ["a BigInt", () => ({ amount: 1n })],
    ["a function", () => () => 1],
    ["a symbol", () => Symbol("a")],
    [
      "a toJSON that throws",
      () => ({
        toJSON: () => {
          throw new Error("not me");
        },
      }),
    ],
  ])("refuses %s, naming what it is", (_what, value) => {
    expect(() => toPayload(value(), "the input of activity X")).toThrow(
      expect.objectContaining({
        code: "payload_not_serializable",
        message: expect.stringContaining("the input of activity X"),
      }),
    );
  });

  it("keeps the cause of a toJSON that throws", () => {
    const cause = new Error("not me");
    const value = {
      toJSON: () => {
        throw cause;
      },
    };
    expect(() => toPayload(value, "it")).toThrow(expect.objectContaining({ cause }));
  });

  it("is refused one byte above the limit and taken at it, counted in UTF-8", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary", maxLength: 60 }), fc.nat({ max: 300 }), (text, limit) => {
        const bytes = Buffer.byteLength(JSON.stringify(text), "utf8");
        if (bytes <= limit) expect(toPayload(text, "it", limit)).toBe(JSON.stringify(text));
        else {
          expect(() => toPayload(text, "it", limit)).toThrow(
            expect.objectContaining({
              code: "payload_too_large",
              details: { bytes, limitBytes: limit },
            }),
          );
        }
      }),
      { seed, numRuns: 500 },
    );
  });

  it("has a limit of 2 MiB unless another is given", () => {
    const text = "x".repeat(payloadLimitBytesDefault - 2);
    expect(toPayload(text, "it").length).toBe(payloadLimitBytesDefault);
    expect(() => toPayload(`${text}x`, "it")).toThrow(expect.objectContaining({ code: "payload_too_large" }));
    expect(() => parsePayload(JSON.stringify(`${text}x`), "it")).toThrow(
      expect.objectContaining({ code: "payload_too_large" }),
    );
  });

  it("from outside must be JSON", () => {
    expect(parsePayload('{"a": 1}', "it")).toBe('{"a": 1}');
    for (const text of ["", "{", "undefined", "NaN", "'a'", "{a:1}"]) {
      expect(() => parsePayload(text, "it")).toThrow(
        expect.objectContaining({ code: "payload_not_serializable" }),
      );
    }
  });
});

describe("the message of anything thrown", () => {
  it("is there, whatever it is", () => {
    expect(messageOf(new Error("a"))).toBe("a");
    expect(messageOf("b")).toBe("b");
    expect(messageOf(undefined)).toBe("undefined");
    const hostile = {
      toString: () => {
        throw new Error("no");
      },
    };
    expect(messageOf(hostile)).toBe("an error that cannot be shown");
    expect(messageOf(Object.create(null))).toBe("an error that cannot be shown");
  });
});
