import { createHmac } from "node:crypto";
import { mkdtempSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import fc from "fast-check";
import { SignJWT, exportJWK, exportSPKI, generateKeyPair } from "jose";
import type { JWTPayload } from "jose";
import { afterEach, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { isAionError } from "../core/errors.ts";
import type { Proof } from "./gatekeeper.ts";
import { tokenProver } from "./tokens.ts";
import type { JwtOptions } from "./tokens.ts";

type Pair = Awaited<ReturnType<typeof generateKeyPair>>;

const issuer = "https://login.example";
let directory: string;
let now: number;
let logged: string[];
let server: Server | undefined;
let pair: Pair;
let other: Pair;

beforeAll(async () => {
  [pair, other] = await Promise.all([generateKeyPair("ES256"), generateKeyPair("ES256")]);
});

beforeEach(() => {
  directory = mkdtempSync(path.join(tmpdir(), "aion-jwt-"));
  now = Date.UTC(2030, 0, 1);
  logged = [];
});

afterEach(() => {
  server?.close();
  server = undefined;
  rmSync(directory, { recursive: true });
});

async function keySet(...pairs: readonly (readonly [string, Pair])[]): Promise<string> {
  const keys = await Promise.all(
    pairs.map(async ([kid, { publicKey }]) => ({ ...(await exportJWK(publicKey)), kid, alg: "ES256" })),
  );
  return JSON.stringify({ keys });
}

async function keyFile(): Promise<string> {
  const file = path.join(directory, "jwks.json");
  writeFileSync(file, await keySet(["one", pair]));
  return file;
}

function prover(jwks: string, more: Partial<JwtOptions> = {}): (token: string) => Promise<Proof> {
  return tokenProver(
    { issuer, audience: ["aion"], jwks, ...more },
    { log: (_level, message) => logged.push(message), now: () => now },
  );
}

interface Made {
  readonly claims?: JWTPayload;
  readonly header?: Record<string, string>;
  readonly by?: Pair;
}

async function sign({ claims = {}, header = {}, by = pair }: Made = {}): Promise<string> {
  const seconds = now / 1_000;
  return await new SignJWT({ iss: issuer, aud: "aion", sub: "ann", exp: seconds + 60, ...claims })
    .setProtectedHeader({ alg: "ES256", kid: "one", ...header })
    .sign(by.privateKey);
}

describe("a token", () => {
  it("says who shows it and what he may, by its claims and by the rules for them", async () => {
    const prove = prover(await keyFile(), {
      rules: [
        { claim: "groups", value: "ops", grants: ["operate@*"] },
        { claim: "groups", value: "others", grants: ["admin@*"] },
        { claim: "tier", value: "gold", grants: ["start@gold"] },
      ],
    });
    const claims = { aion_grants: ["read@team-a"], groups: ["dev", "ops"], tier: "gold" };
    expect((await prove(await sign({ claims }))).principal).toEqual({
      subject: "jwt:ann",
      grants: [
        { roles: ["read"], namespaces: ["team-a"] },
        { roles: ["operate"], namespaces: "*" },
        { roles: ["start"], namespaces: ["gold"] },
      ],
    });
    expect((await prove(await sign())).principal).toEqual({ subject: "jwt:ann", grants: [] });
    const elsewhere = prover(await keyFile(), { grantsClaim: "https://aion.example/grants" });
    const named = await sign({ claims: { "https://aion.example/grants": ["work@a/gpu"] } });
    expect((await elsewhere(named)).principal.grants).toEqual([
      { roles: ["work"], namespaces: ["a"], taskQueues: ["gpu"] },
    ]);
  });

  it.each<readonly [string, Made, string]>([
    [
      "of another issuer",
      { claims: { iss: "https://evil.example" } },
      'its claim "iss" is not one that is taken here',
    ],
    ["for somebody else", { claims: { aud: "another" } }, 'its claim "aud" is not one that is taken here'],
    ["for nobody", { claims: { aud: undefined as never } }, 'it has no claim "aud"'],
    ["that has expired", { claims: { exp: Date.UTC(2030, 0, 1) / 1_000 - 31 } }, "it has expired"],
    ["that never expires", { claims: { exp: undefined as never } }, 'it has no claim "exp"'],
    [
      "that is not yet to be used",
      { claims: { nbf: Date.UTC(2030, 0, 1) / 1_000 + 31 } },
      "it is not to be used yet",
    ],
    ["of nobody", { claims: { sub: undefined as never } }, 'it has no claim "sub"'],
    ["of somebody without a name", { claims: { sub: "" } }, "the claim sub"],
    ["of a name with a line in it", { claims: { sub: "ann\nroot" } }, "the claim sub"],
    ["with grants that are none", { claims: { aion_grants: ["root@*"] } }, "root"],
    ["with grants that are no list", { claims: { aion_grants: "admin@*" } }, "claims that cannot be used"],
    ["with one grant that is none", { claims: { aion_grants: ["read@a", 5] } }, "claims that cannot be used"],
    [
      "by a key that is not in the set",
      { header: { kid: "two" } },
      "none of the issuer's keys has signed it",
    ],
  ])("%s does not hold, and is told why", async (_what, made, why) => {
    const prove = prover(await keyFile());
    const token = await sign(made);
    const refusal: unknown = await prove(token).catch((error: unknown) => error);
    expect(refusal).toMatchObject({ code: "unauthenticated" });
    expect((refusal as Error).message).toContain(why);
    // Neither the token nor what this server wants instead.
    for (const secret of [...token.split("."), issuer])
      expect((refusal as Error).message).not.toContain(secret);
  });

  it("signed by another key, or by none, does not hold", async () => {
    const prove = prover(await keyFile());
    const [head = "", body = "", signature = ""] = (await sign()).split(".");
    const encode = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString("base64url");
    await expect(prove(await sign({ by: other }))).rejects.toThrow("its signature is not right");
    const spki = await exportSPKI(pair.publicKey);
    const hmacHead = encode({ alg: "HS256", kid: "one" });
    const hmac = createHmac("sha256", spki).update(`${hmacHead}.${body}`).digest("base64url");
    const rich = encode({
      ...(JSON.parse(Buffer.from(body, "base64url").toString()) as object),
      aion_grants: ["admin@*"],
    });
    for (const token of [
      await sign({ by: other }),
      `${encode({ alg: "none" })}.${body}.`,
      `${encode({ alg: "none", kid: "one" })}.${body}.${signature}`,
      // The public key taken for the secret of another algorithm.
      `${hmacHead}.${body}.${hmac}`,
      `${head}.${rich}.${signature}`,
      `${head}.${body}.${signature.slice(0, -2)}`,
      `${head}.${body}`,
      `${head}.${body}.${signature}.${signature}.${signature}`,
    ]) {
      await expect(prove(token)).rejects.toMatchObject({ code: "unauthenticated" });
    }
    expect(logged).toEqual([]);
  });

  it("is refused with that code, whatever it is", async () => {
    const prove = prover(await keyFile());
    const [head = "", body = "", signature = ""] = (await sign()).split(".");
    const part = fc.oneof(
      fc.constantFrom(head, body, signature, ""),
      fc.string(),
      fc.jsonValue().map((value) => Buffer.from(JSON.stringify(value)).toString("base64url")),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(part, { maxLength: 5 }), async (parts) => {
        const token = parts.join(".");
        if (token === `${head}.${body}.${signature}`) return;
        const error: unknown = await prove(token).catch((reason: unknown) => reason);
        expect(isAionError(error) && error.code).toBe("unauthenticated");
      }),
      { numRuns: 300 },
    );
    await expect(prove(`${head}.${"A".repeat(20_000)}.${signature}`)).rejects.toMatchObject({
      code: "unauthenticated",
    });
  });

  it("holds until it expires and not longer, though it was checked before", async () => {
    const prove = prover(await keyFile(), { clockTolerance: 0 });
    const token = await sign();
    const { whyOver } = await prove(token);
    now += 59_999;
    await prove(token);
    expect(whyOver()).toBeUndefined();
    now += 1;
    expect(whyOver()).toMatchObject({ code: "unauthenticated" });
    await expect(prove(token)).rejects.toMatchObject({ code: "unauthenticated" });
  });

  it("by a key that was withdrawn holds for a minute at most", async () => {
    const file = await keyFile();
    const prove = prover(file);
    const token = await sign({ claims: { exp: now / 1_000 + 3_600 } });
    await prove(token);
    writeFileSync(file, await keySet(["two", other]));
    utimesSync(file, new Date(), new Date(Date.now() + 5_000));
    now += 60_001;
    await expect(prove(token)).rejects.toMatchObject({ code: "unauthenticated" });
    const next = await sign({ by: other, header: { kid: "two" } });
    expect((await prove(next)).principal.subject).toBe("jwt:ann");
  });
});

describe("the keys of an issuer", () => {
  async function serveKeys(
    answer: () => Promise<string | undefined>,
  ): Promise<{ url: string; count: () => number }> {
    let count = 0;
    server = createServer((_request, response) => {
      count += 1;
      void answer().then((text) => {
        response.statusCode = text === undefined ? 500 : 200;
        response.end(text);
      });
    });
    await new Promise<void>((resolve) => server?.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as AddressInfo;
    return { url: `http://127.0.0.1:${port}/jwks`, count: () => count };
  }

  it("are fetched once for many tokens", async () => {
    const { url, count } = await serveKeys(() => keySet(["one", pair]));
    const prove = prover(url);
    for (const sub of ["a", "b", "c"])
      expect((await prove(await sign({ claims: { sub } }))).principal.subject).toBe(`jwt:${sub}`);
    expect(count()).toBe(1);
  });

  it("that cannot be had let nobody in, which is told, and are not asked for without end", async () => {
    let isThere = false;
    const { url, count } = await serveKeys(async () => (isThere ? await keySet(["one", pair]) : undefined));
    const prove = prover(url);
    const token = await sign();
    for (let attempt = 0; attempt < 20; attempt++)
      await expect(prove(token)).rejects.toMatchObject({ code: "identity_unavailable" });
    expect(count()).toBe(1);
    expect(logged).toEqual(["the keys of tokens cannot be had; nobody is let in by one"]);
    isThere = true;
    now += 5_000;
    expect((await prove(token)).principal.subject).toBe("jwt:ann");
  });

  it("that come without end are not read to the end of the memory", async () => {
    let bytesLeft = 64 * 1024 * 1024;
    const chunk = Buffer.alloc(64 * 1024, " ");
    const answered = Promise.withResolvers<void>();
    const endless = createServer((_request, response) => {
      response.once("close", () => answered.resolve());
      const write = (): void => {
        while (bytesLeft > 0) {
          bytesLeft -= chunk.length;
          if (!response.write(chunk)) return;
        }
        response.end();
      };
      response.on("drain", write);
      write();
    });
    await new Promise<void>((resolve) => endless.listen(0, "127.0.0.1", resolve));
    const { port } = endless.address() as { port: number };
    const prove = prover(`http://127.0.0.1:${port}/jwks`);
    await expect(prove(await sign())).rejects.toMatchObject({
      code: "identity_unavailable",
      message: expect.stringContaining("more than 1048576 bytes"),
    });
    await answered.promise;
    expect(bytesLeft).toBeGreaterThan(0);
    endless.close();
  });

  it("that were had before count on, though somebody shows a token of another while they are not to be had", async () => {
    let isThere = true;
    const { url } = await serveKeys(async () => (isThere ? await keySet(["one", pair]) : undefined));
    const prove = prover(url);
    await prove(await sign());
    isThere = false;
    // The set is asked for anew half a minute after it was had, and no sooner.
    const fresh = vi.spyOn(Date, "now").mockReturnValue(Date.now() + 31_000);
    try {
      const stray = await sign({ header: { kid: "two" }, by: other });
      await expect(prove(stray)).rejects.toMatchObject({ code: "identity_unavailable" });
      expect((await prove(await sign({ claims: { sub: "bea" } }))).principal.subject).toBe("jwt:bea");
      await expect(prove(stray)).rejects.toMatchObject({ code: "identity_unavailable" });
    } finally {
      fresh.mockRestore();
    }
  });

  it("that are withdrawn end what is open with them when they are asked for again", async () => {
    const file = await keyFile();
    const prove = prover(file);
    const claims = { exp: now / 1_000 + 3_600 };
    const { whyOver, lookAt } = await prove(await sign({ claims }));
    expect(lookAt()).toBe(now + 60_000);
    writeFileSync(file, await keySet(["two", other]));
    utimesSync(file, 1, 1);
    expect(whyOver()).toBeUndefined();
    now += 60_000;
    expect(whyOver()).toBeUndefined();
    // It is being looked up.
    expect(lookAt()).toBe(now + 1_000);
    await expect.poll(() => whyOver()).toMatchObject({ code: "unauthenticated" });
    expect(lookAt()).toBe(now);
  });

  it("are looked for as often when the clock was set back", async () => {
    const file = await keyFile();
    const prove = prover(file);
    const claims = { exp: now / 1_000 + 10_000 };
    const token = await sign({ claims });
    const { whyOver } = await prove(token);
    rmSync(file);
    now += 60_000;
    await prove(await sign({ claims }));
    now += 5_000;
    await expect(prove(await sign({ claims: { ...claims, jti: "a" } }))).rejects.toMatchObject({
      code: "identity_unavailable",
    });
    writeFileSync(file, await keySet(["two", other]));
    now -= 3_600_000;
    await expect(prove(token)).rejects.toMatchObject({ code: "unauthenticated" });
    await expect.poll(() => whyOver()).toMatchObject({ code: "unauthenticated" });
  });

  it("that cannot be had any more, or are still there, end nothing", async () => {
    const file = await keyFile();
    const prove = prover(file);
    const { whyOver, lookAt } = await prove(await sign({ claims: { exp: now / 1_000 + 3_600 } }));
    for (const change of [() => undefined, () => rmSync(file)]) {
      change();
      now += 60_000;
      expect(whyOver()).toBeUndefined();
      await expect.poll(() => lookAt()).toBe(now + 60_000);
      expect(whyOver()).toBeUndefined();
    }
  });

  it("in a file that is just being written are those that it had, for some seconds, and then its new ones at once", async () => {
    const file = await keyFile();
    const prove = prover(file);
    const fresh = async (): Promise<string> => sign({ claims: { jti: `${now}` } });
    await prove(await fresh());
    const next = await keySet(["one", pair], ["two", other]);
    const write = (text: string): void => {
      writeFileSync(file, text);
      utimesSync(file, 1, now / 1_000);
    };
    now += 600_000;
    write(next.slice(0, 30));
    expect((await prove(await fresh())).principal.subject).toBe("jwt:ann");
    now += 2_000;
    expect((await prove(await fresh())).principal.subject).toBe("jwt:ann");
    write(next);
    now += 1_000;
    expect((await prove(await sign({ by: other, header: { kid: "two" } }))).principal.subject).toBe(
      "jwt:ann",
    );
    expect(logged).toEqual([]);
    // Not for ever: what a file had that is no key set any more is nothing.
    now += 1_000;
    write("{");
    await prove(await fresh());
    now += 5_000;
    await expect(prove(await fresh())).rejects.toMatchObject({ code: "identity_unavailable" });
    write(next);
    now += 1_000;
    expect((await prove(await fresh())).principal.subject).toBe("jwt:ann");
  });

  it("in a file that is not there, or is something else, let nobody in", async () => {
    const token = await sign();
    await expect(prover(path.join(directory, "none.json"))(token)).rejects.toMatchObject({
      code: "identity_unavailable",
    });
    const file = path.join(directory, "else.json");
    writeFileSync(file, "no keys");
    await expect(prover(file)(token)).rejects.toMatchObject({ code: "identity_unavailable" });
  });

  it.each([
    { jwks: "http://login.example/jwks" },
    { jwks: "ftp://login.example/jwks" },
    { jwks: "https://" },
    { algorithms: ["HS256"] },
    { algorithms: ["none"] },
    { algorithms: [] },
    { audience: [] },
    { issuer: "" },
    { rules: [{ claim: "a", value: "b", grants: ["root@*"] }] },
  ])("are not to be had by %j", (more) => {
    expect(() => prover("jwks.json", more)).toThrow(expect.objectContaining({ code: "invalid_argument" }));
  });
});
