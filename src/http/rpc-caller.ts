import { createContextKey, createContextValues } from "@connectrpc/connect";
import type { ContextValues, HandlerContext } from "@connectrpc/connect";
import type { Caller } from "./admission.ts";
import { peerOf } from "./peer.ts";
import type { Peer } from "./peer.ts";
import type { NodeRequest } from "./rpc.ts";

const peerKey = createContextKey<Peer>({ address: "unknown" }, { description: "who is at the other end" });

/** A call of the protocol knows nothing of its connection but what it is handed with it. */
export function rpcContextOf({ socket }: { readonly socket: unknown }): ContextValues {
  return createContextValues().set(peerKey, peerOf(socket));
}

/** The same, of a call that was not handed on yet. Its address was found to be one. */
export function nodeCallerOf(request: NodeRequest): Caller {
  const authority = ("authority" in request ? request.authority : request.headers.host) ?? "";
  const headers = new Headers();
  for (const [name, value] of Object.entries(request.headers)) {
    if (typeof value === "string" && !name.startsWith(":")) headers.set(name, value);
  }
  const peer = peerOf(request.socket);
  const protocol = peer.isEncrypted === true ? "https" : "http";
  return { host: new URL(`${protocol}://${authority}`).host, headers, peer };
}

export function rpcCallerOf({ url, requestHeader, values }: HandlerContext): Caller {
  return { host: new URL(url).host, headers: requestHeader, peer: values.get(peerKey) };
}
