import { expect, it } from "vitest";
import { createProgram } from "./command-line.ts";
import { knownVariables, misspelledVariables } from "./variables.ts";

const known = knownVariables(createProgram());

it("knows those of clients, of servers and of workers", () => {
  expect(known).toEqual(
    expect.arrayContaining(["AION_STORE", "AION_TOKEN", "AION_CONFIG", "AION_TLS_CLIENT_CA"]),
  );
  expect(new Set(known).size).toBe(known.length);
  expect(misspelledVariables(Object.fromEntries(known.map((name) => [name, "x"])), known)).toEqual([]);
});

it.each([
  ["AION_STROE", "AION_STORE"],
  ["AION_TLS_CLIENT_CAS", "AION_TLS_CLIENT_CA"],
  ["AION_ACTIVATION_BUGDET", "AION_ACTIVATION_BUDGET"],
  ["AION_tls_key", "AION_TLS_KEY"],
])("takes %s for %s", (name, near) => {
  expect(misspelledVariables({ [name]: "x", PATH: "y" }, known)).toEqual([{ name, near }]);
});

it("leaves alone what is of somebody else", () => {
  const others = {
    AION_KEY_2026_11: "x",
    AION_SMTP_PASSWORD: "x",
    AION_: "x",
    AIONSTORE: "x",
  };
  expect(misspelledVariables(others, known)).toEqual([]);
});
