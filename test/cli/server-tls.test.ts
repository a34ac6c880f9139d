/** `aion server` with TLS, certificates of callers and tokens, set up by flags, the environment and a file; and the command as its caller. */
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { createInterface } from "node:readline";
import { SignJWT, exportJWK, generateKeyPair } from "jose";
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from "vitest";
import { checkPort } from "../../src/cli/doctor/machine.ts";
import { Authority } from "../server/certificates.ts";
import type { Made } from "../server/certificates.ts";
import { CommandTest } from "./command.ts";

let files: string;
let ours: Authority;
let server: Made;
let ann: Made;
let stranger: Made;
let test: CommandTest;

beforeAll(() => {
  files = mkdtempSync(path.join(tmpdir(), "aion-cli-tls-"));
  ours = new Authority(files, "ours");
  server = ours.sign("/CN=aion", "IP:127.0.0.1");
  ann = ours.sign("/CN=ann", "email:ann@example.com");
  stranger = new Authority(files, "theirs").sign("/CN=ann", "email:ann@example.com");
});
afterAll(() => rmSync(files, { recursive: true }));
beforeEach(() => {
  test = new CommandTest();
});
afterEach(() => test.dispose());

const issuer = "https://login.example";

it("a server over TLS knows callers by certificate, by token and by key, and the command shows each", async () => {
  const pair = await generateKeyPair("ES256");
  const jwks = path.join(test.directory, "jwks.json");
  const key = { ...(await exportJWK(pair.publicKey)), kid: "one", alg: "ES256" };
  writeFileSync(jwks, JSON.stringify({ keys: [key] }));
  const token = await new SignJWT({ aion_grants: ["read@default"], sub: "bea" })
    .setProtectedHeader({ alg: "ES256", kid: "one" })
    .setIssuer(issuer)
    .setAudience("aion")
    .setExpirationTime("10 minutes")
    .sign(pair.privateKey);

  const made = (await test.json(["key", "create", "root", "--data", "data", "--grant", "admin@*"], {
    env: { AION_STORE: undefined },
  })) as { readonly token: string };

  // A third each: of flags, of the environment, of the file.
  writeFileSync(
    path.join(test.directory, "settings.json"),
    JSON.stringify({
      certificates: [{ match: "CN=ann", subject: "ann", grants: ["read@default"] }],
      jwtIssuer: issuer,
      jwtAudience: ["aion"],
    }),
  );
  const running = test.spawn(
    ["server", "--data", "data", "--port", "0", "--auth", "required", "--config", "settings.json", "--json"],
    {
      env: {
        AION_TLS_CERT: server.cert,
        AION_TLS_KEY: server.key,
        AION_TLS_CLIENT_CA: ours.ca,
        AION_JWT_JWKS: jwks,
      },
    },
  );
  let log = "";
  running.stderr.setEncoding("utf8").on("data", (text: string) => (log += text));
  const [line] = (await Promise.race([
    once(createInterface(running.stdout), "line"),
    once(running, "exit").then(() => Promise.reject(new Error(`the server ended: ${log}`))),
  ])) as [string];
  const { url } = JSON.parse(line) as { url: string };
  expect(url).toMatch(/^https:/);

  const env = { AION_STORE: undefined };
  const count = async (...flags: readonly string[]): Promise<unknown> => {
    const { exitCode, stdout, stderr } = await test.run(["count", "--url", url, ...flags, "--json"], {
      env,
    });
    return exitCode === 0 ? (JSON.parse(stdout) as unknown) : `${stdout}${stderr}`;
  };
  const known = ["--ca", ours.ca];
  expect(await count(...known, "--token", made.token)).toEqual({ count: 0 });
  expect(await count(...known, "--token", token)).toEqual({ count: 0 });
  expect(await count(...known, "--cert", ann.cert, "--key", ann.key)).toEqual({ count: 0 });
  // Nothing is shown; the certificate is of another authority; the token does not hold; the authority is not known.
  expect(await count(...known)).toContain("unauthenticated");
  expect(await count(...known, "--cert", stranger.cert, "--key", stranger.key)).toContain("transport_failed");
  expect(await count(...known, "--token", `${token.slice(0, -4)}AAAA`)).toContain("unauthenticated");
  const distrusted = JSON.parse((await count("--token", made.token)) as string) as { readonly error: object };
  expect(distrusted.error).toMatchObject({
    code: "transport_failed",
    hint: expect.stringContaining("by --ca") as string,
  });
  // The doctor calls it as every command does.
  const look = async (...flags: readonly string[]): Promise<unknown> =>
    JSON.parse((await test.run(["doctor", "--url", url, ...flags, "--json"], { env })).stdout);
  expect(await look(...known, "--token", made.token)).toMatchObject({
    checks: expect.arrayContaining([
      expect.objectContaining({ check: "server", status: "ok" }) as object,
      expect.objectContaining({ check: "clock", status: "ok" }) as object,
    ]) as object,
  });
  expect(await look("--token", made.token)).toMatchObject({
    checks: expect.arrayContaining([
      expect.objectContaining({
        check: "server",
        status: "failed",
        remedy: expect.stringContaining("by --ca") as string,
      }) as object,
    ]) as object,
  });
  expect(await checkPort(Number(new URL(url).port))).toMatchObject({ status: "ok", facts: { isAion: true } });
  // By a certificate he may read, and no more.
  const started = await test.run(
    ["start", "any", "--url", url, ...known, "--cert", ann.cert, "--key", ann.key, "--json"],
    { env },
  );
  expect(`${started.stdout}${started.stderr}`).toContain("permission_denied");

  running.kill("SIGTERM");
  const [code] = (await once(running, "exit")) as [number | null];
  expect(code).toBe(0);
});
