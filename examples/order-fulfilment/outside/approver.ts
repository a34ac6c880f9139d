/** The approval desk's process: `POST /requests`, `GET /stats`, `GET /health`, `POST /shutdown`. */
import { join } from "node:path";
import { parseArgs } from "node:util";
import { ApprovalDesk, ApprovalRequest, type SendDecision } from "./approval-desk.ts";
import { ALREADY_RUNNING_EXIT_CODE, APPROVAL_DESK } from "./companion.ts";
import { decisionSender } from "./decision-sender.ts";
import { hostService, type HostedService, type ServiceReply, type ServiceRequest } from "./service-host.ts";
import { acquireInstanceLock } from "./single-instance.ts";

export interface ApproverOptions {
  readonly dataDir: string;
  readonly serverUrl: string;
  readonly send: SendDecision;
  readonly idleExitMs?: number;
}

/** Starts the desk in this process, or returns undefined when another one serves the directory. */
export async function startApprover(options: ApproverOptions): Promise<HostedService | undefined> {
  const lock = acquireInstanceLock(join(options.dataDir, `${APPROVAL_DESK}.lock`));
  if (lock === undefined) return undefined;
  try {
    const desk = await ApprovalDesk.open(options.dataDir, options.send);
    return await hostService({
      name: APPROVAL_DESK,
      dataDir: options.dataDir,
      settings: { serverUrl: options.serverUrl },
      idleExitMs: options.idleExitMs,
      handle: (request) => handle(desk, request),
      onClose: async () => {
        await desk.close();
        lock.release();
      },
    });
  } catch (cause) {
    lock.release();
    throw cause;
  }
}

async function handle(desk: ApprovalDesk, request: ServiceRequest): Promise<ServiceReply> {
  switch (`${request.method} ${request.path}`) {
    case "POST /requests": {
      const parsed = ApprovalRequest.safeParse(request.body);
      if (!parsed.success) return { kind: "json", status: 422, body: { error: { code: "invalid_request" } } };
      await desk.request(parsed.data);
      return { kind: "json", status: 202, body: {} };
    }
    case "GET /stats":
      return { kind: "json", status: 200, body: desk.counts };
    default:
      return { kind: "json", status: 404, body: { error: { code: "not_found" } } };
  }
}

if (import.meta.main) {
  const { values } = parseArgs({
    options: {
      data: { type: "string" },
      url: { type: "string" },
      "idle-exit-ms": { type: "string", default: "900000" },
    },
  });
  if (values.data === undefined || values.url === undefined) throw new Error("--data or --url is missing");
  const desk = await startApprover({
    dataDir: values.data,
    serverUrl: values.url,
    send: decisionSender(values.url),
    idleExitMs: Number(values["idle-exit-ms"]),
  });
  if (desk === undefined) {
    process.exitCode = ALREADY_RUNNING_EXIT_CODE;
  } else {
    process.once("SIGTERM", () => void desk.close());
    await desk.closed;
  }
}
