import { AionError } from "../core/errors.ts";
import type { Admission, Asked } from "../http/admission.ts";

const loopbackNames: ReadonlySet<string> = new Set(["localhost", "127.0.0.1", "[::1]", "::1"]);

export function isLoopback(host: string): boolean {
  return loopbackNames.has(host);
}

/**
 * Stands before a server that asks nobody who he is, since only this machine reaches it. Web pages reach it as well, in the browser of
 * whoever sits there: a page of another site may send what needs no leave of ours, and a name of its own may be made to
 * lead here. So a request must be made to a name of this machine, and by nobody's page but one that came from it.
 */
export async function admitLocal({ host, headers }: Asked): Promise<Admission> {
  const name = URL.parse(`http://${host}`)?.hostname ?? "";
  if (!isLoopback(name)) {
    throw new AionError("permission_denied", `the server is not ${JSON.stringify(host.slice(0, 100))}`, {
      hint: "Without authentication it answers to localhost, 127.0.0.1 and [::1] alone.",
    });
  }
  const origin = headers.get("origin");
  if (origin === null) return {};
  const originName = URL.parse(origin)?.hostname ?? "";
  if (!isLoopback(originName)) {
    throw new AionError(
      "permission_denied",
      `pages of ${JSON.stringify(origin.slice(0, 100))} may not call this server`,
      { hint: "Call it from a program, or from a page that was served by this machine." },
    );
  }
  return {};
}
