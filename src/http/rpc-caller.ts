import { createContextKey, createContextValues } from "@connectrpc/connect";
import type { ContextValues, HandlerContext } from "@connectrpc/connect";
import type { Caller } from "./admission.ts";
import { peerOf } from "./peer.ts";
import type { Peer } from "./peer.ts";

const peerKey = createContextKey<Peer>({ address: "unknown" }, { description: "who is at the other end" });

/** A call of the protocol knows nothing of its connection but what it is handed with it. */
export function rpcContextOf({ socket }: { readonly socket: unknown }): ContextValues {
  return createContextValues().set(peerKey, peerOf(socket));
}

export function rpcCallerOf({ url, requestHeader, values }: HandlerContext): Caller {
  return { host: new URL(url).host, headers: requestHeader, peer: values.get(peerKey) };
}
