import { setTimeout as delay } from "node:timers/promises";
import type { ConnectRouter, HandlerContext } from "@connectrpc/connect";
import { defaultNamespace } from "../client/routes.ts";
import { AionError } from "../core/errors.ts";
import type { EngineReceiver } from "../protocol/transport.ts";
import { underAdmission, whyEnded } from "./admission.ts";
import type { Admission, Asked } from "./admission.ts";
import type { AppOptions } from "./app.ts";
import { toAionError } from "./errors.ts";
import { FrameQueue } from "./frame-queue.ts";
import type { WorkRequest, WorkResponse } from "./gen/aion/v1/workers_pb.ts";
import { WorkerService } from "./gen/aion/v1/workers_pb.ts";
import { rpcCallerOf } from "./rpc-caller.ts";
import { toConnectError } from "./rpc-error.ts";
import { fromWorkRequest, toWorkResponse } from "./worker-frames.ts";

/** More than an engine ever has to say at once to a worker of the largest capacity. */
const framesMax = 50_000;

const registerTimeoutMs = 10_000;

/** Workers, over a stream in each direction. Who they work for is in their first frame. */
export function addWorkers(router: ConnectRouter, options: AppOptions): void {
  router.rpc(WorkerService.method.work, async function* work(requests, context) {
    const queue = new FrameQueue<WorkResponse>(framesMax);
    const end = (): void => queue.end();
    AbortSignal.any([context.signal, options.closing]).addEventListener("abort", end, { once: true });
    const frames = requests[Symbol.asyncIterator]();
    let receiver: EngineReceiver | undefined;
    try {
      const registered = await register(frames, queue, { context, options });
      const { admission } = registered;
      receiver = registered.receiver;
      admission.ends?.addEventListener("abort", end, { once: true });
      if (whyEnded(admission) !== undefined) end();
      void receive(frames, registered, options).finally(end);
      yield* queue;
      const why = whyEnded(admission);
      if (why !== undefined) throw why;
    } catch (reason) {
      throw toConnectError(toAionError(reason));
    } finally {
      receiver?.closed();
    }
  });
}

/** Rejects after the time in which a worker must have said who it is. */
async function late(): Promise<never> {
  await delay(registerTimeoutMs, undefined, { ref: false });
  throw new AionError("invalid_argument", "the first frame of a worker did not come");
}

interface Registered {
  readonly receiver: EngineReceiver;
  readonly admission: Admission;
  readonly namespace: string;
}

async function register(
  frames: AsyncIterator<WorkRequest>,
  queue: FrameQueue<WorkResponse>,
  { context, options }: { readonly context: HandlerContext; readonly options: AppOptions },
): Promise<Registered> {
  const first = await Promise.race([frames.next(), late()]);
  if (first.done === true || first.value.frame.case !== "register") {
    throw new AionError("invalid_argument", "the first frame of a worker must be its registration");
  }
  const { namespace = defaultNamespace, ...registration } = fromWorkRequest(first.value);
  if (typeof namespace !== "string") throw new AionError("invalid_argument", "a namespace is a text");
  const taskQueues = [...first.value.frame.value.taskQueues];
  const asked: Asked = { operation: "work", namespace, taskQueues, ...rpcCallerOf(context) };
  return await underAdmission(options.admit, asked, async ({ admission, begin }) => {
    await begin(registration);
    const acceptor = options.workersOf?.(namespace);
    if (acceptor === undefined) throw new AionError("endpoint_unknown", "no workers are taken here");
    const receiver = acceptor.acceptWorker({
      send: (frame) => queue.push(toWorkResponse(frame)),
      close: () => queue.end(),
    });
    receiver.receive(registration);
    return { receiver, admission, namespace };
  });
}

/** What is not its turn yet stays with the worker. */
async function receive(
  frames: AsyncIterator<WorkRequest>,
  { receiver, namespace }: Registered,
  { turnOfWorkers }: AppOptions,
): Promise<void> {
  try {
    for (let next = await frames.next(); next.done !== true; next = await frames.next()) {
      await turnOfWorkers?.(namespace);
      receiver.receive(fromWorkRequest(next.value));
    }
  } catch {
    // It was cut off. The engine learns it when the call ends.
  }
}
