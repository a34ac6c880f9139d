import { readAnswer } from "./http-answer.ts";
import { fetchSend } from "./fetch-send.ts";
import type { FetchSendOptions } from "./fetch-send.ts";
import { namespacesPath } from "./routes.ts";

export interface NamespaceSummary {
  readonly name: string;
  /** `unavailable`: its store cannot be opened just now; it is tried again and again. */
  readonly state: "open" | "unavailable";
  /** Why it is not open. */
  readonly error?: string;
}

const callTimeoutMs = 60_000;

/** The namespaces of the server, by name. Errors: `transport_failed`, `permission_denied`. */
export async function listNamespaces(server: FetchSendOptions): Promise<readonly NamespaceSummary[]> {
  const send = fetchSend(server);
  const json = readAnswer(await send({ verb: "GET", path: namespacesPath, timeoutMs: callTimeoutMs }));
  return json["namespaces"] as readonly NamespaceSummary[];
}

/** Makes a namespace, if it is not there. Resolves when it is on disk. Returns whether it is new. */
export async function createNamespace(server: FetchSendOptions, name: string): Promise<boolean> {
  const send = fetchSend(server);
  const json = readAnswer(
    await send({
      verb: "POST",
      path: namespacesPath,
      body: JSON.stringify({ name }),
      contentType: "application/json",
      timeoutMs: callTimeoutMs,
    }),
  );
  return json["isNew"] === true;
}
